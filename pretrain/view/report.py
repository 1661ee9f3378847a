"""`gristmill pretrain report RUN [RUN ...]`: a page of curves from the files of runs."""

from collections.abc import Sequence
from pathlib import Path

from launch.errors import UserError
from launch.manifest import write_atomic
from pretrain.contract import read_result
from pretrain.view.course import read_course
from pretrain.view.report_curves import Drawn
from pretrain.view.report_page import render

FILE_NAME = "report.html"
COMPARISON_NAME = "comparison.html"
RUNS_MAX = 32


def write_report(directories: Sequence[Path]) -> Path:
    """Write the page of a run into its directory, or that of several into the first one's.

    Returns its path. Raises `UserError` if one of them is not a run, or its metrics are damaged.
    """
    if len(directories) > RUNS_MAX:
        raise UserError("runs", str(len(directories)), f"at most {RUNS_MAX} on one page")
    runs = [Drawn(read_result(each), read_course(each)) for each in directories]
    path = directories[0] / (FILE_NAME if len(runs) == 1 else COMPARISON_NAME)
    write_atomic(path, render(runs))
    return path
