"""Two traces of one model: the first place at which they differ, and how far they do everywhere."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pretrain.tensor_trace import PARTS, Phase, Place, Recorded, Trace

How = Literal["values", "shape", "absent", "incomplete"]
# What one implementation computes apart and another within the module that follows.
_OPTIONAL = {"input_norm", "mlp_norm", "q_norm", "k_norm", "attention", "mlp_hidden", "router"}


@dataclass(frozen=True)
class Tolerance:
    """Largest relative error of a tensor, by phase: ||other - reference|| / ||reference||."""

    forward: float
    backward: float
    gradients: float
    """Of the reduced gradients and their norm"""
    weights: float
    """Of the initial weights and of those after an update"""
    biases: float
    """Of biases after an update: they began at 0 and are nothing but updates, and Adam divides a
    gradient by its own size, so that where it is all rounding the update's sign is, too"""
    numbers: float
    """Of the mean loss, the gradient's norm and the clipping: in these much averages out"""

    def of(self, place: Place) -> float:
        """The tolerance at a place."""
        by_phase: dict[Phase, float] = {
            "initial": self.weights, "forward": self.forward, "recompute": self.forward,
            "backward": self.backward, "reduction": self.gradients, "update": self.weights,
        }  # fmt: skip
        if place.phase == "update" and place.name.endswith("bias"):
            return self.biases
        numbers = place.part in ("mean_loss", "gradient_norm", "clipping")
        return self.numbers if numbers else by_phase[place.phase]


# In fp32 layouts differ by the order of sums: at most 1.5e-5, biases after an update 5.7e-4 (36 of
# 288 legal layouts, 2026-11-26). Smallest planted faults: 1.3e-3 of a tensor, 1.3e-4 of a number.
FP32 = Tolerance(1e-4, 1e-4, 1e-4, 1e-4, 1e-2, 1e-5)
# With 8 bits of mantissa each of some ten roundings along a layer adds up to 2e-3, and a gradient
# passes all layers twice. Measured against fp32 over four layers and two iterations: at most 1.4e-2
# forward, 2.5e-2 backward, 1.4e-3 in the norm, 1.3e-5 in the loss (2026-11-26).
BF16 = Tolerance(5e-2, 1e-1, 1e-1, 5e-2, 1.0, 5e-3)
# fp16 has 11 bits of mantissa, but small gradients lose some.
FP16 = Tolerance(2e-2, 5e-2, 5e-2, 5e-2, 1.0, 5e-3)
# 4 and 3 bits of mantissa (e4m3 forward, e5m2 backward) in every matrix product: 3 and 6 % of each
# factor. Unverified: no GPU was at hand.
FP8 = Tolerance(2e-1, 4e-1, 4e-1, 2e-1, 1.5, 5e-2)
TOLERANCES = {"fp32": FP32, "bf16": BF16, "fp16": FP16, "fp8": FP8}


@dataclass(frozen=True)
class Finding:
    """A place at which two traces differ beyond the tolerance."""

    place: Place
    how: How
    relative_error: float
    """Infinite unless `how` is `values`"""
    tolerance: float
    replica: str
    """Which of the copies that ranks hold, such as `tensor 1`; empty where there is one"""
    at: tuple[int, ...]
    """Where the largest difference lies: sample, position, channel, or row and column; empty where
    only summaries were compared"""

    def __str__(self) -> str:
        if self.how != "values":
            words = {
                "shape": "has another shape",
                "absent": "is absent",
                "incomplete": "was given by no rank or by several, in part",
            }
            return f"{self.place}: {words[self.how]}"
        where = f", on {self.replica}" if self.replica else ""
        names = ("sample", "position", "channel") if len(self.at) == 3 else ("row", "column")
        largest = ", ".join(f"{n} {i}" for n, i in zip(names, self.at, strict=False))
        return (
            f"{self.place}: relative error {self.relative_error:.2g}{where}"
            f"{largest and ', the largest at ' + largest} (tolerance {self.tolerance:g})"
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON types; an infinite error is null."""
        error = self.relative_error
        return {
            "phase": self.place.phase,
            "layer": self.place.layer,
            "part": self.place.part,
            "name": self.place.name,
            "iteration": self.place.iteration,
            "how": self.how,
            "relative_error": error if np.isfinite(error) else None,
            "tolerance": self.tolerance,
            "replica": self.replica,
            "at": list(self.at),
            "text": str(self),
        }


def compare(
    reference: Trace, other: Trace, tolerance: Tolerance, *, same_modules: bool = True
) -> Finding | None:
    """The first place, in the order of computation, at which `other` differs; None if nowhere.

    With `same_modules`, a place that only one of them has is a difference; without, places that one
    implementation may leave empty are passed over. What is computed again in a backward pass is
    compared with the forward pass of the reference. Orders of replicas do not matter: the worst of
    the copies that ranks hold counts.
    """
    places = {p for p in reference if p.phase != "recompute" or p in other} | set(other)
    for place in sorted(places, key=lambda place: (place.order, place.name)):
        finding = _at(place, reference, other, tolerance, same_modules)
        if finding is not None:
            return finding
    return None


def errors(reference: Trace, other: Trace) -> dict[Place, float]:
    """Relative error at every place that both have, in the order of computation."""
    return {
        place: _worst(reference[place], other[place])[0]
        for place in other
        if place in reference and reference[place].shape == other[place].shape
    }


def largest_errors(reference: Trace, other: Trace) -> dict[str, tuple[float, str]]:
    """For each phase, the largest relative error and the place that has it."""
    found: dict[str, tuple[float, str]] = {}
    for place, error in errors(reference, other).items():
        if error >= found.get(place.phase, (0.0, ""))[0]:
            found[place.phase] = (error, str(place))
    return found


def _at(
    place: Place, reference: Trace, other: Trace, tolerance: Tolerance, same_modules: bool
) -> Finding | None:
    limit = tolerance.of(place)
    ours, theirs = other.get(place), reference.get(place)
    if theirs is None and place.phase == "recompute":
        forward = Place(place.iteration, "forward", place.layer, place.part, place.name)
        theirs = reference.get(forward)
    if ours is None or theirs is None:
        activation = place.phase in ("forward", "recompute", "backward")
        if not same_modules and activation and place.part in _OPTIONAL:
            return None
        return Finding(place, "absent", np.inf, limit, "", ())
    if ours.shape != theirs.shape:
        return Finding(place, "shape", np.inf, limit, "", ())
    if not ours.complete:
        return Finding(place, "incomplete", np.inf, limit, "", ())
    error, replica = _worst(theirs, ours)
    if error <= limit:
        return None
    at: tuple[int, ...] = ()
    if ours.whole is not None and theirs.whole is not None:
        difference = np.abs(ours.whole[replica] - theirs.whole[0])
        at = tuple(map(int, np.unravel_index(np.argmax(difference), difference.shape)))
    return Finding(place, "values", error, limit, ours.replicas[replica], at)


def _worst(reference: Recorded, other: Recorded) -> tuple[float, int]:
    """The largest relative error over the copies that `other` holds, and which copy has it."""
    if reference.whole is not None and other.whole is not None:
        true = reference.whole[0].astype(np.float64)
        differences = np.array([np.linalg.norm(copy - true) for copy in other.whole])
        norm = float(np.linalg.norm(true))
    else:
        norm = float(np.sqrt(reference.summaries[0, 1]))
        differences = _estimated(reference.summaries[0], other.summaries)
    # What is not a number is further away than any number; where all is zero, nothing differs.
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(differences == 0, 0.0, differences / norm)
    relative = np.where(np.isnan(relative), np.inf, relative)
    worst = int(np.argmax(relative))
    return float(relative[worst]), worst


def _estimated(
    reference: npt.NDArray[np.float64], others: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Norms of the differences, from summaries: of projections, at least that of the norms."""
    projected = np.sqrt(np.square(others[:, 2:] - reference[2:]).mean(axis=1))
    of_norms = np.abs(np.sqrt(others[:, 1]) - np.sqrt(reference[1]))
    return np.maximum(projected, of_norms)


def table(reference: Trace, other: Trace, tolerance: Tolerance) -> str:
    """Errors by part of the model, for a person: the largest over layers and iterations."""
    phases: tuple[Phase, ...] = ("initial", "forward", "backward", "reduction", "update")
    rows: dict[str, dict[str, float]] = {part: {} for part in PARTS}
    for place, error in errors(reference, other).items():
        row = rows[place.part]
        row[place.phase] = max(row.get(place.phase, 0.0), error)
    lines = ["".join(f"{name:>13}" for name in ("part", *phases))]
    limits = [Place(0, phase, 0, "embedding") for phase in phases]
    lines.append("".join([f"{'tolerance':>13}", *(f"{tolerance.of(p):>13.1e}" for p in limits)]))
    for part, row in rows.items():
        if row:
            cells = [f"{row[phase]:>13.1e}" if phase in row else f"{'':>13}" for phase in phases]
            lines.append(f"{part.replace('_', ' '):>13}" + "".join(cells))
    return "\n".join(lines)
