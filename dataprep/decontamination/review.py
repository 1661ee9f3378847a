"""Review of what decontamination found, before anything is dropped for it.

In: finished documents with the columns of `decontamination`, and the evaluation sets they were made
with. Out: `review.jsonl`, one line for each item and document, `review.html`, the items beside the
passages that hold them, and a table. Items that many documents hold come first: common text, a
licence or a proverb, is found there. Whoever finds an item harmless names it in
`dataprep.decontamination.allow`, and retunes with mode = "drop".
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dataprep.config import Dataprep
from dataprep.contract import dropped_files, kept_files, open_documents
from dataprep.decontamination import decontamination
from dataprep.decontamination import items as decontamination_items
from dataprep.decontamination.findings import Found, Passage, Review
from dataprep.decontamination.index import Index, load_index
from dataprep.decontamination.review_page import render, summary
from launch.config import parse_model
from launch.errors import UserError
from launch.manifest import Manifest, digest_file, write_atomic
from launch.store import join, open_random

if TYPE_CHECKING:
    from launch.recipe import Recipe

JSONL_NAME, HTML_NAME = "review.jsonl", "review.html"
_AROUND_BYTES = 160
_PASSAGE_BYTES_MAX = 4000
_CUT_OUT = "(cut out of the text as a repeated piece, after it was found)"
_COLUMNS = ("id", "source", "url", "drop_reason", "text", decontamination.PASSAGES)


def review(recipe: "Recipe", output: Path | None = None) -> str:
    """Write the two files into `output` (unset: `ROOT/review`), and return the table.

    Raises UserError if the documents are not finished, if they were made with mode "off", or if an
    evaluation set has changed since.
    """
    directory = recipe.published_documents
    manifest = open_documents(directory)
    config = parse_model(Dataprep, manifest.config["dataprep"], "dataprep")
    own = config.decontamination
    if own.mode == "off":
        raise UserError(
            "dataprep.decontamination.mode", "documents that were made with mode 'off'",
            "mode 'mark' or 'drop'", "set mode = \"mark\" and run gristmill dataprep retune RECIPE",
        )  # fmt: skip
    _check_unchanged(manifest, own)
    index = load_index(own, config.normalize, config.pii)
    places = {_key(index, int(part)): int(part) for part in np.flatnonzero(index.parts.run_units)}
    found = Review(config, index, places)
    place = output or recipe.documents.parent / "review"
    place.mkdir(parents=True, exist_ok=True)
    temporary = place / f".{JSONL_NAME}.tmp"
    with temporary.open("w", encoding="utf-8") as lines:
        for table in _hit_documents(directory, manifest):
            for line in _add(found, table):
                lines.write(json.dumps(line, ensure_ascii=False) + "\n")
    temporary.replace(place / JSONL_NAME)
    write_atomic(place / HTML_NAME, render(found))
    return summary(found) + f"\n{place / HTML_NAME}"


def _check_unchanged(manifest: Manifest, own: Any) -> None:
    prefix = decontamination_items.PREFIX
    then = {entry.path: entry.digest for entry in manifest.inputs if entry.path.startswith(prefix)}
    for path in decontamination_items.files(own):
        if then.get(f"{prefix}{path}") != digest_file(path):
            raise UserError(str(path), "a change", "the set that the documents were made with",
                            "gristmill dataprep retune RECIPE looks for the new one")  # fmt: skip


def _hit_documents(directory: Any, manifest: Manifest) -> Iterator[pa.Table]:
    """The documents with a hit, one table for each row group that has some."""
    files = [
        *kept_files(manifest, "train"),
        *kept_files(manifest, "valid"),
        *dropped_files(manifest),
    ]
    for name in files:
        with open_random(str(join(directory, name))) as stream, pq.ParquetFile(stream) as file:
            for group in range(file.num_row_groups):
                hits = file.read_row_group(group, columns=[decontamination.HITS])
                rows = pc.indices_nonzero(pc.fill_null(hits[decontamination.HITS], 0))
                if len(rows):
                    yield file.read_row_group(group, columns=list(_COLUMNS)).take(rows)


def _add(found: Review, table: pa.Table) -> Iterator[dict[str, Any]]:
    """Count the hits of `table`, and yield each as a line of review.jsonl."""
    own, index = found.config.decontamination, found.index
    # Looked for again in the text as it was written: pieces may have been cut out since.
    runs = decontamination.runs_of(table["text"], index, own.near_words)
    passages, _ = decontamination.passages_of(runs, index)
    written = {(row, part): (start, stop) for row, part, start, stop in passages.tolist()}
    starts = np.searchsorted(runs[:, 0], np.arange(table.num_rows + 1))
    for row in range(table.num_rows):
        document = {name: table[name][row].as_py() for name in _COLUMNS}
        text = document["text"].encode()
        sets = set()
        for hit in document[decontamination.PASSAGES]:
            part = found.places.get((hit["set"], hit["item"], hit["field"]), -1)
            of_row = runs[starts[row] : starts[row + 1]]
            place = written.get((row, part))
            excerpt, marked = (
                (_CUT_OUT, ())
                if place is None
                else _excerpt(text, *place, of_row[of_row[:, 1] == part][:, 5:7])
            )
            passage = Passage(
                document["id"], document["source"], document["drop_reason"], hit["field"],
                hit["score"], excerpt, marked,
            )  # fmt: skip
            name = f"{hit['set']}:{hit['item']}"
            found.items.setdefault(name, Found()).add(passage)
            if hit["score"] >= np.float32(own.score_min) and name not in own.allow:
                sets.add(hit["set"])
            yield {
                "item": name,
                **{key: hit[key] for key in ("field", "score", "start", "stop")},
                **{key: document[key] for key in ("id", "source", "url", "drop_reason")},
                "passage": excerpt,
            }
        for name in sets:
            found.sources[name, document["source"]] += 1
            found.dropped[name] += document["drop_reason"] == decontamination.REASON


def _key(index: Index, part: int) -> tuple[str, str, str]:
    item = index.items[index.parts.items[part]]
    return item.set, item.id, item.texts[index.parts.fields[part]][0]


def _excerpt(
    text: bytes, start: int, stop: int, runs: Any
) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The passage with what stands around it, and the runs in it as places of characters."""
    stop = min(stop, start + _PASSAGE_BYTES_MAX)
    first, last = max(0, start - _AROUND_BYTES), stop + _AROUND_BYTES
    marks = []
    for begin, end in sorted((int(begin), int(end)) for begin, end in runs):
        if begin >= first and end <= last:
            before = len(text[first:begin].decode(errors="ignore"))
            marks.append((before, before + len(text[begin:end].decode(errors="ignore"))))
    return text[first:last].decode(errors="ignore"), tuple(marks)
