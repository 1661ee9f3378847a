"""An edit of a kernel's callee in another file is seen, which numba's own cache does not do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CALLER = """
from copied.kernel_cache import kernel
from copied.callee import add

@kernel
def twice(value):
    return add(value) * 2
"""
CALLEE = """
from copied.kernel_cache import kernel

@kernel
def add(value):
    return value + {added}
"""
PLAIN_CACHE = "import numba\n\ndef kernel(function):\n    return numba.njit(cache=True)(function)\n"


@pytest.fixture
def package(tmp_path: Path, repository: Path) -> Path:
    package = tmp_path / "copied"
    package.mkdir()
    (package / "__init__.py").write_text("")
    shutil.copy(repository / "dataprep" / "kernel_cache.py", package)
    (package / "caller.py").write_text(CALLER)
    return package


def run(package: Path, added: int) -> tuple[int, int]:
    """The kernel's answer for 1, and how often its machine code came from the cache."""
    (package / "callee.py").write_text(CALLEE.format(added=added))
    program = (
        "from copied.caller import twice\n"
        "answer = twice(1)\n"
        "print(answer, sum(twice.stats.cache_hits.values()))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program],
        cwd=package.parent,
        env={**os.environ, "XDG_CACHE_HOME": str(package.parent / "cache")},
        check=True,
        capture_output=True,
        text=True,
    )
    answer, hits = finished.stdout.split()
    return int(answer), int(hits)


def test_the_code_is_compiled_once_and_again_after_an_edit_of_a_callee(package: Path) -> None:
    assert run(package, added=1) == (4, 0)
    assert run(package, added=1) == (4, 1)
    assert run(package, added=10) == (22, 0)
    assert len(list((package.parent / "cache" / "gristmill" / "kernels").iterdir())) == 2


@pytest.mark.slow
def test_numbas_own_cache_would_have_run_stale_code(package: Path) -> None:
    # Why kernel_cache exists; if this fails, numba has learnt it and kernel_cache can go.
    (package / "kernel_cache.py").write_text(PLAIN_CACHE)
    assert run(package, added=1)[0] == 4
    assert run(package, added=10)[0] == 4
