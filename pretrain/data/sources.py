"""Which source gives which share of which stage, and how often each is then read; no torch here.

Weights are shares of tokens. A stage begins at an iteration and goes on to the next one; the last
has no end, so that a longer run sees the same samples first.
"""

import difflib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from launch.errors import UserError
from pretrain.config import Pretrain
from pretrain.schedule import first_sample

WEIGHT_ONE = 1 << 30
"""The sum of a stage's weights as integers (`order_kernels` has the same)."""


# Weights are integers: a source read four times exactly may be told as a hair more.
_EVEN = 1 + 1e-6


@dataclass(frozen=True)
class OrderStage:
    """A part of the run with one mixture and one length of sequences."""

    number: int
    first_iteration: int
    first_sample: int
    """Global index."""
    num_samples: int | None
    """None: no end."""
    sequence_length: int
    weights: dict[str, int]
    """Share of each source that gives anything, in the order of names; their sum is WEIGHT_ONE."""


@dataclass(frozen=True)
class SourceCoverage:
    """What one stage takes from one source, every sequence counted as full: packing leaves some
    room empty, so the true numbers of tokens are a little lower."""

    stage: int
    source: str
    weight: float
    tokens: int
    epochs: float
    """Times that the source is read in this stage."""


def source_names(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """All sources of the encoded corpus, of both splits, in order; their places are their numbers.

    `facts` are those of the manifest of `tokens/`.
    """
    return tuple(sorted({name for counts in facts["by_source"].values() for name in counts}))


def order_stages(pretrain: Pretrain, facts: Mapping[str, Any]) -> tuple[OrderStage, ...]:
    """The stages of the run; those that begin after its end are left out.

    Raises `UserError` if a weight is of no source of the corpus, or of one without tokens.
    """
    training, data = pretrain.training, pretrain.data
    tables = [("pretrain.data.weights", 0, 0, data.weights)]
    tables += [
        (f"pretrain.data.stages[{index}].weights", s.start_iteration, s.sequence_length, s.weights)
        for index, s in enumerate(data.stages)
        if s.start_iteration < training.iterations
    ]
    starts = [first_sample(training, start) for _, start, _, _ in tables]
    available = {name: counts["tokens"] for name, counts in facts["by_source"]["train"].items()}
    stages: list[OrderStage] = []
    for number, (where, start, length, weights) in enumerate(tables):
        _check_names(where, weights, available)
        wanted = weights or ({} if stages else available)
        stages.append(
            OrderStage(
                number=number,
                first_iteration=start,
                first_sample=starts[number],
                num_samples=starts[number + 1] - starts[number]
                if number + 1 < len(starts)
                else None,
                sequence_length=length
                or (stages[-1].sequence_length if stages else pretrain.model.sequence_length),
                weights=_shares(wanted) if wanted else stages[-1].weights,
            )
        )
    return tuple(stages)


def stage_at(stages: tuple[OrderStage, ...], sample: int) -> OrderStage:
    """The stage of a global sample index."""
    return stages[bisect_right([stage.first_sample for stage in stages], sample) - 1]


def positions_before(stages: tuple[OrderStage, ...], sample: int) -> int:
    """Positions of all sequences before a global sample index: tokens and padding."""
    ends = [stage.first_sample for stage in stages[1:]] + [sample]
    return sum(
        max(0, min(end, sample) - stage.first_sample) * stage.sequence_length
        for stage, end in zip(stages, ends, strict=True)
    )


def coverage(pretrain: Pretrain, facts: Mapping[str, Any]) -> tuple[SourceCoverage, ...]:
    """What each stage of the run takes from each source.

    Raises `UserError` as `order_stages`, and if a source would be read more often than
    `data.epochs_max` or `training.epochs_max` says, with the most iterations that are allowed.
    """
    stages = order_stages(pretrain, facts)
    found = _covered(pretrain, facts, stages, pretrain.training.iterations)
    source, epochs, bound = _worst(pretrain, found)
    if epochs <= bound * _EVEN:
        return found
    low, high = 0, pretrain.training.iterations
    while high - low > 1:
        middle = (low + high) // 2
        _, some, most = _worst(pretrain, _covered(pretrain, facts, stages, middle))
        low, high = (middle, high) if some <= most * _EVEN else (low, middle)
    key = "data.epochs_max" if source in pretrain.data.epochs_max else "training.epochs_max"
    tokens = facts["by_source"]["train"][source]["tokens"]
    way = f"at most {low:,} iterations" if low else "smaller batches"
    raise UserError(
        "pretrain.training.iterations",
        f"{pretrain.training.iterations:,}, which read the {tokens:,} training tokens of source "
        f"'{source}' {epochs:.2f} times",
        f"at most {bound:g} times (pretrain.{key})",
        f"{way}, a smaller pretrain.data.weights.{source}, or a larger corpus",
    )


def epochs_by_source(found: tuple[SourceCoverage, ...]) -> dict[str, float]:
    """Times that each source is read in the whole run."""
    sums: dict[str, float] = {}
    for entry in found:
        sums[entry.source] = sums.get(entry.source, 0.0) + entry.epochs
    return sums


def _covered(
    pretrain: Pretrain, facts: Mapping[str, Any], stages: tuple[OrderStage, ...], iterations: int
) -> tuple[SourceCoverage, ...]:
    end = first_sample(pretrain.training, iterations)
    found = []
    for stage in stages:
        samples = max(0, end - stage.first_sample)
        if stage.num_samples is not None:
            samples = min(samples, stage.num_samples)
        for name, weight in stage.weights.items():
            tokens = samples * stage.sequence_length * weight / WEIGHT_ONE
            available = facts["by_source"]["train"][name]["tokens"]
            share, epochs = weight / WEIGHT_ONE, tokens / available
            found.append(SourceCoverage(stage.number, name, share, round(tokens), epochs))
    return tuple(found)


def _worst(pretrain: Pretrain, found: tuple[SourceCoverage, ...]) -> tuple[str, float, float]:
    """The source that is nearest to its bound or furthest above it; its epochs; its bound."""
    bounds, default = pretrain.data.epochs_max, pretrain.training.epochs_max
    sums = {name: (epochs, bounds.get(name, default)) for name, epochs in
            epochs_by_source(found).items()}  # fmt: skip
    name = max(sums, key=lambda source: sums[source][0] / sums[source][1])
    return (name, *sums[name])


def _check_names(where: str, weights: dict[str, float], available: Mapping[str, int]) -> None:
    for name, weight in weights.items():
        if name not in available:
            close = difflib.get_close_matches(name, available, n=1, cutoff=0.5)
            hint = f"did you mean '{close[0]}'?" if close else "name sources that it has"
            known = ", ".join(sorted(available))
            raise UserError(f"{where}.{name}", "an unknown source", f"one of {known}", hint)
        if weight > 0 and not available[name]:
            raise UserError(f"{where}.{name}", "a source without training tokens", "some tokens")


def _shares(weights: Mapping[str, float]) -> dict[str, int]:
    """Integers of sum WEIGHT_ONE in the proportions of `weights`; the largest rests round up."""
    used = {name: weight for name, weight in sorted(weights.items()) if weight > 0}
    total = sum(used.values())
    exact = {name: weight / total * WEIGHT_ONE for name, weight in used.items()}
    # A share too small for an integer is still a share: nothing that was named is left out.
    shares = {name: max(1, int(value)) for name, value in exact.items()}
    rising = sorted(used, key=lambda name: (shares[name] - exact[name], name))
    missing = WEIGHT_ONE - sum(shares.values())
    for index in range(abs(missing)):
        name = rising[index % len(rising)] if missing > 0 else max(shares, key=lambda n: shares[n])
        shares[name] += 1 if missing > 0 else -1
    return shares
