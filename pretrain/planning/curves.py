"""Learning rate and batch over a run, as text: what the schedule will do, before it does it."""

from collections.abc import Callable, Iterator

from pretrain.config import Training
from pretrain.schedule import batch_size, learning_rate

_BARS = " ▁▂▃▄▅▆▇█"
_COLUMNS = 60


def batch_segments(training: Training) -> Iterator[tuple[int, int]]:
    """(iterations, sequences) of each part of the run in which the batch has one size."""
    done = 0
    while done < training.iterations:
        size, start = batch_size(training, done), done
        inside = done < training.batch_ramp_iterations
        done = done + 1 if inside else training.iterations
        while inside and done < training.iterations and batch_size(training, done) == size:
            done += 1
        yield done - start, size


def curves(training: Training) -> list[str]:
    """Lines: the learning rate as a row of bars and at some iterations, the batch if it grows."""
    last = training.iterations - 1
    lines = [
        f"learning rate, iterations 0 to {last:,}, peak {training.lr_peak:g}",
        "|" + _bars(training, lambda i: learning_rate(training, i)) + "|",
    ]
    if training.batch_size_start:
        lines += [
            f"sequences of a batch, {training.batch_size_start} to {training.batch_size}",
            "|" + _bars(training, lambda i: float(batch_size(training, i))) + "|",
        ]
    lines.append(f"{'iteration':>12}  {'learning rate':>13}  {'batch':>7}")
    for iteration in _landmarks(training):
        rate = learning_rate(training, iteration)
        size = batch_size(training, iteration)
        lines.append(f"{iteration:>12,}  {rate:>13.4g}  {size:>7,}")
    return lines


def _bars(training: Training, value: Callable[[int], float]) -> str:
    columns = min(_COLUMNS, training.iterations)
    points = [round(c * (training.iterations - 1) / max(1, columns - 1)) for c in range(columns)]
    values = [value(point) for point in points]
    most = max(values)
    return "".join(_BARS[max(1, round(v / most * (len(_BARS) - 1)))] for v in values)


def _landmarks(training: Training) -> list[int]:
    """Begin and end of the warm-up and of the batch's growth, quarters, the end."""
    last = training.iterations - 1
    marks = {0, last, training.warmup_iterations - 1, training.batch_ramp_iterations}
    marks |= {last * quarter // 4 for quarter in (1, 2, 3)}
    return sorted(mark for mark in marks if 0 <= mark <= last)
