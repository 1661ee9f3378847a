"""Numbers as people read them, for a terminal and for the page; and texts made harmless."""

import re

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
DASH = "–"


def plain(value: object) -> str:
    """A text from anywhere on one line, control and direction characters shown as such."""
    return _CONTROLS.sub(lambda match: f"\\x{ord(match[0]):02x}", str(value))


def number(value: float | None, digits: int = 4) -> str:
    """A number in about `digits` digits, with separators; a dash where there is none."""
    if value is None or value != value:
        return DASH
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    if size < 1e-3:
        return f"{value:.{max(digits - 2, 1)}e}".replace("e-0", "e-")
    return f"{value:.{digits}g}"


def short(value: float | None) -> str:
    """A large count with its unit: 2.84M."""
    if value is None or value != value:
        return DASH
    for unit, name in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:.3g}"


def size(num_bytes: float | None) -> str:
    """Bytes in a unit that keeps the number short."""
    if num_bytes is None or num_bytes != num_bytes:
        return DASH
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if num_bytes >= unit:
            return f"{num_bytes / unit:.3g} {name}"
    return f"{num_bytes:.0f} B"


def percent(value: float | None) -> str:
    """A share in percent."""
    return DASH if value is None or value != value else f"{100 * value:.1f} %"


def duration(seconds: float | None) -> str:
    """A time in its two largest units."""
    if seconds is None or seconds != seconds:
        return DASH
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"
    for unit, name, below, small in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min")):
        if whole >= unit:
            return f"{whole // unit} {name} {whole % unit // below} {small}"
    return f"{whole // 60} min {whole % 60} s"
