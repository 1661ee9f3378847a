"""Whether any process was asked to stop, agreed upon without waiting."""

import numpy as np
import torch

from pretrain.parallel import World


class StopVotes:
    """One vote for each iteration, begun at its end and read at the end of the next.

    So all ranks stop after the same iteration, nobody waits for a rank that is less than an
    iteration behind, and the device is not asked at all.
    """

    def __init__(self, world: World) -> None:
        self._group = world.control if world.size > 1 else None
        self._view = np.zeros(1, np.int32)
        self._flag = torch.from_numpy(self._view)
        self._work: torch.distributed.Work | None = None

    def exchange(self, asked: bool) -> bool:
        """Whether to stop now, the same on every rank; `asked` is what this rank knows."""
        if self._group is None:
            return asked
        self.close()
        agreed = bool(self._view[0])
        self._view[0] = asked or agreed
        self._work = torch.distributed.all_reduce(
            self._flag, torch.distributed.ReduceOp.MAX, group=self._group, async_op=True
        )
        return agreed

    def close(self) -> None:
        """Wait for a vote that is under way."""
        if self._work is not None:
            self._work.wait()
            self._work = None
