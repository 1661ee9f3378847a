"""The watchdog: a thread of each rank that sees a run hang, says which rank is late, and ends it.

The loop only says what it begins (`beat`: one assignment). The thread measures how long ago that
was, writes the rank's sign of life, samples whether the main thread waits for other ranks, and on
rank 0 looks for the file `STOP`. Nothing here imports torch.

Why not the time limits of gloo and NCCL: they have one limit for a step and for saving, they do not
know who is late, and they do not see a hang outside of a collective. They are set longer
(`parallel.start`) and come last.
"""

import contextlib
import faulthandler
import os
import signal
import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self

from launch.errors import PreemptedError
from launch.log import get_logger
from pretrain import directory as run_directory
from pretrain.config import Watch
from pretrain.safety import ending, heartbeat
from pretrain.safety.interrupt import STOPPED_BY_FILE, StopRequest

Phase = Literal["start", "load", "data", "step", "evaluation", "save", "end"]
# Other processes may be long here: slow storage, kernels compiled at first use.
_LONG: tuple[Phase, ...] = ("start", "load", "save", "end")
_WORK: tuple[Phase, ...] = ("data", "step")

_TICK_SECONDS = 0.05  # 20 samples a second, some 20 us each
_GAP_SECONDS = 1.0
_STOP_FILE_SECONDS = 1.0
# What a time limit leaves for ending: a tenth, and of short limits more, because four processes on
# two cores need 2.4 s (2026-11-26).
_ENDING_SHARE, _ENDING_SECONDS = 0.1, 3.0
_JUDGES = 2  # ranks that read all signs: two, for one of them may be the one that hangs
_FOR_THE_JUDGES_SECONDS = 2.0
_HINT = "logs/stacks-RANK.txt shows where each rank was; the same command goes on"


def judged_after(limit_seconds: float) -> float:
    """Seconds without progress after which a rank counts as late, of a time limit by whose end the
    run shall have ended."""
    ending = min(3 * _ENDING_SHARE * limit_seconds, _ENDING_SECONDS)
    return limit_seconds - max(_ENDING_SHARE * limit_seconds, ending)


class Watchdog:
    """Watches one run in this process, as a context; the thread ends with it."""

    def __init__(self, watch: Watch, directory: Path, stop: StopRequest) -> None:
        self._watch = watch
        self._directory = directory
        self._stop = stop
        self._rank = ending.rank_of_environment()
        self._world_size = int(os.environ.get("WORLD_SIZE", "1"))
        self._main = threading.get_ident()
        self._state: tuple[int, Phase] = (0, "start")
        self._first_done = False
        self._seen: tuple[int, Phase] = self._state
        self._quiet = self._last = 0.0
        self._sign_due = self._backstop_due = self._stop_file_due = 0.0
        self._busy = self._worked = 0.0
        self._count = 0
        self._before: dict[int, heartbeat.Sign] = {}
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        # Between two signs of life; a hang is judged by two readings of them.
        self._period = min(watch.heartbeat_seconds, watch.step_timeout_seconds / 5)
        # More between two ticks means that this thread itself slept, with the whole run perhaps.
        self._gap_max = min(_GAP_SECONDS, watch.step_timeout_seconds / 10)

    def __enter__(self) -> Self:
        (self._directory / "logs").mkdir(parents=True, exist_ok=True)
        self._stacks: IO[str] = (self._directory / "logs" / f"stacks-{self._rank}.txt").open("a")
        # Signal handlers in C: they need no GIL. SIGUSR2 shows where the main thread is, and only
        # that one: it reads frames without the GIL, and those of a thread that runs meanwhile
        # ended the process within five signals (2026-11-27).
        faulthandler.enable(self._stacks)
        faulthandler.register(signal.SIGUSR2, self._stacks, all_threads=False)
        self._sign()
        self._arm_backstop()
        self._last = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leaving.set()
        self._thread.join()
        faulthandler.cancel_dump_traceback_later()
        faulthandler.unregister(signal.SIGUSR2)
        faulthandler.disable()
        self._stacks.close()
        self._sign(ended=True)
        if error is None or isinstance(error, PreemptedError):
            self._stop.honoured()

    def beat(self, iteration: int, phase: Phase) -> None:
        """The loop has done `iteration` updates and begins `phase`. Costs one assignment."""
        self._state = (iteration, phase)

    def first_iteration_is_done(self) -> None:
        """From now on the short time limit holds, and there is something to save."""
        self._first_done = True
        self._stop.saves_from_now_on()

    def take_own_seconds(self) -> tuple[float, float]:
        """Seconds of this rank's own work in iterations since the last call, and seconds in all.

        Own is what the main thread did outside waits for other ranks, by samples of where it is.
        """
        taken, self._busy, self._worked = (self._busy, self._worked), 0.0, 0.0
        return taken

    def _limit(self, phase: Phase) -> float:
        if phase in _LONG or not self._first_done:
            return judged_after(self._watch.start_timeout_seconds)
        return judged_after(self._watch.step_timeout_seconds)

    def _run(self) -> None:
        told = False
        while not self._leaving.wait(_TICK_SECONDS):
            try:
                self._look(time.monotonic())
            except Exception:
                # A bug here must neither end a run of months nor leave it unwatched.
                if not told:
                    get_logger("pretrain").exception("the watchdog failed, and goes on")
                told = True

    def _look(self, now: float) -> None:
        gap, self._last = min(now - self._last, self._gap_max), now
        state = self._state
        if state is not self._seen:
            self._seen, self._quiet, self._before = state, 0.0, {}
        self._quiet += gap
        if now >= self._backstop_due:
            self._backstop_due = now + _GAP_SECONDS
            self._arm_backstop()
        limit = self._limit(state[1])
        if self._quiet > limit:
            self._end(limit)
        if self._quiet > limit / 2 and not self._before:
            self._before = self._signs()
        if state[1] in _WORK:
            self._worked += gap
            self._busy += 0.0 if heartbeat.waits(self._main) else gap
        if now >= self._sign_due:
            self._sign_due = now + self._period
            self._sign()
        if self._rank == 0 and now >= self._stop_file_due:
            self._stop_file_due = now + _STOP_FILE_SECONDS
            if os.path.lexists(self._directory / run_directory.STOP_FILE):
                self._stop.ask(STOPPED_BY_FILE)

    def _arm_backstop(self) -> None:
        # Whoever holds the GIL for ever stops this thread too. Then a thread of faulthandler's, in
        # C, ends the process; peers have seen long before that it gives no sign of life.
        seconds = self._watch.start_timeout_seconds + self._watch.step_timeout_seconds
        faulthandler.dump_traceback_later(seconds, exit=True, file=self._stacks)

    def _sign(self, ended: bool = False) -> None:
        (iteration, phase), self._count = self._state, self._count + 1
        where, waits = heartbeat.whereabouts(self._main)
        sign = heartbeat.Sign(
            rank=self._rank, host=socket.gethostname(), pid=os.getpid(), parent_pid=os.getppid(),
            count=self._count, time_seconds=round(time.time(), 3), iteration=iteration,
            phase=phase, quiet_seconds=round(self._quiet, 3), where=where, waits=waits,
            ended=ended,
        )  # fmt: skip
        # A full disk is the checkpoint's matter: a run does not die of its signs of life.
        with contextlib.suppress(OSError):
            heartbeat.write(self._directory, sign)

    def _signs(self) -> dict[int, heartbeat.Sign]:
        """Of all ranks for a judge, of those on this node for the others: thousands of ranks must
        not read thousands of files each."""
        if self._rank < _JUDGES:
            return heartbeat.read(self._directory, range(self._world_size))
        local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        first = self._rank - int(os.environ.get("LOCAL_RANK", "0"))
        return heartbeat.read(self._directory, range(first, first + local))

    def _end(self, limit: float) -> None:
        try:
            self._tell(limit)
        finally:
            os._exit(5)

    def _tell(self, limit: float) -> None:
        """Say what is known, and end ranks that cannot end by themselves."""
        faulthandler.dump_traceback(self._stacks, all_threads=True)
        self._sign()
        iteration, phase = self._state
        signs = self._signs()
        judged = range(self._world_size) if self._rank < _JUDGES else signs.keys()
        late = {
            rank: reason
            for rank, reason in heartbeat.late(self._before, signs, self._world_size).items()
            if rank in judged
        }
        waited = f"no progress for {limit:.0f} s in {phase} after iteration {iteration}"
        reasons = "; ".join(f"rank {rank} {reason}" for rank, reason in sorted(late.items()))
        message = f"{waited}: {reasons or 'all ranks wait for each other'}"
        if self._rank >= _JUDGES:
            time.sleep(_FOR_THE_JUDGES_SECONDS)
        ending.record(ending.Ending(5, message, _HINT))
        if self._rank < _JUDGES and not ending.has_launcher():
            get_logger("pretrain").error("%s", message)
        self._kill([signs[rank] for rank in late if rank in signs and rank != self._rank])
        if self._rank == 0 and not ending.has_launcher():
            run_directory.close_result(self._directory, 5)

    def _kill(self, late: list[heartbeat.Sign]) -> None:
        """End late ranks of this very node that are stopped or hold the GIL: torchrun would wait
        for them as long as it would for a checkpoint (TORCH_ELASTIC_SHUTDOWN_TIMEOUT)."""
        siblings = [
            sign.pid
            for sign in late
            if sign.parent_pid == os.getppid()
            and heartbeat.process_state(sign) in ("stopped", "alive")
        ]
        for pid in siblings:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGUSR2)  # its stacks, if it can still show them
        if siblings:
            time.sleep(0.5)
        for pid in siblings:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
