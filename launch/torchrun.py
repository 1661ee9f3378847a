"""torchrun: the command that starts the processes of one run on this machine."""

import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path


def command(processes: int, module: Sequence[str]) -> list[str]:
    """Start `python -m MODULE ...` as `processes` processes of one run.

    The processes meet at a free port of this run's own, so that several runs on a machine do not
    clash. A process that dies ends the run (`--max-restarts 0`): going on is the launcher's matter,
    from a checkpoint and with the lock held.
    """
    return [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nnodes=1",
        f"--nproc-per-node={processes}",
        "--max-restarts=0",
        "--master-addr=127.0.0.1",
        f"--master-port={free_port()}",
        "-m",
        *module,
    ]


def environment(processes: int) -> dict[str, str]:
    """Variables for `processes` trainers on this machine, whether torchrun starts them or not."""
    cores = len(os.sched_getaffinity(0))
    return {
        # More threads than cores in all only wait for each other.
        "OMP_NUM_THREADS": str(max(1, cores // processes)),
        # glibc gives memory of large tensors back at every free and takes it again, page by page:
        # 0.2 to 0.5 of an iteration's time on a CPU went there (2026-11-21). Here it is kept.
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
        # gloo would ask for the host's name, which need not lead back to this machine.
        "GLOO_SOCKET_IFNAME": "lo",
        # The agent's own store ends with the agent, while trainers may still be saying goodbye.
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
        # Seconds that torchrun leaves a trainer that it asked to stop: a checkpoint takes its time.
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "300",
        # The launcher's id, for `launch.process.die_with_parent`.
        "GRISTMILL_PARENT": str(os.getpid()),
    }


def gpu_environment(shares_layers: bool, has_gpus: bool | None = None) -> dict[str, str]:
    """Variables for trainers on GPUs, none where there are none; what the user has set wins.

    `shares_layers`: whether several processes share a layer (tensor or context parallel).
    `has_gpus`: of the machine that trains; None asks this one. Names as in torch 2.13.
    """
    if has_gpus is None:
        has_gpus = any(Path("/dev").glob("nvidia[0-9]*"))
    if not has_gpus:
        return {}
    variables = {
        # A communicator that failed ends its process, without trying to take it apart: that can
        # hang in its turn. (torch's default today; older ones had others.)
        "TORCH_NCCL_ASYNC_ERROR_HANDLING": "3",
        # The flight recorder: the last collectives of each rank, written out when one times out,
        # say which of them a rank never entered. Some 2,000 entries cost nothing measurable.
        "TORCH_FR_BUFFER_SIZE": "2000",
        "TORCH_NCCL_DUMP_ON_TIMEOUT": "1",
        # Lengths that change from batch to batch otherwise leave holes in memory that nothing fits.
        "PYTORCH_ALLOC_CONF": "expandable_segments:True",
        "NCCL_DEBUG": "WARN",
    }
    if shares_layers:
        # One hardware queue: a collective that was launched before a matrix product also begins
        # before it, or the overlap that Megatron-core counts on is lost. Before Blackwell it must
        # be so; on Blackwell it need not. (With FSDP it must not; there is none here.)
        variables["CUDA_DEVICE_MAX_CONNECTIONS"] = "1"
    return variables


def single_process_environment() -> dict[str, str]:
    """What torchrun would set for a run of one process."""
    return {
        "RANK": "0",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
    }


def free_port() -> int:
    """A TCP port of the loopback interface that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
