"""The notebook runs headless, and finds the law that it planted."""

import subprocess
import sys
from pathlib import Path


def test_the_notebook_runs_and_finds_its_law(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(repository / "examples" / "fit_and_plan.py")],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    held_out = next(line for line in done.stdout.splitlines() if "held out" in line)
    assert "inside" in held_out
    assert "this fit" in done.stdout
    picture = Path(done.stdout.rsplit("figure: ", 1)[1].strip())
    assert picture.read_bytes().startswith(b"\x89PNG")
