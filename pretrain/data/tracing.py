"""`gristmill pretrain trace`: the documents of a batch, and the batches of a document; no torch.

Both read the order itself, which is a pure function of the recipe: what is printed was or will be
seen, whether the run has come so far or not.
"""

import json
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from launch.errors import UserError
from launch.recipe import load_recipe
from pretrain.config import Training
from pretrain.data.documents import Documents, read_ids
from pretrain.data.index import build, num_samples
from pretrain.data.order import Order
from pretrain.schedule import first_sample
from tokenizer.contract import open_tokens

# Spans whose ids are looked up together.
_SPANS = 1 << 14

Numbers = npt.NDArray[Any]
Line = dict[str, Any]


def trace_iterations(run: Path, first: int, end: int) -> Iterator[Line]:
    """What the iterations from `first` to `end` - 1 read: for each span a line with `iteration`,
    `sample`, `source`, `document` (its id), `start` and `length` (tokens), in the order of reading.

    Raises `UserError` if the run has no such iterations, or is none.
    """
    training, order = _opened(run)
    if not 0 <= first < end <= training.iterations:
        raise UserError(
            "--iterations", f"{first}:{end}", f"FIRST:END within 0:{training.iterations}"
        )
    low, high = first_sample(training, first), first_sample(training, end)
    for segment, begin, stop in order.segments(low, high):
        starts = segment.starts
        while begin < stop:
            # As many samples as have about `_SPANS` spans, one at least.
            until = int(np.searchsorted(starts, starts[begin] + _SPANS, side="right")) - 1
            until = min(max(until, begin + 1), stop)
            spans = np.arange(starts[begin], starts[until])
            samples = np.searchsorted(starts, spans, side="right") - 1
            yield from _lines(order, training, segment, spans, samples)
            begin = until


def trace_document(run: Path, document: str) -> Iterator[Line]:
    """Where the run reads a document: lines as of `trace_iterations`, in the order of reading.

    Raises `UserError` if no training document has that id.
    """
    training, order = _opened(run)
    numbers = _numbers_of(order.documents, document)
    if not len(numbers):
        hint = "ids are SOURCE:ID, as in the documents; those of validation are never trained on"
        raise UserError("--document", document, "the id of a training document", hint)
    end = first_sample(training, training.iterations)
    for segment, begin, stop in order.segments(0, end):
        low, high = segment.starts[begin], segment.starts[stop]
        spans = np.flatnonzero(np.isin(segment.spans.documents[low:high], numbers)) + low
        samples = np.searchsorted(segment.starts, spans, side="right") - 1
        yield from _lines(order, training, segment, spans, samples)


def print_trace(run: Path, iterations: str | None, document: str | None) -> None:
    """The command: JSON lines on standard output. Raises `UserError` unless it is asked for one of
    the two."""
    if (iterations is None) == (document is None):
        raise UserError("trace", "both or neither", "--iterations FIRST:END or --document ID")
    if document is not None:
        lines = trace_document(run, document)
    else:
        assert iterations is not None
        first, colon, end = iterations.partition(":")
        if not colon or not first.isdigit() or not end.isdigit():
            raise UserError("--iterations", iterations, "FIRST:END, such as 100:102")
        lines = trace_iterations(run, int(first), int(end))
    for line in lines:
        print(json.dumps(line, ensure_ascii=False))


def iteration_of(training: Training, sample: int) -> int:
    """The iteration that reads a sample."""
    return (
        bisect_right(range(training.iterations + 1), sample,
                     key=lambda iteration: first_sample(training, iteration)) - 1
    )  # fmt: skip


def _opened(run: Path) -> tuple[Training, Order]:
    path = run / "recipe.toml"
    if not path.exists():
        raise UserError(str(run), "no recipe.toml", "the directory of a run")
    recipe = load_recipe(path)
    order = build(recipe, open_tokens(recipe.tokens, verify=False))
    assert num_samples(recipe) > 0
    return recipe.pretrain.training, order


def _lines(
    order: Order, training: Training, segment: Any, spans: Numbers, samples: Numbers
) -> Iterator[Line]:
    kept = segment.spans.lengths[spans] > 0  # of length 0: it only gives a label
    spans, samples = spans[kept], samples[kept]
    ids = _ids(order.documents, segment.spans.documents[spans])
    iteration_at = lru_cache(maxsize=1)(lambda sample: iteration_of(training, sample))
    for span, place, identity in zip(spans, samples, ids, strict=True):
        sample = segment.first + int(place)
        yield {
            "iteration": iteration_at(sample),
            "sample": sample,
            "source": order.sources[int(segment.sources[place])],
            "document": identity,
            "start": int(segment.spans.begins[span]),
            "length": int(segment.spans.lengths[span]),
        }


def _ids(documents: Documents, numbers: Numbers) -> list[str]:
    shards = np.searchsorted(documents.shard_documents, numbers, side="right") - 1
    found = [""] * len(numbers)
    for shard in np.unique(shards):
        places = np.flatnonzero(shards == shard)
        rows = np.asarray(numbers[places] - documents.shard_documents[shard], np.int64)
        for place, identity in zip(places, read_ids(documents.maps[shard], rows), strict=True):
            found[place] = identity
    return found


def _numbers_of(documents: Documents, identity: str) -> Numbers:
    import pyarrow.compute as pc
    from pyarrow import parquet

    found = []
    for shard, path in enumerate(documents.maps):
        first = int(documents.shard_documents[shard])
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=["id"]):
                rows = np.flatnonzero(pc.equal(batch["id"], identity).to_numpy(False))
                found += (rows + first).tolist()
                first += batch.num_rows
    return np.array(found, np.int64)
