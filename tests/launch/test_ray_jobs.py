"""The Ray line: what arrives on the cluster are the words that were meant, whatever their names."""

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from subprocess import list2cmdline

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from launch.ray_jobs import RayOptions, job_command, render

GOLDEN = Path(__file__).parent / "golden"

# Stands where the cluster's Python would: prints the directory and the words it was given.
PROBE = """#!/bin/bash
if [ "$2" = launch.ray_jobs ]; then
  exec python3 - "$3" << 'CODE'
import base64, json, sys
packed = json.loads(base64.urlsafe_b64decode(sys.argv[1]))
sys.stdout.write("\\0".join([packed["directory"], *packed["words"]]))
CODE
fi
printf '%s' "$PWD"
shift 2
printf '\\0%s' "$@"
"""


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("probe") / "python"
    path.write_text(PROBE)
    path.chmod(0o755)
    return path


def arrived(line: str, join: Callable[[list[str]], str]) -> list[str]:
    """The words after both shells: ours, then `sh` on the cluster with what Ray joined."""
    words = subprocess.run(
        ["bash", "-c", f"ray() {{ printf '%s\\0' ray \"$@\"; }}; {line}"],
        capture_output=True, check=True,
    ).stdout.decode().split("\0")[:-1]  # fmt: skip
    entry = words[words.index("--") + 1 :]
    done = subprocess.run(join(entry), shell=True, capture_output=True, check=True)
    return done.stdout.decode().split("\0")


hostile = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1)


@settings(deadline=None, max_examples=5)
@example(path="recipes/tiny.toml", override="run.seed=2")
@example(path="my recipe.toml", override="a='b'")
@example(path='a  "b"\t$(touch /tmp/x)`id`', override="${HOME} %PATH% \\' ;&|")
@example(path="line\nbreak", override="-- x")
@given(path=hostile, override=hostile)
def test_names_survive_both_shells(probe: Path, path: str, override: str) -> None:
    line = render(path, [override], RayOptions(python=str(probe)), "/tmp")
    # Ray 2.60 joins by a shell's rules, earlier versions by Windows' rules.
    for join in (shlex.join, list2cmdline):
        wanted = ["/tmp", "run", path, override, "execution.ray_address=auto"]
        assert arrived(line, join) == wanted


def test_a_plain_line_can_be_read() -> None:
    options = RayOptions(address="http://head:8265", gpus=8, submission_id="pilot-1", wait=False)
    line = render("recipes/pilot.toml", ["run.seed=2"], options, "/shared/work")
    assert line == (GOLDEN / "ray-job.txt").read_text()


def test_the_packed_form_is_used_only_where_it_must() -> None:
    assert "launch.ray_jobs" not in render("recipes/tiny.toml", ["run.seed=2"])
    assert "launch.ray_jobs" in render("two  spaces.toml")


def test_the_packed_job_starts_the_recipe(tmp_path: Path, repository: Path) -> None:
    """The other side for real: the module unpacks, changes directory and runs the command."""
    import os
    import sys

    command = job_command("no  such.toml", [], RayOptions(python=sys.executable), str(tmp_path))
    entry = command[command.index("--") + 1 :]
    done = subprocess.run(
        entry, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(repository)}
    )
    assert done.returncode == 2
    assert "no  such.toml: got no such file" in done.stderr
