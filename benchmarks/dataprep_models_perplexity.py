"""Figures of perplexity: our n-gram model's ranking of documents against KenLM's, and its speed.

For each language three quarters of a set are learnt from; the held-out quarter is scored whole and
with a share of its words (for Chinese, characters) shuffled. KenLM's 5-gram, unpruned, is estimated
by its own `lmplz` from the same symbols, joined by blanks, and asked through its own library; units
are the same. Without the two oracles the rankings are not measured, the other figures are:

    GRISTMILL_LMPLZ   the program lmplz. Debian's libboost-{program-options,system,thread,test}-dev;
                      pip download --no-deps --no-binary kenlm kenlm==0.3.0; unpack it; in a folder
                      beside it: cmake -DCMAKE_BUILD_TYPE=Release ../kenlm-0.3.0; make lmplz
    GRISTMILL_KENLM   a directory that holds the package kenlm, if the extra is not installed
"""

import functools
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash
from scipy.stats import spearmanr

from benchmarks.documents import texts
from dataprep.arrow_buffers import text_buffers
from dataprep.config_perplexity import Perplexity, PerplexityTraining
from dataprep.models import ngram, ngram_file
from dataprep.models.evaluation import evaluate
from dataprep.models.ngram_kernels import BEGIN, END
from dataprep.models.ngram_vocabulary import Vocabulary, symbols_of
from dataprep.models.ngram_words import words
from dataprep.text.normalize import normalize

SETS = {"en": "en_wiki", "zh": "zh_docs"}
SPEED_SETS = {"en": "en_c4", "zh": "zh_docs"}
# Shares of the words that change places.
SHARES = (0.0, 0.05, 0.1, 0.3, 1.0)
SMALL_NGRAMS = 500_000
SPEARMAN_MIN = 0.9
RATE_MIN = 10.0
_SPEED_BYTES = 8_000_000
_CONFIG = Perplexity(training=(PerplexityTraining(language="en", paths=("-",)),))


@dataclass(frozen=True)
class Trained:
    """A model of the learnt part of a set, and the held-out documents."""

    vocabulary: Vocabulary
    tables: ngram_file.Tables
    training: pa.Array
    held_out: tuple[str, ...]
    seconds: float


@functools.cache
def split(language: str) -> tuple[pa.Array, tuple[str, ...]]:
    """The learnt part, normalized, and the held-out quarter, chosen by content."""
    found = [text for text in dict.fromkeys(texts(SETS[language])) if text.strip()]
    held_out = [text for text in found if xxhash.xxh3_64_intdigest(text.encode()) % 4 == 0]
    learnt = sorted({*found} - {*held_out})
    return normalize(pa.array(learnt, pa.large_string())), tuple(held_out)


@functools.cache
def trained(language: str, ngrams_max: int = _CONFIG.ngrams_max) -> Trained:
    """Our model with the recipe's defaults but for the number of n-grams."""
    training, held_out = split(language)
    start = time.process_time()
    vocabulary, found = ngram.train(training, _CONFIG.order, _CONFIG.vocabulary_max, ngrams_max)
    tables = ngram.tables_of(vocabulary, found, {})
    return Trained(vocabulary, tables, training, held_out, time.process_time() - start)


def shuffled(text: str, language: str, share: float, draw: random.Random) -> str:
    """The text with this share of its words, drawn from everywhere, in each other's places."""
    parts = list(text) if language == "zh" else text.split(" ")
    places = draw.sample(range(len(parts)), int(share * len(parts)))
    moved = draw.sample(places, len(places))
    changed = list(parts)
    for here, there in zip(places, moved, strict=True):
        changed[here] = parts[there]
    return ("" if language == "zh" else " ").join(changed)


def garbage(text: str, language: str, draw: random.Random) -> str:
    """As many random letters, or random common characters, in words of the same lengths."""
    letters = (
        [chr(code) for code in range(0x4E00, 0x9FA6)]
        if language == "zh"
        else list("abcdefghijklmnopqrstuvwxyz")
    )
    return "".join(draw.choice(letters) if character.isalnum() else character for character in text)


@functools.cache
def mixed(language: str) -> dict[float, pa.Array]:
    """By share of shuffled words, the held-out documents."""
    draw = random.Random(6)
    held_out = split(language)[1]
    found = {}
    for share in SHARES:
        made = [shuffled(text, language, share, draw) for text in held_out]
        found[share] = normalize(pa.array(made, pa.large_string()))
    return found


def lmplz() -> Path:
    """KenLM's estimator. Raises FileNotFoundError where the environment names none."""
    path = Path(os.environ.get("GRISTMILL_LMPLZ", "none"))
    if not path.is_file():
        raise FileNotFoundError("lmplz: set GRISTMILL_LMPLZ to the program, built from KenLM")
    return path


def kenlm() -> Any:
    """KenLM's library. Raises FileNotFoundError where it is not to be had."""
    place = os.environ.get("GRISTMILL_KENLM")
    if place and place not in sys.path:
        sys.path.append(place)
    try:
        import kenlm
    except ImportError:
        raise FileNotFoundError("kenlm: the extra [kenlm], or GRISTMILL_KENLM") from None
    return kenlm


def kenlm_5gram(lines: Sequence[str], folder: Path) -> Any:
    """An unpruned 5-gram of lines of tokens, as `lmplz` makes it without further options."""
    module = kenlm()
    (folder / "tokens").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with (folder / "tokens").open("rb") as given, (folder / "arpa").open("wb") as made:
        command = [str(lmplz()), "-o", "5", "-S", "2G", "-T", str(folder)]
        subprocess.run(command, stdin=given, stdout=made, check=True, stderr=subprocess.DEVNULL)
    return module.Model(str(folder / "arpa"))


def as_symbols(spoken: pa.Array, vocabulary: Vocabulary) -> list[list[str]]:
    """By text, its lines of our symbols, joined by blanks."""
    found = []
    for row in range(len(spoken)):
        stream = symbols_of(spoken.slice(row, 1), vocabulary).tolist()
        lines: list[list[str]] = []
        for symbol in stream:
            if symbol == BEGIN:
                lines.append([])
            elif symbol != END:
                lines[-1].append(vocabulary.symbols[symbol])
        found.append([" ".join(line) for line in lines])
    return found


def as_words(spoken: pa.Array, _: Vocabulary | None = None) -> list[list[str]]:
    """By text, its lines of whole words, as a KenLM model without spelling would have them."""
    return [text.split("\n") if text else [] for text in spoken.to_pylist()]


def ranking(language: str) -> tuple[Any, float, bool]:
    """Spearman's rank correlation of perplexities, ours and KenLM's, over all mixed documents.

    `small` is our model with 500,000 n-grams; `whole_words` compares with a KenLM that was given
    words unspelled, of which it knows all that it saw, and counts each as one.
    """
    ours, small = trained(language), trained(language, SMALL_NGRAMS)
    documents = pa.concat_arrays(list(mixed(language).values()))
    spoken = words(documents)
    units = ngram.costs(spoken, ours.tables)[1]
    own = ngram.perplexities(documents, ours.tables)
    value: dict[str, Any] = {"documents": len(documents)}
    for name, split_up in (("spearman", as_symbols), ("spearman_whole_words", as_words)):
        with tempfile.TemporaryDirectory() as folder:
            learnt = split_up(words(ours.training), ours.vocabulary)
            model = kenlm_5gram([line for lines in learnt for line in lines], Path(folder))
        digits = [
            -sum(model.score(line) for line in lines) for lines in split_up(spoken, ours.vocabulary)
        ]
        if split_up is as_words:
            units = np.array([sum(line.count(" ") + 2 for line in of) for of in as_words(spoken)])
        theirs = np.array(digits) / units
        value[name] = round(float(spearmanr(own, theirs).statistic), 4)
        if split_up is as_symbols:
            reduced = ngram.perplexities(documents, small.tables)
            value["spearman_small"] = round(float(spearmanr(reduced, theirs).statistic), 4)
            num = len(ours.held_out)
            value["auc_of_kenlm"] = auc(theirs[:num], theirs[-num:])
            value["largest_difference"] = float(np.abs(np.log10(own) - theirs).max())
    return value, SPEARMAN_MIN, value["spearman"] >= SPEARMAN_MIN


def telling_apart(language: str) -> tuple[Any, None, None]:
    """AUC of held-out documents against the same ones spoiled, by the perplexity alone."""
    tables = trained(language).tables
    whole = ngram.perplexities(mixed(language)[0.0], tables)
    draw = random.Random(7)
    spoiled = {f"{share:.0%} shuffled": mixed(language)[share] for share in SHARES[1:]}
    made = [garbage(text, language, draw) for text in split(language)[1]]
    spoiled["garbage"] = pa.array(made, pa.large_string())
    value = {
        name: auc(whole, ngram.perplexities(column, tables)) for name, column in spoiled.items()
    }
    return value, None, None


def auc(whole: Any, spoiled: Any) -> float | None:
    """The chance that a spoiled document has a greater perplexity than a whole one."""
    scores = np.concatenate([whole, spoiled]).astype(np.float32)
    found = evaluate(scores, np.arange(len(scores)) >= len(whole), 0.5)["auc"]
    return None if found is None else round(found, 4)


def speed(language: str) -> tuple[Any, float, bool]:
    """MB of text for each second of the processor, words included; the median of seven."""
    tables = trained(language).tables
    chosen: list[str] = []
    size = 0
    for text in texts(SPEED_SETS[language]):
        chosen.append(text)
        size += len(text.encode())
        if size >= _SPEED_BYTES:
            break
    column = normalize(pa.array(chosen, pa.large_string()))
    data, _ = text_buffers(column)
    rates = []
    for turn in range(8):
        start = time.process_time()
        ngram.perplexities(column, tables)
        if turn:
            rates.append(len(data) / 1e6 / (time.process_time() - start))
    rate = statistics.median(rates)
    return round(rate, 1), RATE_MIN, rate >= RATE_MIN


def size(language: str) -> tuple[Any, None, None]:
    """Bytes of the model's file, and what it was trained from and how long."""
    found = {}
    for name, model in (
        ("default", trained(language)),
        ("small", trained(language, SMALL_NGRAMS)),
    ):
        with tempfile.TemporaryDirectory() as folder:
            ngram_file.save(Path(folder) / "model", model.tables)
            found[name] = (Path(folder) / "model").stat().st_size
    model = trained(language)
    found |= {"text_bytes": model.training.nbytes, "training_seconds": round(model.seconds, 1)}
    return found, None, None


def figures() -> Iterator[tuple[str, Callable[[], tuple[Any, Any, bool | None]]]]:
    """Names and computations of all figures."""
    for language in SETS:
        yield f"perplexity_ranking_{language}", functools.partial(ranking, language)
        yield f"perplexity_auc_{language}", functools.partial(telling_apart, language)
        yield f"perplexity_megabytes_per_second_{language}", functools.partial(speed, language)
        yield f"perplexity_model_bytes_{language}", functools.partial(size, language)
