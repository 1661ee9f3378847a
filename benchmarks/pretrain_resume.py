"""Figures of checkpoints: `python -m benchmarks.pretrain`.

Continued under every layout, killed at seeded moments, a bit flipped in each file, a full disk, and
what a save costs in the way of training and beside it. The corpus is made up, the runs are real.
"""

import contextlib
import itertools
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from launch.errors import UserError
from launch.recipe import Recipe
from pretrain.contract import read_metrics, read_result
from pretrain.saving import checkpoint_files as files
from tests.pretrain.conftest import LayoutPool, write_tokens

REPOSITORY = Path(__file__).parent.parent
LAYOUTS: dict[str, dict[str, Any]] = {
    "one": {},
    "tensor 2": {"tensor": 2},
    "pipeline 2": {"pipeline": 2},
    "data 2": {"data": 2},
    "tensor 2 pipeline 2": {"tensor": 2, "pipeline": 2},
}
RELATIVE = 1e-5
KILLS = 20
Figure = tuple[Any, Any, bool | None]


@cache
def _root() -> Path:
    """A directory with tokens, gone when the interpreter ends."""
    root = Path(tempfile.mkdtemp(prefix="gristmill-resume-"))
    import atexit

    atexit.register(shutil.rmtree, root, ignore_errors=True)
    write_tokens(root / "tokens", 1_600, 40)
    return root


def _recipe(name: str, root: Path | None = None, **tables: dict[str, Any]) -> Recipe:
    pretrain: dict[str, dict[str, Any]] = {
        "model": {
            "layers": 4, "hidden_size": 32, "heads": 4, "kv_heads": 2, "ffn_size": 64,
            "sequence_length": 32,
        },
        "training": {
            "iterations": 200, "batch_size": 8, "micro_batch_size": 4, "warmup_iterations": 10,
            "lr_peak": 3e-3, "log_interval": 1, "valid_interval": 0, "valid_batches": 8,
        },
        "checkpoint": {"interval_iterations": 10},
    }  # fmt: skip
    for table, values in tables.items():
        pretrain[table] = {**pretrain.get(table, {}), **values}
    run = {"name": name, "root": str(root or _root()), "seed": 1}
    return Recipe.from_dict({"run": run, "pretrain": pretrain})


@contextlib.contextmanager
def _pool() -> Iterator[Callable[..., Any]]:
    """Ranks that stay alive, told what to do as in the tests."""
    pool = LayoutPool(REPOSITORY)

    def tell(recipe: Recipe, *steps: dict[str, Any]) -> Any:
        answer = pool(recipe, _root() / "work", steps=list(steps))
        return answer["ok"]["answers"] if "ok" in answer else answer

    try:
        yield tell
    finally:
        pool.close()


def continued_under_every_layout() -> Figure:
    """Save after 10 iterations under A, continue under B: the next 10 losses and sample ids against
    those of A when it goes on by itself; largest relative differences."""
    largest = {"same layout": 0.0, "another layout": 0.0}
    other_samples, pairs, fall = 0, 0, 1.0
    with _pool() as tell:
        went_on = {}
        for name, layout in LAYOUTS.items():
            saved = str(_root() / f"matrix-{name}")
            first, _, then = tell(
                _recipe("matrix", parallel=layout), {"do": "train", "iterations": 10},
                {"do": "save", "directory": saved}, {"do": "train", "iterations": 10},
            )  # fmt: skip
            went_on[name] = then
            fall = min(fall, 1 - then["losses"][-1] / first["losses"][0])
        for written, read in itertools.product(LAYOUTS, LAYOUTS):
            saved = str(_root() / f"matrix-{written}")
            _, then = tell(
                _recipe("matrix", parallel=LAYOUTS[read]), {"do": "load", "directory": saved},
                {"do": "train", "iterations": 10},
            )  # fmt: skip
            theirs = went_on[written]
            pairs += 1
            other_samples += then["samples"] != theirs["samples"]
            relative = max(
                abs(a - b) / abs(b) for a, b in zip(then["losses"], theirs["losses"], strict=True)
            )
            kind = "same layout" if written == read else "another layout"
            largest[kind] = max(largest[kind], relative)
    value = {
        "pairs": pairs, **largest, "pairs with other samples": other_samples,
        "fall of the loss": round(fall, 3),
    }  # fmt: skip
    holds = (
        largest["same layout"] == 0.0
        and largest["another layout"] <= RELATIVE
        and other_samples == 0
    )
    return value, {"same layout": 0.0, "another layout": RELATIVE}, holds


def _start(recipe: Recipe) -> "subprocess.Popen[bytes]":
    path = recipe.run.root / f"{recipe.run.name}.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-m", "pretrain", "run", str(path)],
        cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip


def _trainer_of(launcher: "subprocess.Popen[bytes]") -> int | None:
    import psutil

    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(launcher.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if "RANK" in child.environ():
                    return int(child.pid)
    return None


def _reached(recipe: Recipe) -> int:
    events = read_metrics(recipe.run_directory)
    return max((e["iteration"] for e in events if e["event"] == "train"), default=0)


def _loss(recipe: Recipe) -> tuple[Any, ...]:
    result = read_result(recipe.run_directory)
    return result.loss_valid, result.loss_last, result.loss_first


def killed(asynchronous: bool) -> Figure:
    """One run of 200 iterations killed (SIGKILL to the trainer or the launcher) at 20 moments from
    a seed: of five, two are awaited inside a save, two after an iteration, one comes whatever the
    run does; against one that was left alone."""
    draw = random.Random(5)
    settings = {"checkpoint": {"interval_iterations": 5, "asynchronous": asynchronous}}
    kind = "asynchronous" if asynchronous else "synchronous"
    alone, recipe = _recipe(f"alone-{kind}", **settings), _recipe(f"killed-{kind}", **settings)
    assert _start(alone).wait() == 0
    landed = {"inside a save": 0, "between rename and latest": 0, "in an iteration": 0, "before": 0}
    half = unlike = 0
    directory = recipe.run_directory / "checkpoints"
    for number, iteration in enumerate(sorted(draw.sample(range(6, 196), KILLS))):
        how = ("save", "iteration", "save", "iteration", "whenever")[number % 5]
        victim, delay = draw.choice(("trainer", "launcher")), draw.random()
        named, left, begun = files.latest(directory), _left(directory), time.time_ns()
        process = _start(recipe)
        if how == "whenever":
            time.sleep(10 * delay)
        else:
            _await(process, recipe, iteration, left if how == "save" else None, begun, delay)
        pid = (_trainer_of(process) if victim == "trainer" else None) or process.pid
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        process.wait()
        _await_death(recipe)
        landed[_place(recipe, left, begun)] += 1
        half += not _is_whole(directory)
        if named is not None and _has_begun(recipe, begun):
            events = read_metrics(recipe.run_directory)
            resumed = [e["iteration"] for e in events if e["event"] == "resume"]
            unlike += files.name_of(resumed[-1]) != named
    assert _start(recipe).wait() == 0
    same = _loss(recipe) == _loss(alone)
    value = {
        "kills": KILLS, **landed, "half checkpoints named": half,
        "resumed from another than was named": unlike, "same final losses to the bit": same,
    }  # fmt: skip
    inside = landed["inside a save"] > 0
    return value, {"same": True, "half": 0}, same and half == 0 and unlike == 0 and inside


def _await(
    process: "subprocess.Popen[bytes]", recipe: Recipe, iteration: int,
    left: set[tuple[str, int]] | None, begun: int, delay: float,
) -> None:  # fmt: skip
    """Until this session has logged `iteration`, and then for a moment; with `left` until a save
    has begun that is not one of those."""
    directory = recipe.run_directory / "checkpoints"
    while process.poll() is None and not _has_begun(recipe, begun):
        time.sleep(0.05)
    while process.poll() is None and _reached(recipe) < iteration:
        time.sleep(0.02)
    if left is None:
        time.sleep(delay * 0.2)
        return
    while process.poll() is None:
        if _left(directory) - left:
            time.sleep(delay * 0.02)
            return
        time.sleep(0.0005)


def _has_begun(recipe: Recipe, begun: int) -> bool:
    """Whether the session of that moment has loaded its checkpoint: then it writes its metrics."""
    path = recipe.run_directory / "metrics.jsonl"
    return path.exists() and path.stat().st_mtime_ns > begun


def _left(directory: Path) -> set[tuple[str, int]]:
    """Directories in which a save is or was being written, told apart from those of other times."""
    found = set()
    for path in directory.glob(".iteration-*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            found.add((path.name, path.stat().st_ino))
    return found


def _place(recipe: Recipe, left: set[tuple[str, int]], begun: int) -> str:
    """Where a kill landed."""
    directory = recipe.run_directory / "checkpoints"
    if _left(directory) - left:
        return "inside a save"
    newest = max(files.checkpoints_in(directory).values(), default=None)
    if newest != files.latest(directory):
        return "between rename and latest"
    return "in an iteration" if _has_begun(recipe, begun) else "before"


def _is_whole(directory: Path) -> bool:
    """Whether what `latest` names is whole."""
    name = files.latest(directory)
    if name is None:
        return True
    try:
        return not files.broken(directory / name, files.read(directory / name).files)
    except UserError:
        return False


def _await_death(recipe: Recipe) -> None:
    """Until nobody writes the run: whoever was not killed dies with its parent."""
    import psutil

    path = str(recipe.run_directory / "recipe.toml")
    while any(path in " ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"])):
        time.sleep(0.05)


def flipped_bits() -> Figure:
    """Five random bits in each file of a checkpoint, one at a time: loads that were refused."""
    draw = random.Random(3)
    refused = tried = 0
    recipe = _recipe("flipped", parallel={"data": 2})
    saved = _root() / "flipped"
    with _pool() as tell:
        tell(recipe, {"do": "train", "iterations": 1}, {"do": "save", "directory": str(saved)})
        name = files.latest(saved)
        assert name is not None
        for path in sorted((saved / name).iterdir()):
            content = path.read_bytes()
            for _ in range(5):
                flipped = bytearray(content)
                flipped[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
                path.write_bytes(flipped)
                answer = tell(recipe, {"do": "load", "directory": str(saved)})
                tried += 1
                refused += isinstance(answer, dict) and answer.get("error") == "UserError"
            path.write_bytes(content)
        (loaded,) = tell(recipe, {"do": "load", "directory": str(saved)})
    value = {"refused": refused, "of": tried, "files": tried // 5}
    return value, "all", refused == tried and loaded["iteration"] == 1


def disk_full() -> Figure:
    """A run on a file system of 5 MB that its third checkpoint overfills: its exit code, and what
    is left. Needs the right to mount."""
    with tempfile.TemporaryDirectory(prefix="gristmill-full-") as place:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=5m", "none", place], capture_output=True
        )
        if mounted.returncode:
            raise FileNotFoundError("a file system of a given size: mounting is not permitted")
        try:
            root = Path(place)
            (root / "tokens").symlink_to(_root() / "tokens")
            settings = {"interval_iterations": 2, "keep": 3}
            recipe = _recipe(
                "full", root, training={"iterations": 10, "warmup_iterations": 2},
                checkpoint=settings,
            )  # fmt: skip
            exit_code = _start(recipe).wait()
            directory = recipe.run_directory / "checkpoints"
            name = files.latest(directory)
            whole = name is not None and not files.broken(
                directory / name, files.read(directory / name).files
            )
            left = len(list(directory.glob(".*")))
            # The same command once there is room.
            subprocess.run(["mount", "-o", "remount,size=50m", place], check=True)
            again = _start(recipe).wait()
        finally:
            subprocess.run(["umount", place], check=True)
    value = {
        "exit code": exit_code, "last checkpoint": name, "whole": whole, "temporary left": left,
        "exit code with room": again,
    }  # fmt: skip
    return value, {"exit code": 2, "whole": True}, exit_code == 2 and whole and again == 0


def time_of_a_save() -> Figure:
    """Seconds that training stands still for a save of 4.7M parameters, in the way and beside,
    alternating, medians of 5; and an iteration alone and beside a writer."""
    recipe = _recipe(
        "seconds", model={"hidden_size": 192, "ffn_size": 512, "layers": 8, "sequence_length": 64}
    )
    saved = str(_root() / "seconds")
    train = {"do": "timed", "iterations": 2}
    steps: list[dict[str, Any]] = [train]
    for turn in range(6):
        for asynchronous in (False, True):
            steps += [
                {
                    "do": "save", "directory": saved + ("-beside" if asynchronous else ""),
                    "asynchronous": asynchronous, "finish": False,
                },
                train, {"do": "finish"}, train,
            ]  # fmt: skip
        del turn
    with _pool() as tell:
        answers = tell(recipe, *steps)[1:]
    rounds = [answers[i : i + 8] for i in range(8, len(answers), 8)]
    now = statistics.median(each[0]["seconds"] for each in rounds)
    beside = statistics.median(each[4]["seconds"] for each in rounds)
    alone = statistics.median(each[3]["seconds"] for each in rounds)
    while_written = statistics.median(each[5]["seconds"] for each in rounds)
    name = files.latest(Path(saved))
    assert name is not None
    size = sum(path.stat().st_size for path in (Path(saved) / name).iterdir())
    value = {
        "megabytes": round(size / 1e6, 1), "seconds": round(now, 3),
        "seconds beside": round(beside, 3), "share": round(beside / now, 3),
        "two iterations alone": round(alone, 3), "beside a writer": round(while_written, 3),
    }  # fmt: skip
    return value, None, None


def figures() -> Iterator[tuple[str, Callable[[], Figure]]]:
    """Each figure's name, and how it is computed."""
    yield "continued_under_every_layout", continued_under_every_layout
    yield "killed_synchronous", lambda: killed(asynchronous=False)
    yield "killed_asynchronous", lambda: killed(asynchronous=True)
    yield "flipped_bits", flipped_bits
    yield "disk_full", disk_full
    yield "time_of_a_save", time_of_a_save
