"""The report's section on annotators, and the same in a line for a terminal."""

from collections.abc import Mapping
from typing import Any

from dataprep.report.markup import count, decimal, details, escape, row, sampled, share, table


def annotators(report: Mapping[str, Any]) -> str:
    """Who labelled documents, and how far the classifiers that learnt from it agree."""
    found = {
        name: facts["agreement"]
        for name, facts in report["facts"].get("classifiers", {}).items()
        if "agreement" in facts
    }
    if not found:
        return "<p>No classifier learnt from one.</p>"
    return "".join(_section(name, facts) for name, facts in found.items())


def summary(name: str, facts: Mapping[str, Any]) -> str:
    """What `annotate` found, in a few lines."""
    answers = ", ".join(f"{answer}: {num:,}" for answer, num in facts["answers"].items())
    lines = [
        f"{name}: {facts['answered']:,} of {facts['documents']:,} documents answered, "
        f"{facts['positive']:,} positive",
        f"  answers  {answers or 'none'}",
    ]
    lines += [f"  no answer  {num:,}: {reason}" for reason, num in facts["unanswered"].items()]
    return "\n".join(lines)


def agreement_line(found: Mapping[str, Any]) -> str:
    """The agreement in one line."""
    if not found["documents"]:
        return "agreement with the annotator: not measured, no document is held out"
    low, high = found["accuracy_interval"]
    return (
        f"agreement with the annotator on {found['documents']:,} unseen documents: "
        f"{100 * found['accuracy']:.1f} % (95 %: {100 * low:.1f} to {100 * high:.1f}; "
        f"always the commoner class: {100 * found['majority']:.1f}), "
        f"kappa {_number(found['kappa'])}, AUC {_number(found['auc'])}, "
        f"Spearman {_number(found['spearman'])}"
    )


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _section(name: str, found: Mapping[str, Any]) -> str:
    annotator = found["annotator"]
    confusion = found["confusion"]
    documents = annotator["documents"]
    numbers = [
        row("labelled by", f"{annotator['kind']} <code>{escape(annotator['name'])}</code>"),
        row("documents asked about", f"#{count(documents)}"),
        row("answered", f"#{count(annotator['answered'])}"),
        row("of these positive", f"#{share(annotator['positive'], annotator['answered'])}"),
        row("unseen documents compared", f"#{count(found['documents'])}"),
        row("accuracy", f"#{decimal(found['accuracy'])}"),
        row("accuracy of always naming the commoner class", f"#{decimal(found['majority'])}"),
        row("Cohen's kappa", f"#{decimal(found['kappa'])}"),
        row("AUC", f"#{decimal(found['auc'])}"),
        row("Spearman's rank correlation", f"#{decimal(found['spearman'])}"),
    ]
    numbers += [
        row(f"unanswered: {escape(reason)}", f"#{count(num)}")
        for reason, num in annotator["unanswered"].items()
    ]
    crossed = [
        row("annotator: positive", *_cells(confusion, "both_positive", "annotator_only")),
        row("annotator: negative", *_cells(confusion, "classifier_only", "both_negative")),
    ]
    crossed += [
        row(
            f"answer {escape(answer)}",
            f"#{count(tally['positive'])}",
            f"#{count(tally['negative'])}",
        )
        for answer, tally in found["by_answer"].items()
    ]
    threshold = decimal(found["threshold"])
    heads = ("", f"#classifier ≥ {threshold}", f"#classifier < {threshold}")
    examples = "".join(_example(example) for example in found["disagreements"])
    return (
        f"<h3><code>{escape(name)}</code></h3>"
        "<p>Compared on documents that took no part in training.</p>"
        + table(("", "#"), numbers)
        + table(heads, crossed)
        + examples
    )


def _cells(confusion: Mapping[str, int], *names: str) -> list[str]:
    return [f"#{count(confusion[name])}" for name in names]


def _example(example: Mapping[str, Any]) -> str:
    about = f"annotator: {escape(example['answer'])}; classifier: {decimal(example['score'])}"
    return details(example["id"], about, f"<pre>{sampled(example['begins'])}</pre>")
