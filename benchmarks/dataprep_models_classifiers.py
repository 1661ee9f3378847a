"""Figures of the classifiers: how well they tell, whom they wrong, and how fast they score.

Toxicity: one classifier, trained by the command's own code from what `toxicity_sets` allows, asked
about the test part. Quality: 70 % of q_spamassassin against the rest, by the same split;
q_dclm_human (354 texts) by five folds. Speed: one core, one run, alternating, medians.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import pyarrow as pa

from benchmarks import toxicity_sets
from benchmarks.documents import DATA, texts
from benchmarks.toxicity_sets import JIGSAW, NORMALISED, RAW
from dataprep.config_models import Classifier, Label
from dataprep.models import classifier, fasttext_member, subgroups
from dataprep.models.evaluation import auc
from dataprep.models.model_file import Model, load_model
from dataprep.models.preparation import prepare

TEST = (0.7, 1.0)
ENGLISH = [name for name, (_, language, _) in toxicity_sets.SETS.items() if language == "en"]
_REPEATS = 5


@cache
def toxicity_model(mask_identity: bool) -> Model:
    """The classifier of all sets' training parts."""
    with tempfile.TemporaryDirectory() as folder:
        labels = Path(folder) / "labels"
        labels.mkdir()
        toxicity_sets.write_training(labels)
        config = toxicity_sets.table(labels, mask_identity=mask_identity)
        trained = classifier.train("toxicity", config, Path(folder) / "model", 1)
        return load_model(trained.path)


def _scores(model: Model, asked: list[str], language: str) -> np.ndarray:
    languages = pa.chunked_array([pa.array([language] * len(asked), pa.string())])
    return model.scores(pa.array(asked, pa.large_string()), languages)


def toxicity_auc(name: str, target: float | None, category: str = "toxic") -> tuple[Any, Any, Any]:
    """AUC of a category on the test part of a set."""
    model = toxicity_model(True)
    rows = toxicity_sets.part(name, *TEST)
    scores = _scores(model, [text for text, _ in rows], toxicity_sets.SETS[name][1])
    toxic = np.array([labels[category] == 1 for _, labels in rows], np.bool_)
    found = auc(scores[:, model.categories.index(category)], toxic)
    value = {"auc": found, "texts": len(rows), "positive": int(toxic.sum())}
    return value, target, None if target is None else found is not None and found >= target


def worst_subgroup(sets: list[str], target: float, mask_identity: bool = True) -> Any:
    """False-positive rates of the subgroups of identity over the average, at a 1 % budget."""
    model = toxicity_model(mask_identity)
    rows = [row for name in sets for row in toxicity_sets.part(name, *TEST)]
    asked = [text for text, _ in rows]
    worst = np.fmax.reduce(_scores(model, asked, "en"), axis=1)
    toxic = np.array([any(labels.values()) for _, labels in rows], np.bool_)
    groups = {
        name: tuple(table["words"])
        for name, table in subgroups.own_subgroups().items()
        if table["kind"] == "identity"
    }
    groups[subgroups.ANY_IDENTITY] = subgroups.identity_terms()
    found = subgroups.measure(asked, worst, toxic, groups)
    # Of the worst 1 % of all texts hardly any is harmless: there the ratio may not be told.
    ratios = [found[budget]["worst_ratio"] for budget in ("of_all", "of_harmless")]
    known = [ratio for ratio in ratios if ratio is not None]
    return found, target, max(known) <= target if known else None


def _labelled(name: str) -> list[tuple[str, bool]]:
    import gzip

    path = next((DATA / name).glob("*.jsonl.gz"))
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    positive = "ham" if name == "q_spamassassin" else 1
    return [(row["text"], row["label"] == positive) for row in rows]


def _quality_scores(learnt: list[tuple[str, bool]], asked: list[str], **changes: Any) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.jsonl"
        with path.open("w", encoding="utf-8") as stream:
            for text, good in learnt:
                stream.write(json.dumps({"text": text, "label": int(good)}) + "\n")
        config = Classifier(labels=(Label(paths=(str(path),), positive=(1,)),), **changes)
        trained = classifier.train("quality", config, Path(folder) / "model", 1)
        return _scores(load_model(trained.path), asked, "en")[:, 0]


def spamassassin() -> tuple[Any, float, bool]:
    """AUC of ham against spam, trained on 70 %."""
    rows = [(toxicity_sets.place(text), text, good) for text, good in _labelled("q_spamassassin")]
    learnt = [(text, good) for where, text, good in rows if where < TEST[0]]
    asked = [(text, good) for where, text, good in rows if where >= TEST[0]]
    scores = _quality_scores(learnt, [text for text, _ in asked])
    found = auc(scores, np.array([good for _, good in asked], np.bool_))
    assert found is not None
    return {"auc": found, "texts": len(asked)}, 0.98, found >= 0.98


def dclm_human() -> tuple[Any, None, None]:
    """AUC by five folds of the split's hash; each fold's scores are ranked among themselves."""
    rows = [(toxicity_sets.place(text), text, good) for text, good in _labelled("q_dclm_human")]
    found = []
    for fold in range(5):
        inside = [fold / 5 <= where < (fold + 1) / 5 for where, _, _ in rows]
        learnt = [row[1:] for row, own in zip(rows, inside, strict=True) if not own]
        asked = [row[1:] for row, own in zip(rows, inside, strict=True) if own]
        scores = _quality_scores(learnt, [text for text, _ in asked])
        found.append(auc(scores, np.array([good for _, good in asked], np.bool_)))
    known = [value for value in found if value is not None]
    return {"auc": statistics.mean(known), "folds": found, "texts": len(rows)}, None, None


def speed() -> tuple[Any, float, bool]:
    """Texts a second of the step over those of fastText's own predict, on the same texts.

    One member on words, so that both do the same work; `own_prepared` gives fastText texts that are
    prepared already. `all_members` is the step as it comes: all members, six categories, masked
    terms.
    """
    column = pa.array([text[:20_000] for text in texts("en_c4")], pa.large_string())
    with tempfile.TemporaryDirectory() as folder:
        rows = [(text, {"toxic": labels["toxic"]}) for text, labels in
                toxicity_sets.part(RAW, 0.0, 0.7)]  # fmt: skip
        learnt = prepare(pa.array([text for text, _ in rows], pa.large_string()))
        labels = [[f"toxic{'+' if own['toxic'] else '-'}" for _, own in rows]]
        lines = Path(folder) / "lines.txt"
        fasttext_member.write_lines(lines, learnt, labels, 0.0, 1)
        own = fasttext.train_supervised(
            str(lines), dim=16, wordNgrams=2, bucket=400_000, epoch=5, thread=1, verbose=0
        )
    table = fasttext_member.folded(own, ["toxic"], 0, 0, 2)
    whole = toxicity_model(True)
    prepared = prepare(column).to_pylist()

    def ours() -> None:
        table.add_scores(prepare(column), np.zeros((len(column), 1)))

    def theirs() -> None:
        own.predict(prepared, k=2)

    def everything() -> None:
        whole.scores(column)

    seconds: dict[str, list[float]] = {"step": [], "own_prepared": [], "all_members": []}
    for repeat in range(_REPEATS + 1):
        for name, run in (("step", ours), ("own_prepared", theirs), ("all_members", everything)):
            start = time.perf_counter()
            run()
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ratio = medians["own_prepared"] / medians["step"]
    value = {
        "ratio": ratio,
        "all_members_ratio": medians["own_prepared"] / medians["all_members"],
        "megabytes_per_second": {
            name: column.nbytes / 1e6 / value for name, value in medians.items()
        },
    }
    return value, 0.8, ratio >= 0.8


def figures() -> Iterator[tuple[str, Callable[[], tuple[Any, Any, bool | None]]]]:
    """Names and computations of all figures."""
    yield "toxicity_auc_english", partial(toxicity_auc, RAW, 0.95)
    yield "toxicity_auc_chinese", partial(toxicity_auc, "cold", 0.945)
    for category in JIGSAW:
        yield f"toxicity_auc_{category}", partial(toxicity_auc, NORMALISED, None, category)
    yield "toxicity_worst_subgroup", partial(worst_subgroup, ENGLISH, 1.5)
    yield "toxicity_worst_subgroup_jigsaw", partial(worst_subgroup, [RAW, NORMALISED], 1.5)
    yield "toxicity_worst_subgroup_unmasked", partial(worst_subgroup, ENGLISH, 1.5, False)
    yield "quality_auc_spamassassin", spamassassin
    yield "quality_auc_dclm_human", dclm_human
    yield "classifier_speed_over_fasttext", speed
