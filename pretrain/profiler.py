"""A profile of a few iterations: `logs/profile-RANK.json`, for chrome://tracing or Perfetto."""

import os
from pathlib import Path
from typing import Any

import torch

from pretrain.config_metrics import Metrics
from pretrain.parallel import World


class Profiler:
    """Records the iterations that the recipe names; costs one comparison in all others."""

    def __init__(self, config: Metrics, directory: Path, world: World) -> None:
        self._first = config.profile_first_iteration
        self._end = self._first + config.profile_iterations
        self._path = directory / "logs" / f"profile-{world.rank}.json"
        self._cuda = world.device.type == "cuda"
        self._running: Any = None

    def before(self, iteration: int) -> None:
        """Call it before iteration `iteration` (from 0) begins: it starts and ends the record.

        A run that resumes inside the window records the rest of it.
        """
        if self._running is not None and iteration >= self._end:
            self.close()
        elif self._running is None and self._first <= iteration < self._end:
            activities = [torch.profiler.ProfilerActivity.CPU]
            if self._cuda:
                activities.append(torch.profiler.ProfilerActivity.CUDA)
            self._running = torch.profiler.profile(activities=activities)
            self._running.__enter__()

    def close(self) -> None:
        """Write what was recorded, if a record is running: at the window's end or the run's."""
        if self._running is None:
            return
        if self._cuda:
            torch.cuda.synchronize()
        running, self._running = self._running, None
        running.__exit__(None, None, None)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(f".{os.getpid()}.tmp")
        running.export_chrome_trace(str(temporary))
        temporary.replace(self._path)
