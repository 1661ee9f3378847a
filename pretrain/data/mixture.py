"""Samples of a stage one after another: which source is due, and the next sequence of its block."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pretrain.data import order_kernels
from pretrain.data.blocks import Cursor, Form, Sequences, Spans, key_of, next_block, sequences_of
from pretrain.data.documents import Documents
from pretrain.data.sources import OrderStage

Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class SourceState:
    """How far one source is read."""

    cursor: Cursor
    """The block that is being read, or, while the rest that a stage begins with is, the next."""
    in_rest: bool = False
    """Whether that rest is being read, which comes before all blocks."""
    taken: int = 0
    """Sequences taken of what is being read."""
    deficit: int = 0
    """Tokens due x WEIGHT_ONE, in this stage."""
    given: int = 0
    """Tokens given in this stage."""


@dataclass(frozen=True)
class State:
    """How far all sources are read, by number."""

    sources: tuple[SourceState, ...]

    def to_dict(self) -> dict[str, Any]:
        """For a manifest."""
        return {"sources": [asdict(source) for source in self.sources]}

    @staticmethod
    def from_dict(facts: Mapping[str, Any]) -> "State":
        """From a manifest's facts."""
        entries = facts["sources"]
        return State(tuple(SourceState(**{**e, "cursor": Cursor(**e["cursor"])}) for e in entries))


def first_state(num_sources: int) -> State:
    """Nothing is read."""
    return State((SourceState(Cursor()),) * num_sources)


class Mixture:
    """Draws samples; what it drew changes its state and nothing else."""

    def __init__(
        self,
        documents: Documents,
        seed: int,
        form: Form,
        stage: OrderStage,
        rest: Mapping[int, Spans],
        state: State,
    ) -> None:
        self._documents, self._seed, self._form, self._stage = documents, seed, form, stage
        self._rest = dict(rest)
        self._states = list(state.sources)
        # Numbers of the sources that this stage reads; arrays by source follow this order.
        self._used = [documents.sources.index(name) for name in stage.weights]
        self._weights = np.array(list(stage.weights.values()), np.int64)
        states = [self._states[number] for number in self._used]
        self._deficits = np.array([state.deficit for state in states], np.int64)
        self._given = np.array([state.given for state in states], np.int64)
        self._taken = np.array([state.taken for state in states], np.int64)
        formed = [self._formed(number) for number in self._used]
        self._blocks = [block for block, _ in formed]
        self._after = [after for _, after in formed]

    def draw(self, count: int) -> tuple[Numbers, Spans, Numbers]:
        """The next `count` samples: where the spans of each start (int64 [count + 1]), the spans,
        and the numbers of their sources (uint16 [count])."""
        chosen = np.empty(count, np.uint16)
        parts: list[tuple[Numbers, Spans]] = []
        done = 0
        while done < count:
            tokens = np.concatenate([block.tokens for block in self._blocks])
            bounds = np.cumsum([0, *[len(block) for block in self._blocks]])
            before = self._taken.copy()
            drawn, exhausted = order_kernels.blend(
                self._weights, self._deficits, self._given, tokens, bounds, self._taken,
                chosen[done:],
            )  # fmt: skip
            if drawn:
                parts.append(self._gathered(chosen[done : done + drawn], before))
            done += drawn
            if exhausted >= 0:
                self._go_on(exhausted)
        sources = np.array(self._used, np.uint16)[chosen]
        lengths = np.concatenate([np.zeros(1, np.int64), *[counts for counts, _ in parts]])
        joined = [np.concatenate([getattr(spans, name) for _, spans in parts])
                  for name in ("documents", "begins", "lengths")]  # fmt: skip
        return np.cumsum(lengths), Spans(*joined), sources

    def state(self) -> State:
        """How far all sources are read now."""
        states = list(self._states)
        for place, number in enumerate(self._used):
            states[number] = replace(
                states[number], taken=int(self._taken[place]),
                deficit=int(self._deficits[place]), given=int(self._given[place]),
            )  # fmt: skip
        return State(tuple(states))

    def end(self) -> tuple[dict[int, Spans], State]:
        """What is left of each source's block, and the state with which the next stage begins."""
        rest = dict(self._rest)
        states = []
        for number, state in enumerate(self.state().sources):
            if state.taken:
                place = self._used.index(number)
                rest[number] = self._blocks[place].rest(state.taken)
                state = replace(state, cursor=self._after[place])
            left = number in rest and len(rest[number]) > 0
            states.append(SourceState(cursor=state.cursor, in_rest=left))
        return {number: spans for number, spans in rest.items() if len(spans)}, State(tuple(states))

    def _formed(self, number: int) -> tuple[Sequences, Cursor]:
        """What is being read of a source, and the cursor behind it."""
        state = self._states[number]
        cursor = state.cursor
        if state.in_rest:
            spans, after = self._rest[number], cursor
        else:
            spans, after = next_block(
                self._documents, number, self._seed, self._form.block_tokens, cursor
            )
        name = self._documents.sources[number]
        where = ["rest"] if state.in_rest else [cursor.epoch, cursor.block]
        key = key_of(self._seed, self._stage.number, name, *where)
        return sequences_of(spans, self._form, key, self._documents), after

    def _go_on(self, place: int) -> None:
        """To the next block of a source that is read to its end."""
        number = self._used[place]
        if self._states[number].in_rest:
            del self._rest[number]
        self._states[number] = SourceState(cursor=self._after[place])
        self._taken[place] = 0
        self._blocks[place], self._after[place] = self._formed(number)

    def _gathered(self, chosen: Numbers, before: Numbers) -> tuple[Numbers, Spans]:
        """Numbers of spans of the chosen samples, and the spans; each source gives its sequences
        from `before` on in their order."""
        counts = np.empty(len(chosen), np.int64)
        rows_of = [np.flatnonzero(chosen == place) for place in range(len(self._used))]
        for place, rows in enumerate(rows_of):
            starts = self._blocks[place].starts
            first = before[place]
            counts[rows] = np.diff(starts[first : first + len(rows) + 1])
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        total = int(starts[-1])
        kind = self._documents.members.dtype
        to = (np.empty(total, kind), np.empty(total, np.int32), np.empty(total, np.int32))
        for place, rows in enumerate(rows_of):
            block = self._blocks[place]
            samples = np.arange(before[place], before[place] + len(rows))
            spans = block.spans
            arrays = (spans.documents, spans.begins, spans.lengths)
            order_kernels.gather(block.starts, arrays, samples, starts, rows, to)
        return counts, Spans(*to)
