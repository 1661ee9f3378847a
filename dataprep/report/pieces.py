"""The report's tables of pieces that were cut out again and again, by step.

In: the written files of `cuts/`. Pieces are told apart by length and first characters, which is
enough to show them. So that memory does not grow with their number, all but the largest are
forgotten from file to file: where there are more different ones than that, a number may be low.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dataprep.report.markup import count, escape, row, sampled, size, table

_DIFFERENT_MAX = 10_000
_CHARACTERS = 300
_SHOWN = 10

Key = tuple[str, int, str]


def commonest(paths: Sequence[Path]) -> dict[str, list[dict[str, Any]]]:
    """By step, the pieces that were cut out at least twice, those that took most text first: how
    often, bytes of one, and how it begins."""
    counted: Counter[Key] = Counter()
    for path in paths:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                counted.update(_counted(file.read_row_group(group, columns=["step", "text"])))
        if len(counted) > _DIFFERENT_MAX:
            counted = Counter(dict(_ordered(counted)[:_DIFFERENT_MAX]))
    found: dict[str, list[dict[str, Any]]] = {}
    for (step, num_bytes, text), number in _ordered(counted):
        of_step = found.setdefault(step, [])
        if number > 1 and len(of_step) < _SHOWN:
            of_step.append({"pieces": number, "bytes": num_bytes, "text": text})
    return dict(sorted(found.items()))


def _counted(pieces: pa.Table) -> dict[Key, int]:
    text = pc.utf8_trim_whitespace(pieces["text"])
    keys = {
        "step": pieces["step"],
        "bytes": pc.binary_length(text),
        "text": pc.utf8_slice_codeunits(text, 0, _CHARACTERS),
    }
    grouped = pa.table(keys).group_by(list(keys)).aggregate([("text", "count")])
    columns = [grouped[name].to_pylist() for name in (*keys, "text_count")]
    return {(step, size, text): number for step, size, text, number in zip(*columns, strict=True)}


def _ordered(counted: Mapping[Key, int]) -> list[tuple[Key, int]]:
    """Those that took most bytes first."""
    return sorted(counted.items(), key=lambda item: (-item[1] * item[0][1], item[0]))


def pieces(report: Mapping[str, Any]) -> str:
    """How much was cut out of documents that others share it with, and what most often."""
    facts = report["facts"].get("pieces", {})
    if not facts:
        return "<p>No piece was cut out of a text.</p>"
    heads = ("step", "#pieces", "#bytes of all")
    rows = [
        row(
            f"<code>{escape(step)}</code>", f"#{count(tally['pieces'])}", f"#{size(tally['bytes'])}"
        )
        for step, tally in facts.items()
    ]
    often = [
        table(("#times cut", "#bytes of one", f"<code>{escape(step)}</code> begins"), _shown(found))
        for step, found in report["pieces"].items()
        if found
    ]
    return table(heads, rows) + "".join(often)


def _shown(found: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        row(
            f"#{count(piece['pieces'])}",
            f"#{size(piece['bytes'])}",
            # In a span: a text that begins with `#` is no number.
            f"<span>{sampled(piece['text'])}</span>",
        )
        for piece in found
    ]
