"""How the tasks of a stage are run: one after the other here, or over Ray.

A task reads and writes files and returns nothing, so that neither way gives another result.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from launch.log import get_logger

if TYPE_CHECKING:
    from launch.recipe import Recipe

RunTasks = Callable[[Callable[..., None], list[tuple[Any, ...]], str], None]
"""Runs a function on each tuple of arguments; the string is what people read of it."""


def in_turn(function: Callable[..., None], tasks: list[tuple[Any, ...]], label: str) -> None:
    """A `RunTasks` in this process, one task after the other."""
    for arguments in tasks:
        function(*arguments)


def run_stage_tasks(
    recipe: "Recipe", function: Callable[..., None], tasks: list[tuple[Any, ...]], label: str
) -> None:
    """With its first argument a `RunTasks` over the session of Ray that the caller has opened."""
    from launch.ray_cluster import run_tasks

    start = time.monotonic()
    run_tasks(function, tasks, label=f"dataprep: {label}", execution=recipe.execution)
    if tasks:
        seconds = time.monotonic() - start
        get_logger("dataprep").info("%s: %d tasks, %.1f s", label, len(tasks), seconds)
