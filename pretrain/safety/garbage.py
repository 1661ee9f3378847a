"""Python's garbage collector: at the same moment on all ranks, and not over what never dies.

Left to itself each rank collects when its own count of allocations says so. While one rank collects
all others wait, so that with N ranks an iteration meets up to N pauses. And a full collection walks
all objects that live, of which the imports alone make hundreds of thousands (docs/pretrain-safety).
"""

import contextlib
import gc
from collections.abc import Iterator


def leave_libraries_alone(interval_iterations: int) -> None:
    """Before one of many runs in a process, the last of which `controlled` has swept: what is there
    are the libraries, over which each of a run's collections walks for a quarter of a second. With
    an interval of 0 nobody has swept, and nothing changes."""
    if interval_iterations:
        gc.freeze()


@contextlib.contextmanager
def controlled(interval_iterations: int) -> Iterator[None]:
    """Within the block nothing is collected by itself; with an interval of 0 nothing changes."""
    if interval_iterations == 0:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.enable()
        # A process that trains many runs: this one's cycles hold its model.
        gc.collect()


def freeze(interval_iterations: int) -> None:
    """Collect once, then leave alone all that is there now: libraries, model, optimizer."""
    if interval_iterations:
        gc.collect()
        gc.freeze()


def collect(iteration: int, interval_iterations: int) -> None:
    """Collect if it is due after `iteration` updates."""
    if interval_iterations and iteration % interval_iterations == 0:
        gc.collect()
