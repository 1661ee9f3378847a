"""metrics.jsonl: the events of a run, written by rank 0, one line each.

A resumed run forgets the events after its checkpoint, because it is about to write them again: the
file of a run that was killed and resumed holds the same losses as that of one that was not.
"""

import json
from pathlib import Path
from typing import Any

from launch.manifest import write_atomic
from pretrain.contract import METRICS, read_metrics

_LAST = 10


class Metrics:
    """Events in memory and on disk; on ranks that do not write (`path` None) it keeps nothing."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self.events: list[dict[str, Any]] = []

    def resume(self, iteration: int) -> None:
        """Keep what was written up to `iteration` and forget the rest."""
        if self._directory is None:
            return
        self.events = [e for e in read_metrics(self._directory) if e["iteration"] <= iteration]
        self.events = [e for e in self.events if e["event"] != "end"]
        lines = "".join(json.dumps(event) + "\n" for event in self.events)
        write_atomic(self._directory / "metrics.jsonl", lines)

    def write(self, event: str, iteration: int, **values: Any) -> None:
        """Append one event; its keys are those of `contract.METRICS`."""
        assert tuple(values) == METRICS[event], (event, tuple(values))
        if self._directory is None:
            return
        line = {"event": event, "iteration": iteration, **values}
        self.events.append(line)
        with (self._directory / "metrics.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")

    def has(self, event: str, iteration: int) -> bool:
        """Whether there is an event of one kind of this very iteration."""
        return any(line["iteration"] == iteration for line in self.of(event))

    def of(self, event: str) -> list[dict[str, Any]]:
        """All events of one kind, in order."""
        return [line for line in self.events if line["event"] == event]

    def summary(self) -> dict[str, Any]:
        """What `result.json` says about the course of the run."""
        train, valid = self.of("train"), self.of("valid")
        losses = [event["loss"] for event in train]
        last = losses[-_LAST:]
        seconds = sum(event["seconds"] for event in train)
        passed = sum(event["tokens_per_second"] * event["seconds"] for event in train)
        return {
            "loss_first": losses[0] if losses else None,
            "loss_last": sum(last) / len(last) if last else None,
            "loss_valid": valid[-1]["loss"] if valid else None,
            "bits_per_byte_valid": valid[-1]["bits_per_byte"] if valid else None,
            "valid_tokens": valid[-1]["tokens"] if valid else None,
            "tokens_per_second": passed / seconds if seconds else None,
            "seconds": sum(event.get("seconds", 0.0) for event in self.events),
        }
