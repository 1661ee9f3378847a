"""The step `toxicity`: a toxic document is dropped, or its toxic sentences are cut out.

`toxicity_score` (float32, 0 to 1) is the highest of the categories; where the labels name several,
`toxicity_CATEGORY` is each one's. In mode "document" rows still alive are scored whole; in mode
"cut" all rows are, sentence by sentence (`sentences`), as whatever edits a text must see every row:
`retune` may bring any of them back, and its stored text is what was left.

Sources: Dolma (arXiv:2402.00159, section 5.3) cuts sentences from 0.4 on; the categories are those
of the Jigsaw comments (docs/dataprep-toxicity.md).
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.config_models import Classifier
from dataprep.models.model_file import Model
from dataprep.models.sentences import cut_sentences
from dataprep.step import Step, alive, mark

COLUMN = "toxicity_score"
HIGH = "toxicity.high_score"
EMPTY = "toxicity.empty"


def category_columns(categories: tuple[str, ...]) -> dict[str, str]:
    """By category the column that decides on it."""
    if len(categories) == 1:
        return {categories[0]: COLUMN}
    return {category: f"toxicity_{category}" for category in categories}


def reason_of(category: str, categories: tuple[str, ...]) -> str:
    """The drop reason of a category."""
    return HIGH if len(categories) == 1 else f"toxicity.{category}"


def make_step(model: Model | None, config: Classifier, categories: tuple[str, ...]) -> Step:
    """Mode "document": marks `toxicity.high_score` from the threshold on (one category, or a
    budget), `toxicity.CATEGORY` (several). Mode "cut": marks `toxicity.empty` where no letter and
    no digit is left."""
    columns = dict.fromkeys((COLUMN, *category_columns(categories).values()))
    fields = tuple(pa.field(name, pa.float32()) for name in columns)
    several = len(config.languages) > 1
    needs = ["text", "drop_reason", "drop_value", "drop_threshold"]
    if several:
        needs.append("language")
    if config.mode == "cut":
        return _cutting_step(model, config, fields, tuple(needs))

    def apply(table: pa.Table) -> pa.Table:
        assert model is not None, "a step without a model can only decide"
        scored = alive(table)
        scores = np.full((table.num_rows, len(categories)), np.nan, np.float32)
        living = table.filter(pa.array(scored))
        languages = living["language"] if several else None
        scores[scored] = model.scores(living["text"], languages)
        for field, values in zip(fields, with_highest(scores, len(fields)), strict=True):
            table = table.append_column(field, pa.array(values, pa.float32(), from_pandas=True))
        return table

    def decide(table: pa.Table) -> pa.Table:
        if config.drop_budget is not None:
            return _mark(table, COLUMN, HIGH, config.threshold)
        for category, column in category_columns(categories).items():
            reason = reason_of(category, categories)
            table = _mark(table, column, reason, config.threshold_of(category))
        return table

    return Step("toxicity", tuple(needs), fields, apply, decide, of_living=True)


def with_highest(scores: np.ndarray, num_columns: int) -> list[np.ndarray]:
    """The columns: the highest of the categories (float32 [rows, categories], NaN: not known), then
    each one if there are several."""
    highest = np.fmax.reduce(scores, axis=1)
    return [highest, *(scores[:, index] for index in range(num_columns - 1))]


def _mark(table: pa.Table, column: str, reason: str, threshold: float) -> pa.Table:
    scored = pc.is_valid(table[column]).to_numpy()
    scores = pc.fill_null(table[column], 0.0).to_numpy()
    return mark(table, (scores >= np.float32(threshold)) & scored, reason, scores, threshold)


def _cutting_step(
    model: Model | None, config: Classifier, fields: tuple[pa.Field, ...], needs: tuple[str, ...]
) -> Step:
    added = (
        *fields,
        pa.field("toxicity_sentences", pa.int64()),
        pa.field("toxicity_removed_bytes", pa.int64()),
        pa.field("toxicity_empty", pa.bool_()),
    )

    def apply(table: pa.Table) -> pa.Table:
        assert model is not None, "a step without a model can only decide"
        languages = table["language"] if "language" in needs else None
        found = cut_sentences(table["text"], model, config.sentence_threshold, languages)
        position = table.schema.get_field_index("text")
        table = table.set_column(position, table.schema.field(position), found.texts)
        values = [*with_highest(found.scores, len(fields)), found.cut, found.removed, found.empty]
        for field, column in zip(added, values, strict=True):
            table = table.append_column(field, pa.array(column, field.type, from_pandas=True))
        return table

    def decide(table: pa.Table) -> pa.Table:
        empty = np.asarray(table["toxicity_empty"].to_numpy(), np.bool_)
        if not empty.any():
            return table
        scores = pc.fill_null(table[COLUMN], 0.0).to_numpy()
        return mark(table, empty, EMPTY, scores, config.sentence_threshold)

    # What makes the cuts; that the labels' files are the same `retune` itself sees to.
    beside = {"subgroups", "threshold", "thresholds"}
    settings = (config.model_dump_json(exclude=beside),)
    return Step("toxicity", needs, added, apply, decide, settings=settings)
