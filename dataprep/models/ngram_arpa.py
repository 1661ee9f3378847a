"""A model as ARPA text, the format that KenLM, SRILM and others read.

Exactly the costs by which we score, so that another program gives the same probabilities. `<s>` has
a probability that nobody asks for.
"""

from collections.abc import Iterator
from pathlib import Path

from dataprep.models.ngram_estimate import Estimate
from dataprep.models.ngram_kernels import BEGIN, COSTS_PER_DIGIT
from dataprep.models.ngram_vocabulary import Vocabulary


def write(path: Path, vocabulary: Vocabulary, found: Estimate) -> None:
    """Write the model; runs in the order of their symbols' numbers."""
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(line + "\n" for line in _lines(vocabulary, found))


def _lines(vocabulary: Vocabulary, found: Estimate) -> Iterator[str]:
    yield "\\data\\"
    for length, runs in enumerate(found.runs, 1):
        yield f"ngram {length}={len(runs.costs)}"
    for length, runs in enumerate(found.runs, 1):
        yield ""
        yield f"\\{length}-grams:"
        last = length == len(found.runs)
        for symbols, cost, backoff in zip(
            runs.symbols.tolist(), runs.costs.tolist(), runs.backoffs.tolist(), strict=True
        ):
            words = " ".join(vocabulary.symbols[symbol] for symbol in symbols)
            share = -99.0 if symbols == [BEGIN] else -cost / COSTS_PER_DIGIT
            weight = "" if last else f"\t{-backoff / COSTS_PER_DIGIT:.7g}"
            yield f"{share:.7g}\t{words}{weight}"
    yield ""
    yield "\\end\\"
