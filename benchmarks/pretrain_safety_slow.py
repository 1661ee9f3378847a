"""`python -m benchmarks.pretrain_safety_slow run RECIPE`: `pretrain run` whose data hang.

The run's name says what happens: "data...": the batch of iteration 4 takes ten minutes, as on
storage that does not answer; "straggler...": each batch of rank 1 comes late; "pauses...": pauses
for garbage are measured.
"""

import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from pretrain.__main__ import app, main
from pretrain.safety import children

SLOW_ITERATION = 4
_SLOW_SECONDS = 600.0
_LATE_SECONDS = 1.2


def _slow_data(is_straggler: bool) -> None:
    from pretrain.data.batches import Batches
    from pretrain.schedule import first_sample

    make = Batches._make

    def slow(self: Batches, parts: list[Any]) -> Any:
        first = int(parts[0].segment.first + parts[0].places[0])
        if is_straggler and self._world.rank == 1:
            time.sleep(_LATE_SECONDS)
        elif not is_straggler and first >= first_sample(self._pretrain.training, SLOW_ITERATION):
            time.sleep(_SLOW_SECONDS)
        return make(self, parts)

    Batches._make = slow  # type: ignore[method-assign]


def _measured_pauses(path: Path) -> None:
    """Write, at the end of training, the longest pause since the loop began, and the time of a full
    collection as the loop would meet it."""
    from pretrain.safety import garbage

    begun, longest = 0.0, 0.0
    freeze, controlled = garbage.freeze, garbage.controlled

    def note(moment: str, _facts: Any) -> None:
        nonlocal begun, longest
        now = time.perf_counter()
        if moment == "start":
            begun = now
        else:
            longest = max(longest, now - begun)

    def frozen(interval: int) -> None:
        nonlocal longest
        freeze(interval)
        gc.callbacks.append(note)
        longest = 0.0

    class Measured:
        """As `garbage.controlled`, with a look at its end."""

        def __init__(self, interval: int) -> None:
            self._inner = controlled(interval)

        def __enter__(self) -> None:
            self._inner.__enter__()

        def __exit__(self, *error: Any) -> None:
            in_loop = longest
            start = time.perf_counter()
            gc.collect()
            full = time.perf_counter() - start
            path.write_text(json.dumps({"longest": in_loop * 1e3, "full": full * 1e3}))
            self._inner.__exit__(*error)

    garbage.freeze = frozen
    garbage.controlled = Measured  # type: ignore[assignment]


if __name__ == "__main__":
    children.MODULE = "benchmarks.pretrain_safety_slow"
    if "RANK" in os.environ:
        directory = Path(sys.argv[2]).parent
        if directory.name.startswith("pauses"):
            _measured_pauses(directory / "logs" / "pauses.json")
        else:
            _slow_data(directory.name.startswith("straggler"))
    main(app)
