"""The command line's promises: the verb is always there, errors are one line, codes are kept."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from launch.cli import STAGES, main, new_app
from launch.errors import LockedError, NumericalError, PeerLostError, PreemptedError, UserError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("a", "b", "c", "do d"), 2),
        (PreemptedError("a", "do d"), 3),
        (NumericalError("a", "do d"), 4),
        (PeerLostError("a", "do d"), 5),
        (LockedError("a", "do d"), 6),
    ],
)
def test_an_error_becomes_one_line_a_hint_and_its_code(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    app = new_app("stage", "A stage.")

    @app.command("verb")
    def verb() -> None:
        raise error

    with pytest.raises(SystemExit) as caught:
        main(app, ["verb"])
    assert caught.value.code == code
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [f"error: {error}", "", "hint: do d"]


def test_the_verb_is_there_even_if_it_is_the_only_one() -> None:
    app = new_app("stage", "A stage.")
    app.command("verb")(lambda: None)
    assert isinstance(app, typer.Typer)
    with pytest.raises(SystemExit) as caught:
        main(app, ["other"])
    assert caught.value.code == 2


def test_a_bug_keeps_its_traceback() -> None:
    app = new_app("stage", "A stage.")

    @app.command("verb")
    def verb() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        main(app, ["verb"])


def test_help_is_fast_because_it_imports_no_engine(repository: Path) -> None:
    code = (
        "import sys\n"
        "sys.argv = ['gristmill', '--help']\n"
        "from launch.cli import entry\n"
        "try:\n    entry()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'ray', 'pyarrow', 'numba', 'sentencepiece', 'scipy', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True
    )
    assert all(stage in done.stdout for stage in STAGES)
