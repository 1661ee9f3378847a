"""What a recipe may change between two starts of a run.

The rule: the iterations already done would have come out the same under the new recipe, so that
`recipe.toml` still describes all of the run. How a run is computed, watched and saved may change
freely; its length may, where the learning rates so far do not depend on it; stages of the data that
are still to come may; and limits at which a person is asked may, whose answer is to raise them.

What is measured (`log_interval`, `valid_interval`, `valid_batches`) stays: `result.json` and the
curves that scaling compares are made of it.
"""

import math
from typing import Any

from launch.errors import UserError
from pretrain.config import Pretrain, Training
from pretrain.schedule import learning_rate

_FREE_TABLES = ("parallel", "checkpoint", "watch", "metrics")
_FREE_KEYS = (
    ("training", "micro_batch_size"),
    ("training", "deterministic"),
    ("training", "epochs_max"),
    ("data", "workers"),
    ("data", "epochs_max"),
    ("stability", "interventions_max"),
)
# Learning rates that are compared: all of a short run, evenly spread ones of a long run.
_RATES_MAX = 100_000


def first_change(
    old: Pretrain, new: Pretrain, done: int, where: str
) -> tuple[str, Any, Any] | None:
    """The first key (below `[pretrain]`) that may not change after `done` iterations, and both its
    values; None if the run may go on under `new`.

    Raises `UserError`, with `where` and a way out, if the number of iterations cannot be changed.
    """
    before, after = _fixed(old, old, done), _fixed(new, old, done)
    difference = first_difference(before, after, "pretrain")
    if difference is None and old.training.iterations != new.training.iterations:
        _check_length(old.training, new.training, done, where)
    return difference


def _fixed(pretrain: Pretrain, old: Pretrain, done: int) -> dict[str, Any]:
    """The part of `pretrain` that has had an effect on the iterations done."""
    tables = pretrain.model_dump(mode="json", exclude_none=True)
    for table in _FREE_TABLES:
        del tables[table]
    for table, key in _FREE_KEYS:
        del tables[table][key]
    del tables["training"]["iterations"]
    tables["data"]["stages"] = [
        stage for stage in tables["data"]["stages"] if stage["start_iteration"] < done
    ]
    # A run whose policy was to stop has seen no bad number so far, or it ended at the first: what
    # to do about the next one is the answer that it asked for.
    if old.stability.on_not_finite == "stop":
        del tables["stability"]["on_not_finite"]
    return tables


def _check_length(old: Training, new: Training, done: int, where: str) -> None:
    key = f"{where}: pretrain.training.iterations"
    if new.iterations < done:
        raise UserError(
            key, f"{new.iterations:,}", f"at least the {done:,} that are done",
            "--force begins again in its place",
        )  # fmt: skip
    for iteration in _compared(done):
        if learning_rate(old, iteration) != learning_rate(new, iteration):
            raise UserError(
                key,
                f"{new.iterations:,}, under which the learning rate of iteration {iteration:,} "
                f"would have been {learning_rate(new, iteration):.3g}",
                f"{learning_rate(old, iteration):.3g}, as it was with {old.iterations:,} "
                f"iterations and schedule '{old.schedule}'",
                _way_out(old, done),
            )


def _compared(done: int) -> range:
    return range(done - 1, -1, -max(1, math.ceil(done / _RATES_MAX)))


def _way_out(old: Training, done: int) -> str:
    if old.schedule in ("wsd", "power"):
        start = old.iterations - math.ceil(old.decay_fraction * old.iterations)
        return (
            f"its decay began at iteration {start:,}: [pretrain.branch] goes on from a checkpoint "
            "before that as a run of another name"
        )
    return (
        "only 'constant' and 'inverse_sqrt', and 'wsd' and 'power' before their decay, can be made "
        "longer; another run.name with the new length keeps both"
    )


def first_difference(old: Any, new: Any, key: str) -> tuple[str, Any, Any] | None:
    """The first place, in order of names, where two nested tables differ."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return None if old == new else (key, old, new)
    for name in sorted(old.keys() | new.keys()):
        place = f"{key}.{name}" if key else name
        found = first_difference(old.get(name), new.get(name), place)
        if found is not None:
            return found
    return None
