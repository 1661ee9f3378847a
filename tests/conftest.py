"""What several test files share: the repository's root, a Ray session, real data if at hand."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadFileScheduling

REPOSITORY = Path(__file__).resolve().parent.parent

# Children (Ray workers, `python -m` runs) find the packages whatever directory they start in.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
)
# Ray's workers run at niceness 15 otherwise: beside another process of tests they would starve.
os.environ.setdefault("RAY_worker_niceness", "0")
# In a process of pytest-xdist, torch's threads would only wait for those of the other process.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples at every run: what is found by chance is found by `make explore`, not by a
# change that has nothing to do with it. And a busy machine is no reason for a law to fail.
UNHURRIED = hypothesis.settings(
    deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("same", UNHURRIED, derandomize=True)
hypothesis.settings.register_profile("explore", UNHURRIED, derandomize=False, max_examples=500)
hypothesis.settings.load_profile("same")

# Where two processes share the files they take them in this order. The first compiles nearly all
# kernels, one to two minutes where the cache is empty; what comes next needs none, so that the
# other process does not compile the same at the same time. Short files are at the end.
ORDER = (
    "dataprep/test_rehearsal.py", "pretrain/", "launch/", "scaling/", "test_", "tokenizer/",
    "dataprep/",
)  # fmt: skip


# Files that train in the pool of ranks go to one process, for a second pool would be seven more
# processes that import Megatron-core. (pytest-xdist 3.8's own groups are no groups under pytest 9.)
WITH_RANKS = frozenset(
    path.relative_to(REPOSITORY).as_posix()
    for path in REPOSITORY.glob("tests/pretrain/test_*.py")
    if re.search(r"\blayouts: ", path.read_text(encoding="utf-8"))
)


class ByFile(LoadFileScheduling):
    """Gives each file to one process, and all of `WITH_RANKS` to the same one."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "ranks" if file in WITH_RANKS else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Who gets which tests, where several processes run them."""
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In a process of pytest-xdist, files in `ORDER`."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: _place(item.path.relative_to(REPOSITORY).as_posix()))


def _place(path: str) -> tuple[int, bool]:
    places = (place for place, prefix in enumerate(ORDER) if path.startswith(f"tests/{prefix}"))
    return next(places, len(ORDER)), path not in WITH_RANKS


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data(repository: Path) -> Path:
    """A folder of real texts beside the checkout; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("GRISTMILL_TEST_DATA", repository.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no folder of real data at {folder} (set GRISTMILL_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def ray_session() -> Iterator[Any]:
    """One local Ray with two workers for all tests; `run_tasks` uses the session it finds."""
    from launch import ray_cluster
    from launch.recipe import Execution

    with ray_cluster.ray_session(Execution(workers=2)) as ray:
        yield ray
