"""Micro-batches: from the order's spans to tensors, prepared ahead by threads.

Every rank maps the files itself and takes its own samples; nothing is sent between ranks. Iteration
i sees the samples from `first_sample(i)` on, whatever the layout: micro-batch m of data rank r are
the samples from `(m x data ranks + r) x micro_batch_size` on among them. So the state of the data
is the number of iterations done, and nothing else is saved.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYetError

import numpy as np

from launch.errors import PreemptedError
from launch.manifest import Manifest
from launch.recipe import Recipe
from pretrain.batch import MicroBatch
from pretrain.config import Pretrain
from pretrain.data.assemble import Part, assemble
from pretrain.data.index import build
from pretrain.data.order import Order
from pretrain.parallel import World, barrier
from pretrain.schedule import first_sample, num_micro_batches

# Between two looks at `should_stop` while a batch is not ready yet.
_POLL_SECONDS = 0.2


class Batches:
    """This rank's micro-batches, iteration by iteration.

    With `data.workers` threads as many micro-batches as an iteration has are prepared ahead, of the
    next iteration too, while the model works (28 bytes of memory a token); 0 prepares each when it
    is asked for. `should_stop` is asked several times a second while one is not ready.
    """

    def __init__(
        self, order: Order, pretrain: Pretrain, world: World, should_stop: Callable[[], bool]
    ) -> None:
        self._order, self._pretrain, self._world = order, pretrain, world
        self._should_stop = should_stop
        self._workers = pretrain.data.workers
        self._pool = ThreadPoolExecutor(self._workers, "data") if self._workers else None
        self._waiting: deque[tuple[tuple[int, int], Future[MicroBatch]]] = deque()

    def iteration(self, number: int) -> Iterator[MicroBatch]:
        """The micro-batches of iteration `number`, from 0, on this rank's device.

        Raises `PreemptedError` if the process is asked to stop while one is not ready.
        """
        for index in range(self._count(number)):
            yield self._take(number, index).to(self._world.device)

    def sequence_length(self, number: int) -> int:
        """Tokens of each sequence of iteration `number`."""
        sample = first_sample(self._pretrain.training, number)
        return self._order.stage_of(sample).sequence_length

    def wait(self, number: int) -> bool:
        """Wait until all micro-batches of iteration `number` are ready; False if the process was
        asked to stop before. Ranks that agree on the answer can stop together, before the iteration
        rather than in it. (True at once without workers.)"""
        if self._pool is None:
            return True
        self._fill(number, 0)
        count = self._count(number)
        return all(self._is_ready(future) for _, future in list(self._waiting)[:count])

    def close(self) -> None:
        """End the threads; what they have not begun is dropped, one that hangs is left behind."""
        self._waiting.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _take(self, number: int, index: int) -> MicroBatch:
        if self._pool is None:
            return self._make(self._parts(number, index))
        self._fill(number, index)
        _, future = self._waiting.popleft()
        if not self._is_ready(future):
            raise PreemptedError(
                f"stopped while iteration {number} waited for data",
                "the same command goes on from the last checkpoint",
            )
        return future.result()

    def _fill(self, number: int, index: int) -> None:
        """Have the micro-batch asked for, and those after it, at the head of the queue."""
        assert self._pool is not None
        if self._waiting and self._waiting[0][0] != (number, index):
            for _, future in self._waiting:
                future.cancel()
            self._waiting.clear()
        wanted = (number, index)
        if self._waiting:
            wanted = self._after(*self._waiting[-1][0])
        ahead = max(self._count(number), 2 * self._workers)
        while len(self._waiting) <= ahead and wanted[0] < self._end(number):
            # Segments are opened here, in one thread; the workers only read them.
            future = self._pool.submit(self._make, self._parts(*wanted))
            self._waiting.append((wanted, future))
            wanted = self._after(*wanted)

    def _after(self, number: int, index: int) -> tuple[int, int]:
        return (number, index + 1) if index + 1 < self._count(number) else (number + 1, 0)

    def _end(self, number: int) -> int:
        # Asked for an iteration beyond the run, that one and no more.
        return max(self._pretrain.training.iterations, number + 1)

    def _count(self, number: int) -> int:
        return num_micro_batches(self._pretrain.training, self._world.data_size, number)

    def _is_ready(self, future: "Future[MicroBatch]") -> bool:
        while True:
            try:
                future.exception(timeout=_POLL_SECONDS)
            except NotYetError:
                if self._should_stop():
                    return False
            else:
                return True

    def _parts(self, number: int, index: int) -> list[Part]:
        training, world = self._pretrain.training, self._world
        size = training.micro_batch_size
        first = first_sample(training, number) + (index * world.data_size + world.data_rank) * size
        return [
            Part(segment, np.arange(low, high))
            for segment, low, high in self._order.segments(first, first + size)
        ]

    def _make(self, parts: list[Part]) -> MicroBatch:
        return assemble(
            self._order.documents,
            parts,
            self._pretrain.training.micro_batch_size,
            self._order.stage_of(int(parts[0].segment.first + parts[0].places[0])).sequence_length,
            mask_documents=self._pretrain.data.mask_documents,
            pinned=self._world.device.type == "cuda",
        )


def shared_order(recipe: Recipe, tokens: Manifest, world: World) -> Order:
    """The order of the run, with all its segments; every process of the run calls it.

    The first process builds what is absent while the others wait; then, where a node does not see
    it because its disk is its own, one process of that node does the same.
    Raises `UserError` in the process that builds, if `tokens/` does not hold together.
    """
    leads_node = int(os.environ.get("LOCAL_RANK", "0")) == 0
    order: Order | None = None
    for builds in (world.is_first, leads_node, True):
        if builds and order is None:
            order = build(recipe, tokens)
        barrier()
    assert order is not None
    return order
