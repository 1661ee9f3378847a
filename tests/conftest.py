"""What several test files share: the repository's root, a Ray session, real data if at hand."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

# Children (Ray workers, `python -m` runs) find the packages whatever directory they start in.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
)

# A busy machine is no reason for a law to fail.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")


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
