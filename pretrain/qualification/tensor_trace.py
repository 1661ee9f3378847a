"""A tensor trace: what every layer of a model computed in a few iterations, under any layout.

Each tensor has a place (iteration, phase, layer, part). Ranks hold pieces of it; put together they
are the tensor that one process would hold, whatever the layout: sequences in global order, columns
of tensor ranks side by side, experts by their global number. Nothing here imports torch.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

Phase = Literal["initial", "forward", "recompute", "backward", "reduction", "update"]
# Parts of the model in the order of the forward pass.
PARTS = (
    "embedding", "input_norm", "qkv", "q_norm", "k_norm", "attention", "projection", "mlp_norm",
    "router", "mlp_hidden", "expert", "mlp_output", "layer", "final_norm", "output", "loss",
    "mean_loss", "gradient_norm", "clipping",
)  # fmt: skip
PROJECTIONS = 8
Values = npt.NDArray[np.float32]
Order = tuple[int, ...]


@dataclass(frozen=True)
class Place:
    """Where in the computation a tensor stands."""

    iteration: int
    phase: Phase
    layer: int
    """0: the embedding; 1 to the number of layers; one more: what comes after the last."""
    part: str
    name: str = ""
    """Of a parameter: what is left of its name, such as `weight` or `3.linear_fc1.weight`"""

    @property
    def key(self) -> str:
        """As one word; `Place.parse` reads it."""
        return f"{self.iteration}/{self.phase}/{self.layer}/{self.part}/{self.name}"

    @classmethod
    def parse(cls, key: str) -> "Place":
        """The inverse of `key`."""
        iteration, phase, layer, part, name = key.split("/", 4)
        assert phase in get_args(Phase)
        return cls(int(iteration), phase, int(layer), part, name)  # type: ignore[arg-type]

    @property
    def order(self) -> Order:
        """Sorts places as they are computed; backward from the loss to the embedding.

        What is computed again in the backward pass stands before the gradients of its layer.
        """
        part = PARTS.index(self.part)
        if self.phase == "initial":
            return (self.iteration, 0, self.layer, part)
        if self.phase == "forward":
            return (self.iteration, 1, self.layer, part)
        if self.phase == "recompute":
            return (self.iteration, 2, -self.layer, 0, part)
        if self.phase == "backward":
            return (self.iteration, 2, -self.layer, 1, -part)
        if self.phase == "reduction":
            if self.part in ("gradient_norm", "clipping"):
                return (self.iteration, 3, 1, part)
            return (self.iteration, 3, 0, -self.layer, -part)
        return (self.iteration, 4, self.layer, part)

    def __str__(self) -> str:
        where = self.part.replace("_", " ")
        inside = PARTS.index("input_norm") <= PARTS.index(self.part) <= PARTS.index("layer")
        if inside:
            where = f"layer {self.layer}" + ("" if self.part == "layer" else f" {where}")
        return f"{self.phase} {where}{self.name and ' ' + self.name} (iteration {self.iteration})"


@dataclass(frozen=True)
class Piece:
    """What one rank holds of a tensor: its values, or already their contribution to a summary."""

    place: Place
    shape: tuple[int, ...]
    """Of the whole tensor"""
    replica: str
    """Which copy this belongs to, where ranks hold copies: `tensor 1`"""
    indices: tuple[npt.NDArray[np.int64], ...]
    """For each dimension, where the piece's rows lie in the whole"""
    values: Values | None
    owned: npt.NDArray[np.bool_] | None
    """Which of the values count; None: all"""
    summary: npt.NDArray[np.float64] | None


@dataclass(frozen=True)
class Recorded:
    """A tensor put together from its pieces, once for each copy that ranks hold."""

    shape: tuple[int, ...]
    replicas: tuple[str, ...]
    summaries: npt.NDArray[np.float64]
    """[replicas, 2 + PROJECTIONS]: elements given, sum of squares, projections on random signs"""
    whole: Values | None
    """[replicas, *shape]; not a number where no rank gave a value, or several did"""

    @property
    def complete(self) -> bool:
        """Whether every element was given exactly once, as far as the counts can tell."""
        return bool(np.all(self.summaries[:, 0] == np.prod(self.shape, dtype=np.int64)))


Trace = dict[Place, Recorded]


def make_piece(
    place: Place,
    shape: tuple[int, ...],
    replica: str,
    indices: tuple[npt.NDArray[np.int64], ...],
    values: Values,
    *,
    whole: bool,
    owned: npt.NDArray[np.bool_] | None = None,
) -> Piece:
    """A rank's part of a tensor; only `whole` keeps the values and not just their summary.

    Summaries of pieces add up to that of the tensor: the signs are a function of the place of an
    element in the whole.
    """
    assert values.shape == tuple(map(len, indices)), (place, values.shape, list(map(len, indices)))
    if whole:
        return Piece(place, shape, replica, indices, values, owned, None)
    counted = values if owned is None else np.where(owned, values, np.float32(0))
    count = values.size if owned is None else int(owned.sum())
    summary = _summarise(counted.astype(np.float64), shape, indices, count)
    return Piece(place, shape, replica, (), None, None, summary)


def assemble(pieces: Iterable[Piece]) -> Trace:
    """The tensors that the pieces of all ranks make up, in the order of computation."""
    by_place: dict[Place, dict[str, list[Piece]]] = {}
    for piece in pieces:
        by_place.setdefault(piece.place, {}).setdefault(piece.replica, []).append(piece)
    ordered = sorted(by_place, key=lambda place: (place.order, place.name))
    return {place: _put_together(by_place[place]) for place in ordered}


def _put_together(copies: dict[str, list[Piece]]) -> Recorded:
    replicas = tuple(sorted(copies))
    shape = copies[replicas[0]][0].shape
    summaries, wholes = [], []
    for replica in replicas:
        pieces = copies[replica]
        added = [piece.summary for piece in pieces if piece.summary is not None]
        if added:
            assert len(added) == len(pieces)
            summaries.append(np.sum(added, axis=0))
            continue
        total, given = np.zeros(shape, np.float32), np.zeros(shape, np.int32)
        for piece in pieces:
            assert piece.values is not None
            mesh = np.ix_(*piece.indices)
            owned = np.True_ if piece.owned is None else piece.owned
            # Added, not assigned: of a sharded gradient every data rank owns another part.
            total[mesh] += np.where(owned, piece.values, np.float32(0))
            given[mesh] += owned
        everywhere = tuple(np.arange(size) for size in shape)
        summaries.append(_summarise(total.astype(np.float64), shape, everywhere, int(given.sum())))
        wholes.append(np.where(given == 1, total, np.float32(np.nan)))
    return Recorded(shape, replicas, np.array(summaries), np.array(wholes) if wholes else None)


def _summarise(
    values: npt.NDArray[np.float64],
    shape: tuple[int, ...],
    indices: tuple[npt.NDArray[np.int64], ...],
    count: int,
) -> npt.NDArray[np.float64]:
    projected = np.broadcast_to(values[..., None], (*values.shape, PROJECTIONS))
    for dimension in reversed(range(len(shape))):
        signs = _signs(dimension, shape[dimension])[indices[dimension]]
        if dimension == len(shape) - 1:
            projected = values @ signs  # [..., projections], without the broadcast copy
        else:
            projected = np.einsum("...ip,ip->...p", projected, signs)
    return np.concatenate([[count, np.square(values).sum()], projected])


@cache
def _signs(dimension: int, size: int) -> npt.NDArray[np.float64]:
    """Random signs [size, PROJECTIONS]; a tensor's signs are products of its dimensions'.

    The expected square of such a projection is the tensor's squared norm, so the differences of two
    tensors' projections estimate the norm of their difference (Achlioptas 2003, section 2, for
    independent signs; products of them have the same expectation and more variance).
    """
    generator = np.random.default_rng([20261126, dimension, size])
    return generator.integers(0, 2, (size, PROJECTIONS)).astype(np.float64) * 2 - 1


def save(trace: Trace, path: Path) -> None:
    """Write a trace: `.npz` with whole tensors, or `.json` with summaries alone."""
    if path.suffix == ".json":
        lines = []
        for place, recorded in trace.items():
            # Ten digits: two more than a float32 holds.
            summaries = [[float(f"{x:.10g}") for x in row] for row in recorded.summaries]
            value = [recorded.shape, recorded.replicas, summaries]
            lines.append(f"{json.dumps(place.key)}: {json.dumps(value)}")
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        return
    arrays: dict[str, npt.NDArray] = {}
    for place, recorded in trace.items():
        assert recorded.whole is not None
        arrays[f"{place.key}|{'|'.join(recorded.replicas)}"] = recorded.whole
        arrays[f"{place.key}|summaries"] = recorded.summaries
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)  # type: ignore[arg-type]


def load(path: Path) -> Trace:
    """Read what `save` wrote."""
    if path.suffix == ".json":
        table = json.loads(path.read_text(encoding="utf-8"))
        return {
            Place.parse(key): Recorded(tuple(shape), tuple(replicas), np.array(summaries), None)
            for key, (shape, replicas, summaries) in table.items()
        }
    trace: Trace = {}
    with np.load(path, allow_pickle=False) as arrays:
        for label in arrays.files:
            key, *replicas = label.split("|")
            if replicas == ["summaries"]:
                continue
            whole = arrays[label]
            summaries = arrays[f"{key}|summaries"]
            trace[Place.parse(key)] = Recorded(whole.shape[1:], tuple(replicas), summaries, whole)
    return trace
