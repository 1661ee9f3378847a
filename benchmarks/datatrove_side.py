"""What datatrove does with the same documents: run by the Python of an environment of its own.

    python -m benchmarks.datatrove_side decide DOCUMENTS.jsonl OUTPUT.jsonl
    python -m benchmarks.datatrove_side time DOCUMENTS.jsonl REPEATS
    python -m benchmarks.datatrove_side pass FOLDER REPEATS

`DOCUMENTS` holds one JSON object a line with `text`. `decide` writes, for each document, what each
of four filters says (null: kept, else its reason) and where datatrove's words lie in the text, in
bytes. `time` prints one JSON object: seconds of each repeat, by filter, with datatrove's own word
splitter, with `str.split` in its place, and with C4's sentences split by a pattern as well. `pass`
prints the seconds of its whole pipeline, from FOLDER's JSON lines through the filters and the
removal of personal data to JSON lines.
"""

import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.formatters import PIIFormatter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils import text as datatrove_text

FILTERS: dict[str, Callable[[], Any]] = {
    "gopher_quality": GopherQualityFilter,
    "gopher_repetition": GopherRepetitionFilter,
    "c4": C4QualityFilter,
    "fineweb": FineWebQualityFilter,
}
_MODULES = (
    "gopher_quality_filter",
    "gopher_repetition_filter",
    "c4_filters",
    "fineweb_quality_filter",
)


def documents(path: Path) -> Iterator[Document]:
    with path.open(encoding="utf-8") as lines:
        for row, line in enumerate(lines):
            yield Document(text=json.loads(line)["text"], id=str(row))


def decide(path: Path, output: Path) -> None:
    filters = {name: make() for name, make in FILTERS.items()}
    with output.open("w", encoding="utf-8") as out:
        for document in documents(path):
            text = document.text
            decisions = {}
            for name, one in filters.items():
                answer = one.filter(Document(text=text, id=document.id))
                kept = answer is True
                decisions[name] = None if kept else answer[1] if answer else "unnamed"
            words = datatrove_text.split_into_words(text)
            out.write(json.dumps({"decisions": decisions, "words": places(text, words)}) + "\n")


def places(text: str, words: list[str]) -> list[int]:
    """Beginning and end of each word in bytes, one after the other."""
    found: list[int] = []
    character = offset = 0
    for word in words:
        start = text.index(word, character)
        offset += len(text[character:start].encode())
        length = len(word.encode())
        found += [offset, offset + length]
        offset += length
        character = start + len(word)
    return found


def timed(path: Path, repeats: int) -> dict[str, Any]:
    texts = [document.text for document in documents(path)]
    split, into_sentences = datatrove_text.split_into_words, datatrove_text.split_into_sentences
    result: dict[str, Any] = {"documents": len(texts)}
    for splitter, words, sentences in (
        ("own", split, into_sentences),
        ("spaces", _spaces, into_sentences),
        ("no_tokenizer", _spaces, _pattern),
    ):
        _replace("split_into_words", words)
        _replace("split_into_sentences", sentences)
        for name, make in FILTERS.items():
            one = make()
            one.filter(Document(text=texts[0], id="0"))
            result[f"{name}_{splitter}"] = [
                _seconds(lambda one=one: [one.filter(Document(text=t, id="0")) for t in texts])
                for _ in range(repeats)
            ]
    return result


def whole_pass(folder: Path, repeats: int) -> list[float]:
    seconds = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as output:
            executor = LocalPipelineExecutor(
                [
                    JsonlReader(str(folder)),
                    *(make() for make in FILTERS.values()),
                    PIIFormatter(),
                    JsonlWriter(f"{output}/out", compression=None),
                ],
                tasks=1,
                logging_dir=f"{output}/logs",
            )
            seconds.append(_seconds(executor.run))
    return seconds


def _spaces(text: str, language: str | None = None) -> list[str]:
    return text.split()


def _pattern(text: str, language: str | None = None) -> list[str]:
    return re.split(r"(?<=[.!?])\s+", text)


def _replace(name: str, function: Callable[..., list[str]]) -> None:
    """Let every filter split with `function`."""
    for file in _MODULES:
        module = sys.modules[f"datatrove.pipeline.filters.{file}"]
        if hasattr(module, name):
            setattr(module, name, function)


def _seconds(work: Callable[[], object]) -> float:
    # The cache of the last texts would flatter a repeat.
    datatrove_text.split_into_parts.cache_clear()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    command, source, argument = sys.argv[1:]
    if command == "decide":
        decide(Path(source), Path(argument))
    elif command == "pass":
        print(json.dumps(whole_pass(Path(source), int(argument))))
    else:
        print(json.dumps(timed(Path(source), int(argument))))
