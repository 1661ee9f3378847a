"""The step `quality`: what scores too low is dropped, by threshold, by share or by a draw.

`quality_score` (float32, 0 to 1) of rows still alive, null for the others; the rest is decided from
it and the content hash, so that `retune` can repeat it.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.config_models import Classifier
from dataprep.models.model_file import Model
from dataprep.models.selection import pareto_thresholds
from dataprep.step import Step, alive, mark

COLUMN = "quality_score"
LOW = "quality.low_score"
DRAWN = "quality.not_drawn"


def make_step(model: Model | None, config: Classifier) -> Step:
    """Marks `quality.low_score` below the threshold, or, with the Pareto draw,
    `quality.not_drawn` with the score that this document would have needed."""
    field = pa.field(COLUMN, pa.float32())
    several = len(config.languages) > 1

    def apply(table: pa.Table) -> pa.Table:
        assert model is not None, "a step without a model can only decide"
        scored = alive(table)
        scores = np.zeros(table.num_rows, np.float32)
        living = table.filter(pa.array(scored))
        languages = living["language"] if several else None
        scores[scored] = model.scores(living["text"], languages)[:, 0]
        return table.append_column(field, pa.array(scores, pa.float32(), mask=~scored))

    def decide(table: pa.Table) -> pa.Table:
        scored = pc.is_valid(table[COLUMN]).to_numpy()
        scores = pc.fill_null(table[COLUMN], 0.0).to_numpy()
        if config.select == "pareto":
            needed = pareto_thresholds(table["content_hash"], config.pareto_alpha, config.draw_seed)
            return mark(table, (scores < needed) & scored, DRAWN, scores, needed)
        failing = scores < np.float32(config.threshold)
        return mark(table, failing & scored, LOW, scores, config.threshold)

    needs = ["text", "drop_reason", "drop_value", "drop_threshold"]
    if config.select == "pareto":
        needs.append("content_hash")
    if several:
        needs.append("language")
    return Step("quality", tuple(needs), (field,), apply, decide, of_living=True)
