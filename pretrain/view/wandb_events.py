"""Events for Weights & Biases; `wandb` (extra `[wandb]`) is imported here alone.

Without a network (`WANDB_MODE=offline`) it writes to `logs/wandb`, and `wandb sync` sends that
later. `gristmill pretrain follow` from a machine with a network does as well.
"""

import tomllib
import uuid
from pathlib import Path
from typing import Any

from pretrain.metrics import Event
from pretrain.view.scalars import scalars

ID_FILE = "logs/wandb-id"


class WeightsAndBiases:
    """Sends each iteration once, as the step of that number.

    Its history cannot be taken back. So iterations that it has already are passed over: after a
    resume they are the same, after a rewind the course before it stays there to be seen.
    """

    def __init__(self, directory: Path, project: str, name: str) -> None:
        self._directory, self._project, self._name = directory, project, name
        self._run: Any = None
        self._step = 0  # the first that it has not, or that may still grow

    def restart(self) -> None:
        """Nothing: what comes again is passed over."""

    def write(self, event: Event) -> None:
        """Send the numbers of an event."""
        values = scalars(event)
        if not values:
            return
        run = self._run = self._run or self._begin()
        step = event["iteration"]
        if event["event"] == "checkpoint":
            step = max(step, self._step)  # told late by asynchronous saving
        if step >= self._step:
            run.log(values, step=step)
            self._step = step

    def flush(self) -> None:
        """Nothing: it sends by itself."""

    def close(self) -> None:
        """Wait until everything is sent."""
        if self._run is not None:
            self._run.finish()

    def _begin(self) -> Any:
        import wandb

        recipe = self._directory / "recipe.toml"
        logs = self._directory / "logs"
        logs.mkdir(exist_ok=True)
        run = wandb.init(
            project=self._project, name=self._name, id=self._id(), resume="allow", dir=str(logs),
            config=tomllib.loads(recipe.read_text()) if recipe.exists() else {},
            settings=wandb.Settings(silent=True, console="off"),
        )  # fmt: skip
        self._step = run.step
        return run

    def _id(self) -> str:
        path = self._directory / ID_FILE
        if not path.exists():
            path.write_text(f"{self._name[:80]}-{uuid.uuid4().hex[:8]}")
        return path.read_text()
