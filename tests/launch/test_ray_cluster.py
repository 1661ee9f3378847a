"""Tasks come back in order, errors as themselves, and a worker that dies is replaced."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from launch.errors import UserError
from launch.ray_cluster import run_tasks
from launch.recipe import Execution

TWO = Execution(workers=2)


def test_results_stand_in_the_order_of_the_tasks(ray_session: Any) -> None:
    def square(number: int) -> int:
        return number * number

    arguments = [(number,) for number in range(7)]
    assert run_tasks(square, arguments, label="test", execution=TWO) == [n * n for n in range(7)]
    assert run_tasks(square, [], label="test", execution=TWO) == []


def test_an_error_of_ours_comes_out_as_itself(ray_session: Any) -> None:
    def refuse(_: int) -> None:
        raise UserError("place", "this", "that", "do so")

    with pytest.raises(UserError, match="place: got this, expected that") as caught:
        run_tasks(refuse, [(1,)], label="test", execution=TWO)
    assert caught.value.hint == "do so"


def test_a_killed_worker_is_replaced(ray_session: Any, tmp_path: Path) -> None:
    def die_once(marker: str) -> str:
        try:
            descriptor = os.open(marker, os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return "second time"
        os.close(descriptor)
        os.kill(os.getpid(), signal.SIGKILL)
        return "never"

    marker = str(tmp_path / "died")
    assert run_tasks(die_once, [(marker,)], label="test", execution=TWO) == ["second time"]
