"""The order: every token once in each epoch, whatever the run's length; stages lose nothing."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.errors import UserError
from launch.recipe import Recipe
from pretrain.data import order as order_module
from pretrain.data.blocks import Cursor, Form, next_block
from pretrain.data.documents import Documents
from pretrain.data.index import build, num_samples
from pretrain.data.mixture import Mixture, State, first_state
from pretrain.data.order import Division, Order
from pretrain.data.sources import WEIGHT_ONE, OrderStage, coverage, epochs_by_source, order_stages
from tokenizer.contract import open_tokens

MakeRecipe = Callable[..., Recipe]


def order_of(recipe: Recipe) -> Order:
    return build(recipe, open_tokens(recipe.tokens, verify=False))


def read(order: Order, first: int, end: int) -> list[tuple[int, list[tuple[int, int, int]]]]:
    """Source and spans of the samples from `first` to `end`."""
    found = []
    for segment, low, high in order.segments(first, end):
        for place in range(low, high):
            spans = slice(int(segment.starts[place]), int(segment.starts[place + 1]))
            arrays = (segment.spans.documents, segment.spans.begins, segment.spans.lengths)
            rows = zip(*(array[spans].tolist() for array in arrays), strict=True)
            found.append((int(segment.sources[place]), list(rows)))
    return found


def made_up(lengths: list[list[int]]) -> Documents:
    """Documents of given lengths, by source, in one shard that nobody reads."""
    flat = [length for source in lengths for length in source]
    counts = np.cumsum([0, *[len(source) for source in lengths]])
    return Documents(
        (), (), np.dtype(np.uint16), 300, tuple("abcdef"[: len(lengths)]),
        np.cumsum([0, *flat]).astype(np.int64), np.arange(len(flat), dtype=np.int32),
        counts.astype(np.int64), np.array([0, len(flat)]),
        np.array([sum(source) for source in lengths], np.int64),
    )  # fmt: skip


def stage_of(number: int, length: int, weights: list[int]) -> OrderStage:
    total = sum(weights)
    shares = {"abcdef"[i]: w * WEIGHT_ONE // total for i, w in enumerate(weights) if w}
    shares[next(iter(shares))] += WEIGHT_ONE - sum(shares.values())
    return OrderStage(number, 0, 0, None, length, shares)


def tokens_by_document(spans: Any) -> Counter:
    rows = zip(*(a.tolist() for a in (spans.documents, spans.begins, spans.lengths)), strict=True)
    return Counter((document, begin + i) for document, begin, n in rows for i in range(n))


LENGTHS = st.lists(st.integers(1, 80), min_size=1, max_size=30)


@given(LENGTHS, st.integers(1, 400), st.integers(0, 2**32))
def test_an_epoch_is_cut_into_blocks_that_hold_every_document_once(
    lengths: list[int], block_tokens: int, seed: int
) -> None:
    documents = made_up([lengths])
    cursor = Cursor()
    orders = []
    for epoch in range(2):
        seen: list[int] = []
        blocks = 0
        while cursor.epoch == epoch:
            spans, cursor = next_block(documents, 0, seed, block_tokens, cursor)
            seen += spans.documents.tolist()
            blocks += 1
        assert sorted(seen) == list(range(len(lengths)))
        assert blocks <= -(-sum(lengths) // block_tokens)
        orders.append(seen)
    if len(lengths) > 12:
        assert orders[0] != orders[1], "every epoch has an order of its own"


@given(
    st.lists(LENGTHS, min_size=1, max_size=3),
    st.lists(
        st.tuples(st.integers(4, 40), st.integers(0, 30), st.booleans()), min_size=2, max_size=4
    ),
    st.booleans(), st.booleans(), st.data(),
)  # fmt: skip
def test_stages_read_every_token_of_a_source_once_in_each_epoch(
    lengths: list[list[int]],
    stages: list[tuple[int, int, bool]],
    packing: bool,
    masked: bool,
    data: st.DataObject,
) -> None:
    """Across stages of other lengths and mixtures, cut anywhere, also while nothing of a source is
    wanted: what a stage leaves of a block comes in a later one."""
    documents = made_up(lengths)
    rest: dict[int, Any] = {}
    state = first_state(len(lengths))
    seen: list[Counter] = [Counter() for _ in lengths]
    for number, (size, count, _) in enumerate(stages):
        weights = [data.draw(st.integers(0, 3)) for _ in lengths]
        weights[data.draw(st.integers(0, len(lengths) - 1))] += 1
        form = Form(size, packing, False, masked, block_tokens=200)
        stage = stage_of(number, size, weights)
        mixture = Mixture(documents, 5, form, stage, rest, state)
        if count:
            starts, spans, sources = mixture.draw(count)
            assert (packed_sizes(starts, spans.lengths) <= size).all()
            for sample, source in enumerate(sources):
                part = slice(starts[sample], starts[sample + 1])
                arrays = (spans.documents[part], spans.begins[part], spans.lengths[part])
                for document, begin, length in zip(*arrays, strict=True):
                    seen[source].update((int(document), int(begin) + i) for i in range(length))
        rest, state = mixture.end()
        state = State.from_dict(state.to_dict())
        for source, found in enumerate(seen):
            # Read, left over, and the blocks before the cursor are the same tokens.
            cursor = state.sources[source].cursor
            total = found.copy()
            if source in rest:
                total += tokens_by_document(rest[source])
            expected: Counter = Counter()
            at = Cursor()
            while at != cursor:
                block, at = next_block(documents, source, 5, 200, at)
                expected += tokens_by_document(block)
            assert total == expected


def packed_sizes(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return np.add.reduceat(lengths, starts[:-1])


@given(st.lists(LENGTHS, min_size=2, max_size=4), st.data())
def test_fractions_follow_the_weights_at_every_prefix(
    lengths: list[list[int]], data: st.DataObject
) -> None:
    weights = [data.draw(st.integers(1, 20)) for _ in lengths]
    stage = stage_of(0, 16, weights)
    mixture = Mixture(
        made_up(lengths), 1, Form(16, True, False, True), stage, {}, first_state(len(lengths))
    )
    starts, spans, sources = mixture.draw(200)
    given_tokens = packed_sizes(starts, spans.lengths)
    by_source = np.stack([np.cumsum(given_tokens * (sources == s)) for s in range(len(lengths))])
    shares = np.array(list(stage.weights.values())) / WEIGHT_ONE
    behind = shares[:, None] * by_source.sum(axis=0) - by_source
    # Never more than a few sequences from what is due, at no prefix.
    assert np.abs(behind).max() <= 16 * len(lengths)


def test_a_longer_run_sees_the_same_samples_first(make_recipe: MakeRecipe) -> None:
    short, long = (make_recipe(training={"iterations": n}) for n in (200, 400))
    first = read(order_of(short), 0, num_samples(short))
    again = read(order_of(long), 0, num_samples(long))
    assert again[: len(first)] == first
    # They share one directory: nothing of the first is built twice.
    assert len(list((short.run.root / "order").glob("stage-*"))) == 1


def test_the_order_is_the_seeds_and_is_built_the_same_elsewhere(
    make_recipe: MakeRecipe, recipes_below: Callable[[Path], MakeRecipe], tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    other = recipes_below(tmp_path / "elsewhere")
    here = read(order_of(make_recipe()), 0, 3000)
    assert read(order_of(other()), 0, 3000) == here
    assert read(order_of(make_recipe(seed=2)), 0, 3000) != here


def test_segments_built_one_by_one_or_from_the_middle_are_the_same(
    make_recipe: MakeRecipe, recipes_below: Callable[[Path], MakeRecipe], tmp_path: Path
) -> None:
    recipe = make_recipe()
    whole = read(order_of(recipe), 0, 5000)
    (tmp_path / "elsewhere").mkdir()
    other = Order(recipes_below(tmp_path / "elsewhere")(), open_tokens(recipe.tokens, verify=False))
    assert read(other, 4000, 4100) == whole[4000:4100]
    assert read(other, 0, 5000) == whole


@given(st.integers(0, 10**10), st.sampled_from([32, 2048, 131_072, 1 << 20]))
def test_segments_divide_a_stage(sample: int, length: int) -> None:
    division = Division(length)
    number = division.at(sample)
    assert division.first(number) <= sample < division.first(number + 1)
    assert division.first(number + 1) - division.first(number) == division.samples(number)
    assert division.samples(number) * length <= max(2**31, 1024 * length)


def test_a_stage_begins_at_its_iteration_with_its_mixture_and_length(
    make_recipe: MakeRecipe,
) -> None:
    stages = [{"start_iteration": 6, "sequence_length": 64, "weights": {"notes": 3, "code": 1}}]
    recipe = make_recipe(data={"weights": {"prose": 1}, "stages": stages})
    order = order_of(recipe)
    numbers = {name: order.sources.index(name) for name in order.sources}
    samples = read(order, 0, num_samples(recipe))
    assert {source for source, _ in samples[:48]} == {numbers["prose"]}
    assert {source for source, _ in samples[48:]} == {numbers["notes"], numbers["code"]}
    assert max(sum(n for _, _, n in spans) for _, spans in samples[:48]) == 32
    assert max(sum(n for _, _, n in spans) for _, spans in samples[48:]) == 64
    # Without the stage the first 48 are the same, and in the same files.
    trunk = order_of(make_recipe(data={"weights": {"prose": 1}}))
    assert read(trunk, 0, 48) == samples[:48]
    # A stage behind the end of the run is no part of it.
    late = make_recipe(data={"weights": {"prose": 1}, "stages": [{"start_iteration": 10}]})
    assert order_stages(late.pretrain, order_facts(late)) == trunk.stages


def order_facts(recipe: Recipe) -> Any:
    return open_tokens(recipe.tokens, verify=False).facts


def test_a_killed_build_leaves_nothing_that_counts(
    make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe()

    def fail(*_arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(order_module.Mixture, "draw", fail)
    with pytest.raises(KeyboardInterrupt):
        order_of(recipe)
    monkeypatch.undo()
    left = recipe.run.root / "order" / "stage-0.host.1.tmp"
    assert not list((recipe.run.root / "order").rglob("*.tmp"))
    assert len(read(order_of(recipe), 0, 80)) == 80
    assert not left.exists()


def test_a_damaged_index_is_named(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    order_of(recipe)
    (path,) = (recipe.run.root / "order").glob("stage-*/segment-00000/begins.npy")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"begins\.npy") as caught:
        read(order_of(recipe), 0, 1)
    assert "built again" in caught.value.hint


def test_weights_of_sources_that_are_not_there_are_refused(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(data={"weights": {"prosa": 1}})
    with pytest.raises(UserError, match=r"pretrain\.data\.weights\.prosa: got an unk") as caught:
        order_stages(recipe.pretrain, order_facts(recipe))
    assert caught.value.hint == "did you mean 'prose'?"
    staged = {"stages": [{"start_iteration": 1, "weights": {"xyz": 1.0}}]}
    with pytest.raises(UserError, match=r"data\.stages\[0\]\.weights\.xyz"):
        coverage(make_recipe(data=staged).pretrain, order_facts(recipe))


def test_epochs_are_stated_by_source_and_bounded_by_source(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    facts = order_facts(recipe)
    # In proportion to their tokens all sources are read equally often.
    epochs = epochs_by_source(coverage(recipe.pretrain, facts))
    assert set(epochs) == {"code", "notes", "prose"}
    assert max(epochs.values()) == pytest.approx(min(epochs.values()), rel=1e-6)
    even = {"weights": {"notes": 1, "prose": 1}}
    with pytest.raises(UserError, match=r"'notes' \d+\.\d\d times") as caught:
        coverage(make_recipe(data=even, training={"iterations": 500}).pretrain, facts)
    most = int(caught.value.hint.split("at most ")[1].split(" ")[0])
    found = coverage(make_recipe(data=even, training={"iterations": most}).pretrain, facts)
    assert 3.9 < epochs_by_source(found)["notes"] <= 4.0
    allowed = {**even, "epochs_max": {"notes": 50.0}}
    coverage(make_recipe(data=allowed, training={"iterations": 500}).pretrain, facts)
    # The order really reads so often, packing's padding left aside.
    order = order_of(make_recipe(data=even, training={"iterations": most}))
    counted: Counter = Counter()
    for source, spans in read(order, 0, most * 8):
        counted[order.sources[source]] += sum(n for _, _, n in spans)
    told = {entry.source: entry.tokens for entry in found}
    for name in told:
        assert 0.95 * told[name] <= counted[name] <= told[name] + 64
