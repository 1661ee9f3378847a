"""Slow ranks: whose own work takes much longer than that of its peers.

In synchronous training every rank's iteration takes as long as the slowest one's, so wall time says
nothing. What is compared is a rank's own time, outside waits for others (`Watchdog`), among ranks
that have the same work: those of one pipeline stage.

On GPUs the host runs ahead of the device: own time is that of the host, which shows a slow host or
data path, not a slow GPU.
"""

import statistics
from dataclasses import dataclass, field
from pathlib import Path

from pretrain.parallel import World
from pretrain.safety import heartbeat
from pretrain.safety.agreement import rows_of_all

# Some 100 samples: then chance does not make a rank look 1.5 times as busy as it is.
_LEAST_SECONDS = 5.0


@dataclass(frozen=True)
class Straggler:
    """A rank that keeps the others waiting; seconds are of its own work in an iteration."""

    rank: int
    host: str
    seconds: float
    median_seconds: float


@dataclass
class Stragglers:
    """Own times since the last judgement, on rank 0; the others only send theirs."""

    ratio: float
    directory: Path
    _own: list[float] = field(default_factory=list)
    _seconds: float = 0.0
    _iterations: int = 0
    _known: set[int] = field(default_factory=set)

    def exchange(self, own: tuple[float, float], iterations: int, world: World) -> list[Straggler]:
        """Hand in what `Watchdog.take_own_seconds` gave for the last `iterations`; every rank calls
        it, at a line of metrics.

        Returns, on rank 0, ranks that have become slow since they were last judged: one that stays
        slow is told once.
        """
        if world.size == 1:
            return []
        rows = rows_of_all([*own, float(world.pipeline_rank)], world)
        if not world.is_first:
            return []
        self._own = [
            a + row[0] for a, row in zip(self._own or [0.0] * len(rows), rows, strict=True)
        ]
        self._seconds += own[1]
        self._iterations += iterations
        if self._seconds < _LEAST_SECONDS:
            return []
        each = [seconds / self._iterations for seconds in self._own]
        self._own, self._seconds, self._iterations = [], 0.0, 0
        slow = slower_than_peers(each, [int(row[2]) for row in rows], self.ratio)
        new = {rank: median for rank, median in slow.items() if rank not in self._known}
        self._known = set(slow)
        signs = heartbeat.read(self.directory, new)
        return [
            Straggler(rank, signs[rank].host if rank in signs else "?", each[rank], median)
            for rank, median in new.items()
        ]


def slower_than_peers(seconds: list[float], stages: list[int], ratio: float) -> dict[int, float]:
    """Ranks that take more than `ratio` times the median of their pipeline stage, with the median.

    The lower median: of two ranks the faster one says what is normal.
    """
    slow = {}
    for rank, (own, stage) in enumerate(zip(seconds, stages, strict=True)):
        peers = [other for other, place in zip(seconds, stages, strict=True) if place == stage]
        median = statistics.median_low(peers)
        if len(peers) > 1 and own > ratio * median:
            slow[rank] = median
    return slow
