"""Waiting for data in a way that a request to stop can end, however long the storage takes."""

import threading
from collections.abc import Iterator

from pretrain.batch import MicroBatch
from pretrain.interrupt import StopRequest

_LOOK_SECONDS = 0.2


def drawn(micro_batches: Iterator[MicroBatch], stop: StopRequest) -> list[MicroBatch] | None:
    """All micro-batches of an iteration; None if `stop` was asked before they were there.

    They are read by a thread of their own, which is left behind if it hangs: it holds nothing that
    a save needs. What it raises is raised here.
    """
    found: list[MicroBatch] = []
    raised: list[BaseException] = []
    ready = threading.Event()

    def read() -> None:
        try:
            found.extend(micro_batches)
        except BaseException as error:
            raised.append(error)
        ready.set()

    threading.Thread(target=read, name="data", daemon=True).start()
    while not ready.wait(_LOOK_SECONDS):
        if stop.is_set:
            return None
    if raised:
        raise raised[0]
    return found
