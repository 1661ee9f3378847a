"""Figures of the data path: `python -m benchmarks.pretrain`.

The corpus is made up where only speed counts, and of the developers' real texts where its content
does. One thread; comparisons alternate in one run, medians of seven.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.token_corpora import speed_corpus, text_corpus

SEQUENCE = 2_048
BATCH = 8
REPEATS = 7
ITERATIONS = 200
Result = tuple[Any, Any, bool | None]
Numbers = npt.NDArray[Any]


def figures() -> Iterator[tuple[str, Callable[[], Result]]]:
    """Every figure of the data path."""
    yield "data_path", data_path
    yield "dense_cpu_mask", dense_cpu_mask
    yield "data_extended_run", extended_run
    yield "data_more_workers", more_workers
    yield "data_index_build", index_build
    yield "data_packing", packing
    yield "data_blend", blend
    yield "data_related", related


def data_path() -> Result:
    """Our batches with borders and provenance against Megatron's without, tokens/s on one core."""
    import torch

    torch.set_num_threads(1)
    recipe = _speed_recipe()
    ours = _our_batches(recipe)
    theirs = _megatron_batches(recipe)
    rates: dict[str, list[float]] = {"ours": [], "megatron": []}
    for number in range(REPEATS + 1):
        for name, batches in (("ours", ours), ("megatron", theirs)):
            begun = time.perf_counter()
            tokens = sum(next(batches).numel() for _ in range(100))
            if number:  # the first round warms up
                rates[name].append(tokens / (time.perf_counter() - begun))
    medians = {name: statistics.median(found) for name, found in rates.items()}
    ratio = medians["ours"] / medians["megatron"]
    value = {name: round(rate / 1e6, 1) for name, rate in medians.items()}
    return {"million_tokens_per_second": value, "ratio": round(ratio, 3)}, 0.9, ratio >= 0.9


def dense_cpu_mask() -> Result:
    """Million tokens/s at which the dense mask of a CPU's attention is made; no part of the above.

    A GPU takes `cu_seqlens` and needs none.
    """
    import torch

    from pretrain.forward import document_mask

    torch.set_num_threads(1)
    batches = _batches(_speed_recipe())
    batch = next(iter(batches.iteration(0)))
    seconds = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        document_mask(batch)
        seconds.append(time.perf_counter() - begun)
    return round(batch.tokens.numel() / statistics.median(seconds) / 1e6, 2), None, None


def extended_run() -> Result:
    """Samples of 200 iterations that differ in a run of 400, each built in a place of its own."""
    return _different(ITERATIONS, 2 * ITERATIONS, 1, 1)


def more_workers() -> Result:
    """Samples that differ between 1 and 4 threads."""
    return _different(ITERATIONS, ITERATIONS, 1, 4)


def index_build() -> Result:
    """Million tokens/s of what a run builds before it begins, median of five, kernels compiled: the
    table of documents (which reads and checks every token), and the order, by kind."""
    from pretrain.data.documents import open_documents
    from tokenizer.contract import open_tokens

    rates: dict[str, list[float]] = {"table": []}
    kinds: dict[str, dict[str, Any]] = {
        "packed": {}, "joined": {"packing": False}, "related": {"related": True},
    }  # fmt: skip
    for seed in range(6):
        with tempfile.TemporaryDirectory() as root:
            (Path(root) / "tokens").symlink_to(speed_corpus() / "tokens")
            recipe = _recipe(Path(root), SEQUENCE, {}, seed)
            tokens = open_tokens(recipe.tokens, verify=False)
            begun = time.perf_counter()
            count = open_documents(recipe, tokens, "train").num_tokens
            rates["table"].append(count / (time.perf_counter() - begun))
        for name, data in kinds.items():
            order = _order(_speed_recipe(seed=100 + seed, data=data))
            begun = time.perf_counter()
            built = sum(count for _, count in order.build(60_000))
            rates.setdefault(name, []).append(built / (time.perf_counter() - begun))
    found = {name: round(statistics.median(some[1:]) / 1e6, 1) for name, some in rates.items()}
    return found, None, None


def packing() -> Result:
    """Share of padding, and of documents no longer than a sequence that are cut, of real texts."""
    found = {}
    for size in (512, 2_048):
        for name, packed in (("best_fit", True), ("joined", False)):
            order = _order(_text_recipe(size, {"packing": packed}))
            places, cut, whole, tokens, samples = _one_epoch(order), 0, 0, 0, 0
            for documents, _, lengths in places:
                sizes = np.diff(order.documents.positions)[documents]
                short = sizes <= size
                whole += int((short & (lengths == sizes)).sum())
                cut += len(np.unique(documents[short & (lengths < sizes)]))
                tokens += int(lengths.sum())
                samples += 1
            entry = {"padding": 1 - tokens / samples / size, "cut": cut / max(1, cut + whole)}
            found[f"{name}_{size}"] = {key: round(value, 5) for key, value in entry.items()}
    return found, None, None


def blend() -> Result:
    """Largest distance of a source's share of the tokens from its weight, over all prefixes of at
    least as many samples, packing by best fit and sources of quite different texts."""
    weights = {"en": 0.7, "zh": 0.29, "man": 0.01}
    order = _order(_text_recipe(512, {"weights": weights}))
    sources, tokens = [], []
    for segment, low, high in order.segments(0, 20_000):
        sources.append(segment.sources[low:high])
        sums = np.add.reduceat(segment.spans.lengths, segment.starts[:-1])
        tokens.append(sums[low:high])
    source, sizes = np.concatenate(sources), np.concatenate(tokens).astype(np.int64)
    total = np.cumsum(sizes)
    worst = {}
    for least in (10, 100, 1_000, 10_000):
        distances = [
            np.abs(np.cumsum(sizes * (source == order.sources.index(name))) / total - share)
            for name, share in weights.items()
        ]
        worst[str(least)] = float(f"{max(part[least:].max() for part in distances):.2g}")
    return worst, None, None


def related() -> Result:
    """Mean Jaccard similarity of the sets of rare tokens of two documents that follow each other in
    a sequence, with `data.related` and without, and the padding that each leaves."""
    found = {}
    for name, on in (("related", True), ("shuffled", False)):
        order = _order(_text_recipe(2_048, {"related": on}))
        counts = _document_frequency(order)
        pairs, tokens, samples = [], 0, 0
        for documents, _, lengths in _one_epoch(order):
            tokens += int(lengths.sum())
            samples += 1
            sets = [_rare(order, int(document), counts) for document in documents[:20]]
            pairs += [len(a & b) / len(a | b) for a, b in pairwise(sets) if a and b]
        padding = 1 - tokens / samples / 2_048
        found[name] = {"similarity": round(float(np.mean(pairs)), 4), "padding": round(padding, 4)}
    return found, None, found["related"]["similarity"] > found["shuffled"]["similarity"]


def _different(first: int, second: int, workers: int, others: int) -> Result:
    rows = []
    for iterations, threads in ((first, workers), (second, others)):
        with tempfile.TemporaryDirectory() as root:
            (Path(root) / "tokens").symlink_to(speed_corpus() / "tokens")
            recipe = _recipe(Path(root), SEQUENCE, {"workers": threads}, 1, iterations=iterations)
            batches = _batches(recipe)
            rows.append(
                [
                    (number, hash(batch.tokens[row].numpy().tobytes()))
                    for iteration in range(first)
                    for batch in batches.iteration(iteration)
                    for row, number in enumerate(batch.samples)
                ]
            )
            batches.close()
    differ = sum(a != b for a, b in zip(*rows, strict=True))
    return {"samples": len(rows[0]), "differ": differ}, 0, differ == 0


def _recipe(root: Path, sequence: int, data: dict[str, Any], seed: int, **training: Any) -> Any:
    from launch.recipe import Recipe

    tables = {
        "model": {"sequence_length": sequence},
        "training": {
            "iterations": 1_000, "batch_size": BATCH, "micro_batch_size": BATCH,
            "epochs_max": 1e6, "warmup_iterations": 1, **training,
        },
        "data": {"workers": 0, **data},
    }  # fmt: skip
    run = {"name": "x", "root": str(root), "seed": seed}
    return Recipe.from_dict({"run": run, "pretrain": tables})


def _speed_recipe(seed: int = 1, data: dict[str, Any] | None = None) -> Any:
    return _recipe(speed_corpus(), SEQUENCE, data or {}, seed)


def _text_recipe(sequence: int, data: dict[str, Any]) -> Any:
    return _recipe(text_corpus(), sequence, data, 1)


def _order(recipe: Any) -> Any:
    from pretrain.data.index import open_order
    from tokenizer.contract import open_tokens

    return open_order(recipe, open_tokens(recipe.tokens, verify=False))


def _batches(recipe: Any) -> Any:
    import torch

    from pretrain.data.batches import Batches
    from pretrain.parallel import World

    world = World(
        rank=0, size=1, tensor_rank=0, tensor_size=1, pipeline_rank=0, pipeline_size=1,
        data_rank=0, data_size=1, device=torch.device("cpu"),
    )  # fmt: skip
    return Batches(_order(recipe), recipe.pretrain, world, bool)


def _our_batches(recipe: Any) -> Iterator[Any]:
    batches = _batches(recipe)
    for iteration in range(1_000):
        for batch in batches.iteration(iteration):
            assert batch.borders is not None
            yield batch.tokens


def _megatron_batches(recipe: Any) -> Iterator[Any]:
    """GPTDataset as Megatron's trainers read it on one core: torch's DataLoader without workers."""
    import torch

    from pretrain.megatron import GPTDataset, GPTDatasetConfig, IndexedDataset

    class Tokens:
        vocab_size, eod = 32_000, 0
        unique_identifiers: dict[str, int] = {"vocab_size": 32_000}  # noqa: RUF012

    prefix = str(next((recipe.tokens / "train").glob("*.bin")).with_suffix(""))
    config = GPTDatasetConfig(
        random_seed=1, sequence_length=SEQUENCE, split="1,0,0", path_to_cache=None,
        tokenizer=Tokens(), reset_position_ids=False, reset_attention_mask=False,
        eod_mask_loss=False, create_attention_mask=False, mid_level_dataset_surplus=0.005,
    )  # fmt: skip
    from importlib import import_module

    split = import_module("megatron.core.datasets.utils").Split.train
    indexed = IndexedDataset(prefix)
    numbers = np.arange(len(indexed), dtype=np.int32)
    dataset = GPTDataset(indexed, prefix, numbers, 16_000, split, config)
    loader = torch.utils.data.DataLoader(dataset, batch_size=BATCH, num_workers=0)
    while True:
        for batch in loader:
            yield batch["tokens"]


def _one_epoch(order: Any) -> Iterator[tuple[Numbers, Numbers, Numbers]]:
    """Spans of each sample until as many tokens were given as there are."""
    given = sample = 0
    while given < order.documents.num_tokens:
        segment = order.segment_of(sample)
        for place in range(len(segment)):
            if given >= order.documents.num_tokens:
                break
            spans = slice(segment.starts[place], segment.starts[place + 1])
            lengths = segment.spans.lengths[spans]
            given += int(lengths.sum())
            yield segment.spans.documents[spans], segment.spans.begins[spans], lengths
        sample = segment.first + len(segment)


def _document(order: Any, number: int) -> Numbers:
    positions = order.documents.positions
    return np.asarray(order.documents.memory.shards[0][positions[number] : positions[number + 1]])


def _document_frequency(order: Any) -> Numbers:
    counts = np.zeros(order.documents.vocab_size, np.int64)
    for number in range(len(order.documents.positions) - 1):
        counts[np.unique(_document(order, number))] += 1
    return counts


def _rare(order: Any, number: int, counts: Numbers) -> set[int]:
    """Tokens of a document that at most one document of a hundred has, and another one too."""
    most = max(2, (len(order.documents.positions) - 1) // 100)
    found = np.unique(_document(order, number))
    return set(found[(counts[found] >= 2) & (counts[found] <= most)].tolist())
