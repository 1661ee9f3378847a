"""Ray jobs: the `ray job submit` line that runs a recipe on a cluster that Ray already manages.

The line passes through two shells: the one that it is typed into, and `sh` on the cluster, for
which Ray joins the words again by rules of its own (a shell's in Ray 2.60, Windows' before). Words
that need no quoting mean the same under both; where a name does need it, all of them travel packed
as base64 and are started by this module on the other side.
"""

import base64
import json
import os
import shlex
import sys
from collections.abc import Sequence

from pydantic import Field

from launch.config import Model


class RayOptions(Model):
    """Keys `ray.KEY=VALUE` of `gristmill launch submit --to ray`."""

    address: str = "http://127.0.0.1:8265"
    """The cluster's job server (the dashboard's address)."""
    python: str = "python"
    """Python on the cluster; Ray finds a bare name by the PATH that `ray start` had."""
    gpus: int = Field(0, ge=0)
    """GPUs that the driver's node must have: training runs there, on that one node."""
    submission_id: str = Field("", pattern=r"^[A-Za-z0-9._-]*$")
    """Name of the job; empty lets Ray choose. The same name twice is refused by Ray."""
    wait: bool = True
    """Whether to follow the job's log until it ends."""


def job_command(
    path: str,
    overrides: Sequence[str] = (),
    options: RayOptions | None = None,
    directory: str = ".",
) -> list[str]:
    """The words of the command. `directory`, shared by all nodes, is what `path` is relative to."""
    options = options or RayOptions()
    # Last, so that it wins: the job is to use the cluster, whatever the recipe says.
    words = ["run", path, *overrides, "execution.ray_address=auto"]
    entry = ["env", f"--chdir={directory}", options.python, "-m", "launch", *words]
    if shlex.join(entry) != " ".join(entry):
        data = json.dumps({"directory": directory, "words": words}).encode()
        packed = base64.urlsafe_b64encode(data).decode()
        entry = [options.python, "-m", "launch.ray_jobs", packed]
    command = ["ray", "job", "submit", f"--address={options.address}"]
    if options.submission_id:
        command.append(f"--submission-id={options.submission_id}")
    if options.gpus:
        command.append(f"--entrypoint-num-gpus={options.gpus}")
    if not options.wait:
        command.append("--no-wait")
    return [*command, "--", *entry]


def render(
    path: str,
    overrides: Sequence[str] = (),
    options: RayOptions | None = None,
    directory: str = ".",
) -> str:
    """`job_command` as one line for a shell."""
    return shlex.join(job_command(path, overrides, options, directory)) + "\n"


def main() -> None:
    """Start what `job_command` packed: `gristmill run` with the words, in the directory."""
    packed = json.loads(base64.urlsafe_b64decode(sys.argv[1]))
    os.chdir(packed["directory"])
    os.execv(sys.executable, [sys.executable, "-m", "launch", *packed["words"]])


if __name__ == "__main__":
    main()
