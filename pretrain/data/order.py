"""The order of the data: global sample index -> spans of documents; no torch here.

It is a pure function of (tokens, seed, stages, form), whatever the layout, the workers or the
length of the run. It is kept as a chain of *segments*, each of a fixed number of samples and built
from the state that the one before it ends with; a longer run adds segments. Segments are files that
every run with the same order shares, mapped and not read into memory.

    ROOT/order/stage-KEY/begin/            what the stage before left of each source's block
    ROOT/order/stage-KEY/segment-00000/    starts, documents, begins, lengths, sources (.npy)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from launch.manifest import Manifest, digest_json
from launch.recipe import Recipe
from pretrain.data.blocks import Form, Spans
from pretrain.data.documents import Documents, open_documents
from pretrain.data.mixture import Mixture, State, first_state
from pretrain.data.shared_directory import built_once, verify
from pretrain.data.sources import OrderStage, order_stages, stage_at

VERSION = 1
# Samples of the first segment; each one after it has twice as many as the last, up to 2^20 samples
# or 2^31 tokens, so that building one takes a bounded memory.
SEGMENT_SAMPLES = 1 << 10
SEGMENT_SAMPLES_MAX = 1 << 20
SEGMENT_TOKENS_MAX = 1 << 31
_SEGMENTS_OPEN = 8

Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class Segment:
    """Samples one after another; sample i of it holds the spans from `starts[i]` to
    `starts[i + 1]`."""

    first: int
    """Global index of its first sample."""
    starts: Numbers
    """int64 [samples + 1]"""
    spans: Spans
    sources: Numbers
    """uint16 [samples]: numbers of sources"""

    def __len__(self) -> int:
        return len(self.sources)


class Order:
    """Samples by their global index. What is not built yet is built when it is asked for."""

    def __init__(self, recipe: Recipe, tokens: Manifest) -> None:
        data = recipe.pretrain.data
        self.documents: Documents = open_documents(recipe, tokens, "train")
        self.stages = order_stages(recipe.pretrain, tokens.facts)
        self._seed = recipe.run.seed
        self._forms = [
            Form(stage.sequence_length, data.packing, data.related, data.mask_documents)
            for stage in self.stages
        ]
        self._divisions = [Division(stage.sequence_length) for stage in self.stages]
        self._directories = []
        key = digest_json([VERSION, tokens.files_digest, self._seed])
        before: OrderStage | None = None
        for stage, form in zip(self.stages, self._forms, strict=True):
            samples = None if before is None else before.num_samples
            key = digest_json([key, samples, form.to_dict(), sorted(stage.weights.items())])
            name = f"stage-{key.removeprefix('xxh3_128:')[:16]}"
            self._directories.append(recipe.run.root / "order" / name)
            before = stage
        # Segments hold open maps, so not all of a long run at once.
        self._open = lru_cache(_SEGMENTS_OPEN)(self._opened)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names by number."""
        return self.documents.sources

    def stage_of(self, sample: int) -> OrderStage:
        """The stage of a global sample index."""
        return stage_at(self.stages, sample)

    def segment_of(self, sample: int) -> Segment:
        """The segment that holds a sample. Raises `UserError` if its files are damaged."""
        stage = self.stage_of(sample)
        number = self._divisions[stage.number].at(sample - stage.first_sample)
        return self._open(stage.number, number)

    def segments(self, first: int, end: int) -> Iterator[tuple[Segment, int, int]]:
        """The segments with the samples from `first` to `end`, and the part of each, as places in
        it. None reaches over the end of a stage."""
        while first < end:
            stage, segment = self.stage_of(first), self.segment_of(first)
            stop = min(end, segment.first + len(segment))
            if stage.num_samples is not None:
                stop = min(stop, stage.first_sample + stage.num_samples)
            yield segment, first - segment.first, stop - segment.first
            first = stop

    def build(self, end: int) -> Iterator[tuple[int, int]]:
        """Build all segments up to sample `end`; for each, the samples up to its end and its own
        tokens. What is there already is only looked at."""
        for segment, low, high in self.segments(0, end):
            counted = segment.spans.lengths[segment.starts[low] : segment.starts[high]]
            yield segment.first + high, int(counted.sum(dtype=np.int64))

    def is_built(self, end: int) -> bool:
        """Whether all segments up to sample `end` are there."""
        for stage, directory in zip(self.stages, self._directories, strict=True):
            if stage.first_sample < end:
                last = end if stage.num_samples is None else stage.first_sample + stage.num_samples
                number = self._divisions[stage.number].at(min(end, last) - 1 - stage.first_sample)
                if not (directory / _name(number) / "manifest.json").exists():
                    return False
        return True

    def _opened(self, stage: int, number: int) -> Segment:
        directory = self._directories[stage] / _name(number)
        if not (directory / "manifest.json").exists():
            built_once(directory, lambda below: self._build_segment(below, stage, number))
        verify(directory)
        arrays = {name: np.load(directory / f"{name}.npy", mmap_mode="r")
                  for name in ("starts", "documents", "begins", "lengths", "sources")}  # fmt: skip
        return Segment(
            self.stages[stage].first_sample + self._divisions[stage].first(number),
            arrays["starts"],
            Spans(arrays["documents"], arrays["begins"], arrays["lengths"]), arrays["sources"],
        )  # fmt: skip

    def _build_segment(self, below: Path, stage: int, number: int) -> dict[str, Any]:
        mixture = self._mixture(stage, number)
        starts, spans, sources = mixture.draw(self._divisions[stage].samples(number))
        for name, array in (("starts", starts), ("documents", spans.documents),
                            ("begins", spans.begins), ("lengths", spans.lengths),
                            ("sources", sources)):  # fmt: skip
            np.save(below / f"{name}.npy", array)
        return mixture.state().to_dict()

    def _mixture(self, stage: int, number: int) -> Mixture:
        """The state of a stage before its segment `number`."""
        rest, state = self._begin(stage)
        if number > 0:
            directory = self._directories[stage] / _name(number - 1)
            if not (directory / "manifest.json").exists():
                self._opened(stage, number - 1)
            state = State.from_dict(verify(directory))
        return Mixture(
            self.documents, self._seed, self._forms[stage], self.stages[stage], rest, state
        )

    def _begin(self, stage: int) -> tuple[dict[int, Spans], State]:
        """What each source still has of a block at the beginning of a stage, and the state."""
        if stage == 0:
            return {}, first_state(len(self.sources))
        directory = self._directories[stage] / "begin"
        built_once(directory, lambda below: self._build_begin(below, stage))
        state = State.from_dict(verify(directory))
        arrays = [np.load(directory / f"{name}.npy")
                  for name in ("documents", "begins", "lengths", "bounds")]  # fmt: skip
        bounds = arrays.pop()
        rest = {
            number: Spans(*(array[bounds[number] : bounds[number + 1]] for array in arrays))
            for number in range(len(self.sources))
        }
        return {number: spans for number, spans in rest.items() if len(spans)}, state

    def _build_begin(self, below: Path, stage: int) -> dict[str, Any]:
        before = self.stages[stage - 1]
        assert before.num_samples is not None
        division = self._divisions[stage - 1]
        number = division.at(before.num_samples)
        mixture = self._mixture(stage - 1, number)
        mixture.draw(before.num_samples - division.first(number))
        rest, state = mixture.end()
        bounds = np.zeros(len(self.sources) + 1, np.int64)
        for source, spans in rest.items():
            bounds[source + 1] = len(spans)
        parts = [rest[source] for source in sorted(rest)]
        empty = Spans(self.documents.members[:0], np.empty(0, np.int32), np.empty(0, np.int32))
        for name in ("documents", "begins", "lengths"):
            joined = np.concatenate([getattr(spans, name) for spans in (empty, *parts)])
            np.save(below / f"{name}.npy", joined)
        np.save(below / "bounds.npy", np.cumsum(bounds))
        return state.to_dict()


def _name(segment: int) -> str:
    return f"segment-{segment:05d}"


@dataclass(frozen=True)
class Division:
    """How a stage with sequences of one length is divided into segments."""

    sequence_length: int

    @property
    def _doublings(self) -> int:
        most = min(SEGMENT_SAMPLES_MAX, SEGMENT_TOKENS_MAX // self.sequence_length)
        return max(0, (most // SEGMENT_SAMPLES).bit_length() - 1)

    def samples(self, number: int) -> int:
        """Samples of segment `number`."""
        return SEGMENT_SAMPLES << min(number, self._doublings)

    def first(self, number: int) -> int:
        """Samples of the stage before its segment `number`."""
        rising = min(number, self._doublings)
        return SEGMENT_SAMPLES * ((1 << rising) - 1 + ((number - rising) << self._doublings))

    def at(self, sample: int) -> int:
        """The segment of a sample of the stage."""
        units, rising = sample // SEGMENT_SAMPLES, (1 << self._doublings) - 1
        if units < rising:
            return (units + 1).bit_length() - 1
        return self._doublings + ((units - rising) >> self._doublings)
