"""The errors that end a command with a documented exit code instead of a traceback.

    GristmillError
    ├── UserError       2  the user can mend it: recipe, input, directory
    ├── PreemptedError  3  stopped from outside, everything saved: start again
    ├── NumericalError  4  NaN or a loss spike beyond the recipe's policy
    ├── PeerLostError   5  a process of a distributed run hangs or died
    └── LockedError     6  another process writes this directory

Anything else is a bug of ours: it keeps its traceback and exits with 1.
"""

import errno


class GristmillError(Exception):
    """Ends the command with `exit_code`; `message` is one line, `hint` says what to do."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        # The exception crosses process borders (Ray workers), where the default protocol would
        # call the subclass with `message` alone.
        return (_rebuild, (type(self), self.message, self.hint))


class UserError(GristmillError):
    """Something that the user can mend: `where: got X, expected Y`."""

    exit_code = 2

    def __init__(self, where: str, got: str, expected: str, hint: str = "") -> None:
        super().__init__(f"{where}: got {got}, expected {expected}", hint)


class PreemptedError(GristmillError):
    """The run was asked to stop and has saved; the same command goes on from there."""

    exit_code = 3


class NumericalError(GristmillError):
    """The loss or a gradient is not a number, or spiked beyond the recipe's policy."""

    exit_code = 4


class PeerLostError(GristmillError):
    """A process of a distributed run died or hangs."""

    exit_code = 5


class LockedError(GristmillError):
    """Another living process writes this directory."""

    exit_code = 6


def full_disk(error: BaseException | None) -> UserError | None:
    """What to tell the user where `error` says that a disk or a quota is full; else None."""
    if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    place = f" ({error.filename})" if error.filename else ""
    return UserError(
        "disk",
        f"no space left{place}",
        "room for the work",
        "free some and start again: the same command goes on from the finished pieces",
    )


def _rebuild(kind: type[GristmillError], message: str, hint: str) -> GristmillError:
    error = kind.__new__(kind)
    GristmillError.__init__(error, message, hint)
    return error
