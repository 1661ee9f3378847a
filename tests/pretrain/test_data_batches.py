"""Batches: the same for every layout, labels that are the documents' own, reads like Megatron's."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from launch.errors import PreemptedError, UserError
from launch.manifest import Manifest, read_manifest, write_manifest
from launch.recipe import Recipe
from pretrain.batch import MicroBatch
from pretrain.data.batches import Batches
from pretrain.data.index import build, num_samples
from pretrain.data.order import Order
from pretrain.data.validation import ValidationSequences
from pretrain.forward import document_mask
from pretrain.megatron import IndexedDataset
from pretrain.parallel import World
from tokenizer.contract import open_tokens

MakeRecipe = Callable[..., Recipe]


def world_of(data_rank: int = 0, data_size: int = 1) -> World:
    return World(
        rank=0, size=1, tensor_rank=0, tensor_size=1, pipeline_rank=0, pipeline_size=1,
        data_rank=data_rank, data_size=data_size, device=torch.device("cpu"),
    )  # fmt: skip


def tokens_of(recipe: Recipe) -> Manifest:
    return open_tokens(recipe.tokens, verify=False)


def order_of(recipe: Recipe) -> Order:
    return build(recipe, tokens_of(recipe))


def batches_of(recipe: Recipe, rank: int = 0, stop: Callable[[], bool] = bool) -> Batches:
    size = recipe.pretrain.parallel.data
    return Batches(order_of(recipe), recipe.pretrain, world_of(rank, size), stop)


def whole(recipe: Recipe, iterations: range) -> list[tuple[Any, ...]]:
    """Rows of these iterations in the order of their global indices: index, source, contents."""
    rows: list[tuple[Any, ...]] = []
    for rank in range(recipe.pretrain.parallel.data):
        batches = batches_of(recipe, rank)
        for iteration in iterations:
            for batch in batches.iteration(iteration):
                rows += [
                    (batch.samples[row], int(batch.sources[row]), *(
                        tensor[row].tolist()
                        for tensor in (batch.tokens, batch.labels, batch.mask, batch.positions)
                    ))
                    for row in range(len(batch.samples))
                ]  # fmt: skip
        batches.close()
    return sorted(rows)


def test_batches_depend_on_neither_layout_nor_micro_batch_nor_workers(
    make_recipe: MakeRecipe,
) -> None:
    expected = whole(make_recipe(), range(10))
    assert [row[0] for row in expected] == list(range(80))
    for size, data, workers in ((8, 1, 1), (1, 1, 0), (2, 2, 3), (4, 2, 1), (2, 4, 2)):
        recipe = make_recipe(
            training={"micro_batch_size": size}, parallel={"data": data}, data={"workers": workers}
        )
        assert whole(recipe, range(10)) == expected


def test_a_batch_ramp_reads_the_same_samples(make_recipe: MakeRecipe) -> None:
    ramp = {"batch_size_start": 2, "batch_ramp_iterations": 6}
    recipe = make_recipe(training=ramp)
    expected = whole(make_recipe(), range(10))
    assert whole(recipe, range(10)) == expected[: num_samples(recipe)]


def test_iterations_may_be_asked_for_in_any_order(make_recipe: MakeRecipe) -> None:
    """As after a rewind."""
    batches = batches_of(make_recipe(data={"workers": 2}))
    once = {i: [b.samples for b in batches.iteration(i)] for i in (0, 1, 2)}
    for iteration in (1, 2, 0, 2):
        assert [b.samples for b in batches.iteration(iteration)] == once[iteration]
    beyond = [b.samples for b in batches.iteration(500)]
    assert beyond[0] == (4000, 4001)
    batches.close()


def documents_by_number(recipe: Recipe) -> list[np.ndarray]:
    """All training documents as Megatron's own reader gives them."""
    prefixes = order_of(recipe).documents.prefixes
    return [document for prefix in prefixes for document in read_by_megatron(prefix)]


def read_by_megatron(prefix: Path) -> list[np.ndarray]:
    # Copied: what it gives looks into a map that dies with it.
    return [np.array(document) for document in IndexedDataset(str(prefix))]


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("packing", [True, False])
def test_a_batch_is_what_megatrons_reader_gives_for_its_spans(
    make_recipe: MakeRecipe, packing: bool, masked: bool
) -> None:
    recipe = make_recipe(data={"packing": packing, "mask_documents": masked})
    documents, order = documents_by_number(recipe), order_of(recipe)
    batches = batches_of(recipe)
    rows = 0
    for iteration in range(10):
        for batch in batches.iteration(iteration):
            borders = [0]
            for row, sample in enumerate(batch.samples):
                ((segment, place, _),) = order.segments(sample, sample + 1)
                rows += 1
                at = 0
                spans = range(segment.starts[place], segment.starts[place + 1])
                for span in spans:
                    number, begin, length = (
                        int(array[span]) for array in (
                            segment.spans.documents, segment.spans.begins, segment.spans.lengths
                        )
                    )  # fmt: skip
                    if not length:
                        continue
                    stored = documents[number].astype(np.int64)
                    got = batch.tokens[row, at : at + length].numpy()
                    assert (got == stored[begin : begin + length]).all()
                    following = stored[begin + 1 : begin + length + 1]
                    known = batch.labels[row, at : at + len(following)].numpy()
                    assert (known == following).all()
                    assert batch.mask[row, at : at + len(following)].all()
                    first = 0 if masked else at
                    positions = batch.positions[row, at : at + length].tolist()
                    assert positions == list(range(first, first + length))
                    at += length
                    borders.append(row * 32 + at)
                    if begin + length == len(stored):
                        after = span + 1
                        begins = after in spans and segment.spans.begins[after] == 0
                        counts = bool(batch.mask[row, at - 1])
                        assert counts == (begins and not masked)
                        if counts:
                            number = int(segment.spans.documents[after])
                            assert batch.labels[row, at - 1] == int(documents[number][0])
                assert not batch.mask[row, at:].any()
                if at < 32:
                    borders.append((row + 1) * 32)
            if masked:
                assert batch.borders is not None
                assert batch.borders.tolist() == borders
            else:
                assert batch.borders is None
    assert rows == 80


def labels_of_an_epoch(recipe: Recipe) -> tuple[Counter, int]:
    """How often each source's labels are predicted in the first samples that are one epoch."""
    order = order_of(recipe)
    (name,) = order.stages[0].weights
    tokens = order.documents.source_tokens(order.sources.index(name))
    counted: Counter = Counter()
    batches, done, iteration = batches_of(recipe), 0, 0
    while done < tokens:
        for batch in batches.iteration(iteration):
            for row, sample in enumerate(batch.samples):
                if done >= tokens:
                    break
                ((segment, place, _),) = order.segments(sample, sample + 1)
                spans = slice(segment.starts[place], segment.starts[place + 1])
                done += int(segment.spans.lengths[spans].sum())
                counted.update(batch.labels[row][batch.mask[row].bool()].tolist())
        iteration += 1
    assert done == tokens, "an epoch ends with a sample"
    batches.close()
    return counted, order.sources.index(name)


@pytest.mark.parametrize(
    ("packing", "masked", "related"),
    [(True, True, False), (False, True, False), (False, False, False), (True, True, True)],
)
def test_every_token_is_predicted_once_in_an_epoch(
    make_recipe: MakeRecipe, packing: bool, masked: bool, related: bool
) -> None:
    recipe = make_recipe(
        data={
            "weights": {"notes": 1}, "packing": packing, "mask_documents": masked,
            "related": related,
        },
        training={"iterations": 1000, "epochs_max": 100.0},
    )  # fmt: skip
    counted, number = labels_of_an_epoch(recipe)
    documents = order_of(recipe).documents
    stored = documents_by_number(recipe)
    own = [stored[document] for document in documents.of_source(number)]
    expected = Counter(np.concatenate([document[1:] for document in own]).tolist())
    if not masked:
        # The first token of each document too, but of the epoch's first.
        firsts = Counter(int(document[0]) for document in own)
        assert counted - expected <= firsts
        assert (counted - expected).total() == len(own) - 1
    else:
        assert counted == expected


def test_a_document_sees_itself_alone(make_recipe: MakeRecipe) -> None:
    for batch in batches_of(make_recipe(data={"workers": 0})).iteration(3):
        mask = document_mask(batch)
        assert mask is not None
        assert batch.borders is not None
        flat = torch.bucketize(torch.arange(batch.tokens.numel()), batch.borders[1:], right=True)
        numbers = flat.view(batch.tokens.shape)
        same = (numbers.unsqueeze(2) == numbers.unsqueeze(1)).tril().unsqueeze(1)
        assert torch.equal(mask, same)


def test_waiting_for_data_ends_when_asked_to_stop(
    make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, blocked = threading.Event(), threading.Event()
    batches = batches_of(make_recipe(), stop=asked.is_set)

    def stuck(_parts: Any) -> MicroBatch:
        blocked.wait(30)
        raise AssertionError("nobody wants it any more")

    monkeypatch.setattr(batches, "_make", stuck)
    threading.Timer(0.2, asked.set).start()
    begun = time.monotonic()
    assert not batches.wait(0)
    with pytest.raises(PreemptedError, match="waited for data"):
        next(iter(batches.iteration(0)))
    assert time.monotonic() - begun < 5
    blocked.set()
    batches.close()


def test_an_error_of_a_worker_reaches_the_trainer(
    make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = batches_of(make_recipe())

    def broken(_parts: Any) -> MicroBatch:
        raise OSError("input/output error")

    monkeypatch.setattr(batches, "_make", broken)
    with pytest.raises(OSError, match="input/output"):
        next(iter(batches.iteration(0)))
    batches.close()


@pytest.mark.parametrize("masked", [True, False])
def test_validation_predicts_every_token_once(make_recipe: MakeRecipe, masked: bool) -> None:
    recipe = make_recipe(data={"mask_documents": masked})
    sequences = ValidationSequences(recipe, tokens_of(recipe))
    batches = [sequences.batch([index]) for index in range(len(sequences))]
    (path,) = (recipe.tokens / "valid").glob("*.bin")
    shard = read_by_megatron(path.with_suffix(""))
    facts = tokens_of(recipe).facts["by_source"]["valid"]
    for source in sequences.sources:
        own = [batch for batch in batches if int(batch.sources[0]) == source.number]
        labels = torch.cat([batch.labels[batch.mask.bool()] for batch in own]).tolist()
        documents = [shard[number] for number in members_of(sequences, source.number)]
        if masked:
            expected = np.concatenate([document[1:] for document in documents])
        else:
            expected = np.concatenate(documents)[1:]
        assert labels == expected.tolist()
        assert source.predicted == len(labels)
        assert source.tokens == facts[source.name]["tokens"]
        assert source.tokens_per_byte == 0.25


def members_of(sequences: ValidationSequences, number: int) -> list[int]:
    return sequences._documents.of_source(number).tolist()


def test_a_part_of_the_validation_is_spread_over_all_of_it(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    sequences = ValidationSequences(recipe, tokens_of(recipe))
    chosen = sequences.chosen(10)
    assert len(set(chosen)) == 10
    assert chosen[-1] >= 0.8 * len(sequences)
    assert sequences.chosen(10**6) == list(range(len(sequences)))
    batch = sequences.batch([3, None, None])
    assert batch.samples == (3, -1, -1)
    assert batch.mask[0].any()
    assert not batch.mask[1:].any()
    assert batch.borders is not None
    assert batch.borders[-2:].tolist() == [64, 96]


@pytest.fixture
def damaged(make_recipe: MakeRecipe) -> Recipe:
    """A recipe with a corpus of its own, to be changed."""
    import shutil

    recipe = make_recipe()
    source = recipe.tokens.resolve()
    recipe.tokens.unlink()
    shutil.copytree(source, recipe.tokens)
    return recipe


def first(recipe: Recipe, suffix: str) -> Path:
    return min((recipe.tokens / "train").glob(f"*{suffix}"))


def changed_manifest(recipe: Recipe, **facts: Any) -> None:
    """A manifest that believes what lies there."""
    before = read_manifest_loosely(recipe)
    files = tuple(
        type(entry)(entry.path, entry.rows, (recipe.tokens / entry.path).stat().st_size, "x")
        for entry in before.files
    )
    write_manifest(recipe.tokens, Manifest("tokens", 1, {}, (), files, {**before.facts, **facts}))


def read_manifest_loosely(recipe: Recipe) -> Manifest:
    import json

    from launch.manifest import FileEntry

    text = json.loads((recipe.tokens / "manifest.json").read_text())
    files = tuple(FileEntry(**entry) for entry in text["files"])
    return Manifest("tokens", 1, {}, (), files, text["facts"])


def test_a_cut_off_bin_is_refused(damaged: Recipe) -> None:
    path = first(damaged, ".bin")
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(UserError, match=rf"{path.name}: got \d+ bytes"):
        tokens_of(damaged)
    changed_manifest(damaged)
    with pytest.raises(UserError, match=rf"{path.name}: got \d+ bytes, expected the \d+ bytes of"):
        order_of(damaged)


def test_a_bin_that_is_cut_off_after_the_index_was_built_is_refused(damaged: Recipe) -> None:
    tokens = tokens_of(damaged)
    build(damaged, tokens)
    path = first(damaged, ".bin")
    path.write_bytes(path.read_bytes()[:-2])
    recipe = damaged.to_dict()
    recipe["run"]["seed"] = 2
    again = build(Recipe.from_dict(recipe), tokens)
    with pytest.raises(UserError, match="bytes of its documents"):
        _ = again.documents.memory


def test_an_idx_that_disagrees_is_refused(damaged: Recipe) -> None:
    path = first(damaged, ".idx")
    content = bytearray(path.read_bytes())
    content[34] ^= 1  # the first document's length
    path.write_bytes(bytes(content))
    changed_manifest(damaged)
    with pytest.raises(UserError, match=rf"{path.name}: got \d+ documents of \d+ tokens"):
        order_of(damaged)
    path.write_bytes(b"something else")
    changed_manifest(damaged)
    with pytest.raises(UserError, match=rf"{path.name}: got 14 bytes that are not one"):
        order_of(damaged)


def test_tokens_of_another_tokenizer_are_refused(damaged: Recipe) -> None:
    changed_manifest(damaged, vocab_size=200)
    with pytest.raises(UserError, match=r"\.bin: got token 299, expected ids from 0 to 199"):
        order_of(damaged)
    changed_manifest(damaged, vocab_size=300, eod_id=7)
    with pytest.raises(UserError, match="got token 0 at the end of document 0, expected the end"):
        order_of(damaged)


def test_maps_that_are_missing_or_tell_other_sources_are_refused(damaged: Recipe) -> None:
    by_source = read_manifest(damaged.tokens, "tokens", 1).facts["by_source"]
    renamed = {
        split: {name.replace("notes", "poems"): counts for name, counts in found.items()}
        for split, found in by_source.items()
    }
    changed_manifest(damaged, by_source=renamed)
    with pytest.raises(UserError, match=r"parquet: got source 'notes', expected one of code, poem"):
        order_of(damaged)
    changed_manifest(damaged, by_source=by_source)
    first(damaged, ".parquet").unlink()
    tokens = read_manifest_loosely(damaged)
    with pytest.raises(UserError, match=r"\.parquet: got no such file"):
        build(damaged, tokens)
