"""Signatures by other tools, run by the Python of an environment that has the tool.

    python -m benchmarks.signatures_side datatrove|datasketch|rensa DOCUMENTS.jsonl

Prints one JSON object: documents a second of processor time `from_texts` and, where the tool takes
them, with `shingles_given`. Medians of five after a warm-up.
"""

import json
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

PERMUTATIONS, WORDS, REPEATS = 112, 5, 5


def shingles(text: str) -> list[str]:
    words = re.findall(r"\w+", text.lower())
    return [" ".join(words[i : i + WORDS]) for i in range(len(words) - WORDS + 1)]


def rate(number: int, work: Callable[[], object]) -> float:
    work()
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return number / statistics.median(seconds)


def datatrove(texts: list[str]) -> dict[str, float]:
    from datatrove.pipeline.dedup import MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig

    step = MinhashDedupSignature(output_folder="/nowhere", config=MinhashConfig())
    assert step.config.num_buckets * step.config.hashes_per_bucket == PERMUTATIONS
    assert step.config.n_grams == WORDS

    def work() -> None:
        for text in texts:
            step.get_signature(step.get_shingles(text))

    return {"from_texts": rate(len(texts), work)}


def datasketch(texts: list[str]) -> dict[str, float]:
    import xxhash
    from datasketch import MinHash

    def bulk(given: list[list[bytes]]) -> object:
        keys = {"hashfunc": xxhash.xxh32_intdigest, "scheme": "affine32"}
        return MinHash.bulk(given, num_perm=PERMUTATIONS, **keys)

    def encoded() -> list[list[bytes]]:
        return [[shingle.encode() for shingle in shingles(text)] for text in texts]

    given = encoded()
    return {
        "from_texts": rate(len(texts), lambda: bulk(encoded())),
        "shingles_given": rate(len(texts), lambda: bulk(given)),
    }


def rensa(texts: list[str]) -> dict[str, float]:
    from rensa import RMinHash

    def matrix(given: list[list[str]]) -> object:
        return RMinHash.digest_matrix_from_token_sets(given, PERMUTATIONS, 42)

    given = [shingles(text) for text in texts]
    return {
        "from_texts": rate(len(texts), lambda: matrix([shingles(text) for text in texts])),
        "shingles_given": rate(len(texts), lambda: matrix(given)),
    }


if __name__ == "__main__":
    tool, path = sys.argv[1:]
    lines = Path(path).read_bytes().splitlines()
    documents = [json.loads(line)["text"] for line in lines]
    tools = {"datatrove": datatrove, "datasketch": datasketch, "rensa": rensa}
    print(json.dumps(tools[tool](documents)))
