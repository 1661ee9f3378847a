"""What follows updates that were not finite or spiked: the host's half of the policy.

The device has already refused what must not be applied (`judge.py`); here it is named, counted, and
answered. Every rank comes to the same answer, because all have the same numbers.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from launch.errors import NumericalError
from pretrain.config import Stability, Training
from pretrain.judge import Judge, Seen
from pretrain.schedule import first_sample

Action = Literal["log", "skip", "rewind", "stop"]


@dataclass
class LoopState:
    """Where a run is: what a checkpoint holds beside the model and its optimizer."""

    done: int = 0
    """Iterations that are over; the next one has this number"""
    interventions: int = 0
    """Iterations that were skipped, or gone back for"""
    passed_over: list[tuple[int, int]] = field(default_factory=list)
    """Ranges of iterations whose batches were trained on in vain, and not again: [first, end)"""
    saved: int = 0
    """Iterations of the last checkpoint; not part of it"""

    def to_dict(self, judge: Judge) -> dict[str, Any]:
        """For a checkpoint: what JSON can say, and tensors in host memory, side by side."""
        return {
            "done": self.done,
            "interventions": self.interventions,
            "passed_over": [list(span) for span in self.passed_over],
            **{f"judge_{name}": tensor for name, tensor in judge.to_dict().items()},
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any], judge: Judge) -> "LoopState":
        """From a checkpoint; the judge takes its own."""
        names = [name for name in state if name.startswith("judge_")]
        judge.load({name.removeprefix("judge_"): state[name] for name in names})
        spans = [(int(first), int(end)) for first, end in state["passed_over"]]
        return cls(int(state["done"]), int(state["interventions"]), spans)


@dataclass(frozen=True)
class Intervention:
    """An iteration that something was wrong with."""

    iteration: int  # counted from 0
    seen: Seen
    action: Action

    def __str__(self) -> str:
        return f"iteration {self.iteration + 1}: {_WORDS[self.seen.kind]} {self.seen.value}"

    def event(self, training: Training, first: int) -> dict[str, Any]:
        """The values of the event `intervention`, about the samples of iteration `first` and those
        that follow up to this one."""
        return {
            "kind": self.seen.kind,
            "value": self.seen.value,
            "threshold": self.seen.threshold,
            "action": self.action,
            "first_sample": first_sample(training, first),
            "last_sample": first_sample(training, self.iteration + 1) - 1,
        }


def interventions(seen: list[Seen], first: int, stability: Stability) -> list[Intervention]:
    """What is to be done about the iterations from `first` on, in their order.

    After one that calls for `rewind` or `stop` there is nothing more: those behind it come again,
    or never.
    """
    answer = []
    for iteration, one in enumerate(seen, start=first):
        if not one.kind:
            continue
        spiked = one.kind.endswith("spike")
        action: Action = stability.on_spike if spiked else stability.on_not_finite
        answer.append(Intervention(iteration, one, action))
        if action in ("rewind", "stop"):
            break
    return answer


def count(intervention: Intervention, state: LoopState, stability: Stability) -> None:
    """Count an intervention. Raises `NumericalError` where the run is to end with it."""
    if intervention.action == "stop":
        raise NumericalError(str(intervention), _HINT)
    if intervention.action != "log":
        state.interventions += 1
    if state.interventions > stability.interventions_max:
        raise NumericalError(
            f"{intervention}, after {stability.interventions_max} interventions "
            "(stability.interventions_max)",
            "read the events `intervention` of metrics.jsonl: a person must judge whether the data "
            "or the learning rate is at fault",
        )


_WORDS = {
    "loss_not_finite": "the training loss is",
    "gradient_not_finite": "the norm of the gradient is",
    "loss_spike": "the training loss spiked to",
    "gradient_spike": "the norm of the gradient spiked to",
}
_HINT = (
    "the checkpoints hold the state before it; a lower training.lr_peak or a longer warm-up "
    "often mends it, stability.on_not_finite can skip it"
)
