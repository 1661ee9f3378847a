"""Ray, in one place: a session, and bounded parallel tasks that survive a lost worker.

Ray core tasks only: one shard in, one shard out, side effects by atomic rename, so that a retry
changes nothing. Ray Data is not used; its names changed three times within a year.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from launch.errors import GristmillError, PeerLostError, full_disk
from launch.progress import progress
from launch.recipe import Execution

OBJECT_STORE_BYTES = 200 * 2**20
MAX_RETRIES = 3


@contextmanager
def ray_session(execution: Execution) -> Iterator[Any]:
    """Yield the `ray` module, connected; a session that already runs is used and left running."""
    # Before Ray is imported: it reads its environment then. No usage reports from users' data
    # jobs, and no progress of Ray's own beside ours.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Seconds after which a driver whose head node is gone ends itself; Ray waits 60.
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "20")
    import ray

    if ray.is_initialized():
        yield ray
        return
    if execution.ray_address == "local":
        # Tasks return counts and paths, never text: the object store stays small. The session is
        # addressed on loopback and keeps Ray's token authentication, on by default in 2.60.
        ray.init(
            address="local",
            num_cpus=execution.workers,
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            _node_ip_address="127.0.0.1",
        )
    else:
        ray.init(address=execution.ray_address, log_to_driver=False, logging_level="ERROR")
    try:
        yield ray
    finally:
        ray.shutdown()


def run_tasks(
    function: Callable[..., Any],
    argument_tuples: Sequence[tuple[Any, ...]],
    *,
    label: str,
    execution: Execution,
    num_cpus: float = 1.0,
) -> list[Any]:
    """Call `function(*arguments)` for each tuple as a Ray task; results in the order of the tuples.

    At most `execution.workers` tasks are in flight. A task whose worker dies is started again up
    to three times. An error of ours (`GristmillError`) comes out as itself, another as Ray's.
    """
    results: list[Any] = [None] * len(argument_tuples)
    for index, result in finished_tasks(
        function, argument_tuples, label=label, execution=execution, num_cpus=num_cpus
    ):
        results[index] = result
    return results


def finished_tasks(
    function: Callable[..., Any],
    argument_tuples: Sequence[tuple[Any, ...]],
    *,
    label: str,
    execution: Execution,
    num_cpus: float = 1.0,
) -> Iterator[tuple[int, Any]]:
    """The tasks of `run_tasks` as they finish: the place of the tuple, and the result."""
    if not argument_tuples:
        return
    with ray_session(execution) as ray, progress(label, len(argument_tuples)) as advance:
        remote = ray.remote(num_cpus=num_cpus, max_retries=MAX_RETRIES)(function)
        waiting = iter(enumerate(argument_tuples))
        running: dict[Any, int] = {}
        while True:
            while len(running) < execution.workers:
                following = next(waiting, None)
                if following is None:
                    break
                index, arguments = following
                running[remote.remote(*arguments)] = index
            if not running:
                return
            finished, _ = ray.wait(list(running), num_returns=1)
            for reference in finished:
                result = _result(ray, reference, label)
                advance(1)
                yield running.pop(reference), result


def _result(ray: Any, reference: Any, label: str) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, GristmillError):
            raise error.cause from None
        told = full_disk(error.cause)
        if told is not None:
            raise told from None
        raise
    except ray.exceptions.WorkerCrashedError:
        raise PeerLostError(
            f"{label}: the worker of one task died {MAX_RETRIES + 1} times",
            "if the kernel killed it for memory, fewer execution.workers leave more to each; the "
            "same command goes on from the finished pieces",
        ) from None
    except ray.exceptions.RayError as error:
        raise PeerLostError(
            f"{label}: Ray stopped ({type(error).__name__})",
            "start again: the same command goes on from the finished pieces",
        ) from None
