"""A value with its interval, and how both are written."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A value and its percentile interval over the bootstrap samples."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{short(self.value)} ({short(self.low)} to {short(self.high)})"

    def contains(self, value: float) -> bool:
        """Whether `value` lies within the interval, its ends included."""
        return self.low <= value <= self.high


def short(value: float) -> str:
    """Four digits, three where a power of ten is written."""
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.3g}"
    return f"{value:.4g}"
