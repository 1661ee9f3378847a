"""Being asked to stop: the first signal finishes the iteration and saves, a second one does not."""

import os
import signal
import time
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
# A scheduler may signal the whole group, and torchrun forwards what it gets: that is still one.
_SAME_SECONDS = 2.0


class StopRequest:
    """Whether this process was asked to stop since it was made."""

    def __init__(self) -> None:
        self._first: float | None = None
        for number in _SIGNALS:
            signal.signal(number, self._handle)

    @property
    def is_set(self) -> bool:
        """True from the first signal on."""
        return self._first is not None

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = now
        elif now - self._first > _SAME_SECONDS:
            os._exit(128 + number)
