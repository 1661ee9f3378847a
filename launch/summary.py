"""The summary at the end of a run: what a person asks first, read from the files alone."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from launch.log import last_duration
from launch.manifest import FILE_NAME
from launch.recipe import Recipe

WIDTH = 19
REASONS_MAX = 10


def print_summary(recipe: Recipe) -> None:
    """Print what the recipe's root holds; what is not there yet is said to be missing."""
    print("\n".join(lines(recipe)))


def lines(recipe: Recipe) -> Iterator[str]:
    """The summary, line by line."""
    yield f"── {recipe.run.root} " + "─" * max(2, 78 - len(str(recipe.run.root)))
    documents = _manifest(recipe.documents)
    if documents:
        yield from _documents(documents["facts"])
    tokenizer, tokens = _manifest(recipe.tokenizer_directory), _manifest(recipe.tokens)
    if tokenizer:
        yield from _tokenizer(tokenizer["facts"])
    if tokens:
        yield from _tokens(tokens["facts"])
    yield from _training(recipe.run_directory)
    if recipe.scaling.enabled:
        yield from _scaling(recipe.scaling_directory)
    yield from _files(recipe)
    yield from _seconds(recipe)


def _documents(facts: Mapping[str, Any]) -> Iterator[str]:
    total = facts["documents_in"]
    yield _line("documents", f"{total:,} in, {facts['bytes_in'] / 1e6:.1f} MB")
    kept = f"{facts['kept']:,} ({_share(facts['kept'], total)}), {facts['bytes_kept'] / 1e6:.1f} MB"
    yield _line("  kept", kept)
    reasons = sorted(facts["dropped"].items(), key=lambda item: (-item[1], item[0]))
    for reason, count in reasons[:REASONS_MAX]:
        yield _line(f"  dropped {count:>8,}", f"{reason} ({_share(count, total)})")
    rest = reasons[REASONS_MAX:]
    if rest:
        count = sum(count for _, count in rest)
        yield _line(f"  dropped {count:>8,}", f"{len(rest)} further reasons: report.html")
    yield _line("  quarantined", f"{facts['quarantined']:,} records that could not be read")
    duplicates = facts["duplicates"]
    yield _line("duplicates", f"{duplicates['exact']:,} exact, {duplicates['near']:,} near")


def _tokenizer(facts: Mapping[str, Any]) -> Iterator[str]:
    per_token = facts["bytes_per_token"]["all"]
    model = f"{facts['model_type']}, {facts['vocab_size']:,} ids"
    yield _line("tokenizer", f"{model}, {per_token:.3f} bytes per token")


def _tokens(facts: Mapping[str, Any]) -> Iterator[str]:
    splits = facts["splits"]
    counts = ", ".join(f"{splits[name]['tokens']:,} {name}" for name in sorted(splits))
    yield _line("tokens", counts)


def _training(directory: Path) -> Iterator[str]:
    path = directory / "result.json"
    if not path.exists():
        yield _line("training", f"not started: {directory}")
        return
    result = json.loads(path.read_text(encoding="utf-8"))
    layout = ", ".join(f"{name} {count}" for name, count in result["layout"].items())
    size = f"{result['parameters_total']:,} parameters"
    yield _line("training", f"{size}, {layout}: {result['status']}")
    if result["status"] != "done":
        return
    yield _line("  trained", f"{result['tokens']:,} tokens, {result['epochs']:.2f} epochs")
    yield _line(
        "  loss", f"{result['loss_first']:.4f} at the start, {result['loss_last']:.4f} last"
    )
    bits = f"{result['bits_per_byte_valid']:.4f} bits per byte"
    yield _line("  validation", f"{result['loss_valid']:.4f} nats per token, {bits}")


def _scaling(directory: Path) -> Iterator[str]:
    fit, plan = _manifest(directory / "fit"), _manifest(directory / "plan")
    if not fit or not plan:
        yield _line("scaling", "not finished")
        return
    names = {"chinchilla": "Chinchilla law", "kaplan": "KM law"}
    for kind, law in fit["facts"]["laws"].items():
        share = f"{100 * law['confidence']:.0f} % intervals"
        runs = f"{len(fit['facts']['table']['fitted'])} runs"
        yield _line(names.get(kind, kind), f"{runs}, {law['parameter_count']} parameters, {share}")
        for name, interval in law["coefficients"].items():
            yield _line(f"  {name}", _interval(interval))
        for run in law["held_out"]:
            inside = "inside" if run["inside"] else "OUTSIDE"
            yield _line(
                "  held out",
                f"{run['name']}: predicted {run['loss_predicted']['value']:.4f}, measured "
                f"{run['loss_measured']:.4f} ({run['error_share']:+.2%}), {inside} the interval "
                f"of a run {_ends(run['loss_of_run'])}",
            )
        for caution in law["cautions"]:
            yield _line("  caution", caution)
    planned = plan["facts"]["planned"]
    shape = planned["shape"]
    yield _line(
        "planned next run",
        f"{planned['parameters_total']:,.0f} parameters ({shape['layers']} layers, "
        f"{shape['hidden_size']} wide), {planned['tokens']:,} tokens, {planned['flops']:.3g} FLOP",
    )
    yield _line("  predicted loss", f"{_interval(planned['loss'])}, a single run "
                f"{_ends(planned['loss_of_run'])}")  # fmt: skip
    yield _line("  extrapolation", f"{planned['beyond_flops']:.1f} times the FLOP of the largest "
                "run fitted")  # fmt: skip


def _files(recipe: Recipe) -> Iterator[str]:
    places = {
        "documents": recipe.documents / "report.html",
        "tokenizer": recipe.tokenizer_directory / "tokenizer.model",
        "tokens": recipe.tokens / FILE_NAME,
        "training": recipe.run_directory / "metrics.jsonl",
    }
    if recipe.scaling.enabled:
        places |= {
            "runs table": recipe.scaling_directory / "runs" / "runs.csv",
            "fit": recipe.scaling_directory / "fit" / "fit.json",
            "plan": recipe.scaling_directory / "plan" / "plan.toml",
            "figure": recipe.scaling_directory / "plan" / "plan.png",
        }
    yield "files"
    for name, path in places.items():
        yield _line(f"  {name}", str(path) if path.exists() else f"{path} (not there)")


def _seconds(recipe: Recipe) -> Iterator[str]:
    scaling = recipe.scaling_directory
    directories = {
        "dataprep": [recipe.documents],
        "tokenizer": [recipe.tokenizer_directory],
        "encoding": [recipe.tokens],
        "training": [recipe.run_directory],
    }
    if recipe.scaling.enabled:
        directories["ladder"] = [scaling / "ladder"]
        directories["law and plan"] = [scaling / "runs", scaling / "fit", scaling / "plan"]
    yield "seconds"
    total = 0.0
    for name, several in directories.items():
        seconds = sum(last_duration(directory) or 0.0 for directory in several)
        total += seconds
        yield _line(f"  {name}", f"{seconds:8.1f}")
    yield _line("  in all", f"{total:8.1f}")


def _manifest(directory: Path) -> dict[str, Any] | None:
    path = directory / FILE_NAME
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _line(label: str, text: str) -> str:
    return f"{label:<{WIDTH}} {text}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "none"


def _interval(interval: Mapping[str, float]) -> str:
    return f"{_number(interval['value'])} {_ends(interval)}"


def _ends(interval: Mapping[str, float]) -> str:
    return f"({_number(interval['low'])} to {_number(interval['high'])})"


def _number(value: float) -> str:
    return f"{value:.4g}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.2e}"
