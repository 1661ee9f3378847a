"""Slurm: one batch script that runs all stages of a recipe on n nodes, as often as it takes.

`render` is a pure function from options to text. What it writes are the `#SBATCH` lines and a few
variables; the shell program itself is `stages.slurm`, the same for every job. The job is requeued
when its time is up (after a save), when a stage crashes or a node is lost, and stops by itself when
it ends twice without any progress.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from launch import torchrun
from launch.config import Model
from launch.errors import UserError
from launch.recipe import Recipe

_STAGES = Path(__file__).with_name("stages.slurm")
# sbatch reads its lines without a shell: no quoting helps there, and % starts a file-name pattern.
_UNSAFE_FOR_SBATCH = set(" \t\r\n\"'\\%#")


class SlurmOptions(Model):
    """Keys `slurm.KEY=VALUE` of `gristmill launch submit --to slurm`."""

    nodes: int = Field(1, ge=1, le=65_536)
    """Nodes; the world size (tensor x pipeline x data) must be a multiple of it."""
    cpus_per_node: int = Field(8, ge=1)
    """CPUs of each node, for the data stages all and for training shared by its processes."""
    gpus_per_node: int = Field(0, ge=0)
    """GPUs of each node; 0 trains on CPUs."""
    memory: str = Field("0", pattern=r"^[0-9]+[KMGT]?$")
    """Memory of each node as sbatch writes it; 0 is all of it."""
    time_limit: str = Field("24:00:00", pattern=r"^([0-9]+-)?[0-9]{1,3}(:[0-9]{2}){0,2}$")
    """Time for one start; the job is requeued until the recipe is done."""
    save_seconds: int = Field(300, ge=30)
    """How long before the end the trainers are asked to save; Slurm may ask 60 s earlier."""
    restarts_max: int = Field(100, ge=0)
    """Most times the job goes back into the queue by itself."""
    exclusive: bool = True
    """Whether to keep other jobs off the nodes."""
    partition: str = Field("", pattern=r"^[A-Za-z0-9._,-]*$")
    """Partition; empty is the cluster's default. Likewise the next three."""
    account: str = Field("", pattern=r"^[A-Za-z0-9._-]*$")
    qos: str = Field("", pattern=r"^[A-Za-z0-9._-]*$")
    exclude: str = Field("", pattern=r"^[A-Za-z0-9._,\[\]-]*$")
    """Nodes to keep away from, as `n[3-5],n9`."""
    python: str = "python"
    """The environment's Python on the nodes; `launch submit` puts its own here by default."""
    setup: tuple[str, ...] = ()
    """Shell lines to run first, such as `module load cuda` or `export NCCL_SOCKET_IFNAME=ib0`."""


def render(
    recipe: Recipe,
    path: str,
    overrides: Sequence[str] = (),
    options: SlurmOptions | None = None,
    directory: str = ".",
) -> str:
    """The batch script that runs `recipe`, read from `path` with `overrides`, in `directory`.

    `path` and the recipe's root are relative to `directory`, which all nodes must share. Raises
    `UserError` if the layout does not divide over the nodes, or a path cannot stand in `#SBATCH`.
    """
    options = options or SlurmOptions()
    world = recipe.pretrain.parallel.world_size
    if world % options.nodes:
        raise UserError(
            "slurm.nodes", f"{options.nodes}", f"a divisor of the {world} processes of "
            "tensor x pipeline x data",
        )  # fmt: skip
    processes = world // options.nodes
    if options.gpus_per_node and processes > options.gpus_per_node:
        raise UserError(
            "slurm.gpus_per_node", f"{options.gpus_per_node}",
            f"at least {processes}, one for each process of a node",
        )  # fmt: skip
    output = f"{recipe.run_directory}/logs/slurm-%j.log"
    _check_sbatch("run.root", str(recipe.run_directory))
    _check_sbatch("the working directory", directory)
    flags = {
        "job-name": recipe.run.name,
        "nodes": options.nodes,
        "ntasks-per-node": 1,
        "cpus-per-task": options.cpus_per_node,
        "gpus-per-node": options.gpus_per_node or "",
        "mem": options.memory,
        "time": options.time_limit,
        "partition": options.partition,
        "account": options.account,
        "qos": options.qos,
        "exclude": options.exclude,
        "chdir": directory,
        "output": output,
        "open-mode": "append",
        "signal": f"B:USR1@{options.save_seconds}",
    }
    lines = [f"#SBATCH --{name}={value}" for name, value in flags.items() if value != ""]
    lines += ["#SBATCH --requeue", *(["#SBATCH --exclusive"] if options.exclusive else [])]
    variables = {
        "python": options.python,
        "recipe": path,
        "root": str(recipe.run.root),
        "run_directory": str(recipe.run_directory),
        "processes_per_node": str(processes),
        "threads_per_process": str(max(1, options.cpus_per_node // processes)),
        "save_seconds": str(options.save_seconds),
        "restarts_max": str(options.restarts_max),
    }
    return "\n".join(
        [
            "#!/bin/bash",
            f"# Written by `gristmill launch submit --to slurm` for {_comment(path)}.",
            *lines,
            "",
            "set -uo pipefail",
            *(f"{name}={shlex.quote(value)}" for name, value in variables.items()),
            f"overrides=({' '.join(shlex.quote(override) for override in overrides)})",
            *_gpu_exports(recipe, options),
            *options.setup,
            "",
            _STAGES.read_text(encoding="utf-8"),
        ]
    )


def _gpu_exports(recipe: Recipe, options: SlurmOptions) -> list[str]:
    """What trainers on GPUs need in their environment, unless the submitting shell says otherwise;
    the job's own setup lines come later and win."""
    parallel = recipe.pretrain.parallel
    shares_layers = parallel.tensor > 1 or parallel.context > 1
    variables = torchrun.gpu_environment(shares_layers, has_gpus=options.gpus_per_node > 0)
    return [f'export {name}="${{{name}:-{value}}}"' for name, value in variables.items()]


def _check_sbatch(where: str, value: str) -> None:
    bad = sorted(set(value) & _UNSAFE_FOR_SBATCH)
    if bad:
        raise UserError(
            where, repr(value), f"a path without {' '.join(map(repr, bad))}",
            "sbatch reads its #SBATCH lines without a shell; use a link with a plain name",
        )  # fmt: skip


def _comment(text: str) -> str:
    """`text` in a comment: what could end the line is shown as an escape."""
    return repr(text) if not text.isprintable() else text
