"""datatrove's PIIFormatter on given documents: run by the Python of an environment of its own.

    python -m benchmarks.datatrove_pii_side DOCUMENTS.jsonl

For each line that it reads it formats all documents once and prints one JSON object: `seconds`, and
how many documents were `changed`.
"""

import json
import sys
import time
from pathlib import Path

from datatrove.pipeline.formatters import PIIFormatter


def main(path: Path) -> None:
    with path.open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    formatter = PIIFormatter()
    for _ in sys.stdin:
        start = time.perf_counter()
        formatted = [formatter.format(text) for text in texts]
        seconds = time.perf_counter() - start
        changed = sum(new != old for new, old in zip(formatted, texts, strict=True))
        print(json.dumps({"seconds": seconds, "changed": changed}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
