"""What a fit says: coefficients, exponents and predictions, each with its interval.

`Fitted` is one law on one table; `FitResult` holds all laws of `fit.json`. Both are plain data and
can be read back anywhere without refitting, because the bootstrap samples travel with them.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from launch.errors import UserError
from scaling.forms import significant
from scaling.interval import Interval
from scaling.laws import Allocation, ChinchillaLaw, KaplanLaw, Law

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

KIND = "fit"
VERSION = 1
FILE_NAME = "fit.json"
_LAWS: dict[str, type[ChinchillaLaw] | type[KaplanLaw]] = {
    "chinchilla": ChinchillaLaw,
    "kaplan": KaplanLaw,
}


@dataclass(frozen=True)
class HeldOut:
    """One run that the fit did not see."""

    name: str
    parameters: float
    """By the law's own count."""
    tokens: float
    measured: float
    """Nats per token."""
    predicted: Interval
    """The law's value; its interval is that of the law alone."""
    run_interval: Interval
    """Same value; the interval adds the scatter of single runs around the law."""

    @property
    def error_share(self) -> float:
        """(predicted - measured) / measured."""
        return self.predicted.value / self.measured - 1.0

    @property
    def inside(self) -> bool:
        """Whether the measurement lies in the interval for a single run."""
        return self.run_interval.contains(self.measured)


@dataclass(frozen=True)
class Fitted:
    """One law fitted to one table."""

    law: Law
    samples: tuple[Law, ...]
    """The law of each bootstrap sample."""
    noise: tuple[float, ...]
    """A log residual for each sample."""
    confidence: float
    objective: float
    residuals: Mapping[str, float]
    """ln(measured) - ln(predicted) by run."""
    held_out: tuple[HeldOut, ...]
    search: Mapping[str, Any]
    """How the optimum was found: starts, share at the optimum, condition number, bounds."""
    bootstrap: Mapping[str, Any]
    """Samples drawn, used, failed; shares that ended on a bound."""
    cautions: tuple[str, ...]
    """What the runs leave open, with numbers."""

    def interval(self, quantity: Callable[[Law], float]) -> Interval:
        """Any function of the law, such as `lambda law: law.a`, with its interval."""
        return self._percentiles(quantity(self.law), [quantity(law) for law in self.samples])

    def loss(self, parameters: float, tokens: float) -> Interval:
        """Loss in nats per token, parameters as the law counts; interval of the law alone."""
        return self.interval(lambda law: float(law.loss(parameters, tokens)))

    def loss_of_run(self, parameters: float, tokens: float) -> Interval:
        """As `loss`, with the scatter of a single run around the law in the interval."""
        values = [
            float(law.loss(parameters, tokens)) * float(np.exp(residual))
            for law, residual in zip(self.samples, self.noise, strict=True)
        ]
        return self._percentiles(float(self.law.loss(parameters, tokens)), values)

    def optimum(self, flops: float) -> Allocation:
        """The best split of a budget of 6 x parameters x tokens."""
        return self.law.optimum(flops)

    def coefficients(self) -> dict[str, Interval]:
        """Coefficients, then the exponents a (of parameters) and b (of tokens) in compute."""
        names = (*self.law.coefficient_names, "a", "b")
        return {name: self.interval(attrgetter(name)) for name in names}

    def to_frame(self) -> "pd.DataFrame":
        """Coefficients and exponents: value, low, high."""
        import pandas as pd

        rows = {n: (i.value, i.low, i.high) for n, i in self.coefficients().items()}
        return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high"])

    def summary(self) -> str:
        """A few lines for people; no claim goes beyond the intervals."""
        law, runs = self.law, f"{len(self.residuals)} runs"
        share = f"{100 * self.confidence:.0f} % intervals"
        lines = [f"{law.kind}: {law.parameter_count} parameters, {runs}, {share}"]
        lines += [f"  {name:8s} {interval}" for name, interval in self.coefficients().items()]
        for run in self.held_out:
            verdict = "inside" if run.inside else "OUTSIDE"
            lines.append(
                f"  held out {run.name}: predicted {run.predicted.value:.4f}, measured "
                f"{run.measured:.4f} ({100 * run.error_share:+.2f} %), {verdict} "
                f"{run.run_interval.low:.4f} to {run.run_interval.high:.4f}"
            )
        lines += [f"  caution: {caution}" for caution in self.cautions]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """JSON types, numbers to 10 significant digits."""
        names = self.law.coefficient_names
        return {
            "parameter_count": self.law.parameter_count,
            "loss_unit": "nats per token",
            "flops_convention": "6 * parameters * tokens",
            "coefficients": {n: asdict(i) for n, i in self.coefficients().items()},
            "objective": self.objective,
            "residuals": dict(self.residuals),
            "held_out": [
                {
                    "name": run.name,
                    "parameters": run.parameters,
                    "tokens": run.tokens,
                    "loss_measured": run.measured,
                    "loss_predicted": asdict(run.predicted),
                    "loss_of_run": asdict(run.run_interval),
                    "error_share": significant(run.error_share),
                    "inside": run.inside,
                }
                for run in self.held_out
            ],
            "search": dict(self.search),
            "bootstrap": dict(self.bootstrap),
            "cautions": list(self.cautions),
            "confidence": self.confidence,
            "samples": [[getattr(law, n) for n in names] for law in self.samples],
            "noise": list(self.noise),
        }

    @classmethod
    def from_json(cls, kind: str, data: Mapping[str, Any]) -> "Fitted":
        """The inverse of `to_json`."""
        law_class = _LAWS[kind]
        values = {n: data["coefficients"][n]["value"] for n in law_class.coefficient_names}
        return cls(
            law=law_class(**values),
            samples=tuple(law_class(*row) for row in data["samples"]),
            noise=tuple(data["noise"]),
            confidence=data["confidence"],
            objective=data["objective"],
            residuals=data["residuals"],
            held_out=tuple(
                HeldOut(
                    name=run["name"],
                    parameters=run["parameters"],
                    tokens=run["tokens"],
                    measured=run["loss_measured"],
                    predicted=Interval(**run["loss_predicted"]),
                    run_interval=Interval(**run["loss_of_run"]),
                )
                for run in data["held_out"]
            ),
            search=data["search"],
            bootstrap=data["bootstrap"],
            cautions=tuple(data["cautions"]),
        )

    def _percentiles(self, value: float, values: list[float]) -> Interval:
        tail = 50.0 * (1.0 - self.confidence)
        low, high = np.percentile(np.array(values), [tail, 100.0 - tail])
        # A fit may lie outside the percentiles of its own bootstrap; the interval then reaches it.
        ends = (value, min(float(low), value), max(float(high), value))
        return Interval(*(significant(end) for end in ends))


@dataclass(frozen=True)
class FitResult:
    """All laws fitted to one table, and what the table covered."""

    laws: Mapping[str, Fitted]
    """By kind: chinchilla, kaplan. A law whose parameter count the table lacks is absent."""
    observed: Mapping[str, tuple[float, float]]
    """Least and greatest parameters_total, parameters_nonembedding, tokens, flops, loss_valid of
    the fitted runs."""
    settings: Mapping[str, Any]
    table: Mapping[str, Any]
    """Rows, digest, which runs were fitted and which held out."""

    @cached_property
    def chinchilla(self) -> Fitted:
        """The fit that plans are made from. Raises `UserError` if the table did not allow it."""
        if "chinchilla" not in self.laws:
            raise UserError("fit", "no Chinchilla law", "a table with parameters_total")
        return self.laws["chinchilla"]

    def summary(self) -> str:
        """All laws, a few lines each."""
        return "\n".join(fitted.summary() for fitted in self.laws.values())

    def to_frame(self) -> "pd.DataFrame":
        """Coefficients of all laws, one row for each."""
        import pandas as pd

        return pd.concat({kind: fitted.to_frame() for kind, fitted in self.laws.items()})

    def plot(self, ax: "Axes | None" = None, **options: Any) -> "Axes":
        """The runs and the Chinchilla curves; see `scaling.plot.draw_curves`."""
        from scaling.plot import draw_curves

        return draw_curves(self, ax, **options)

    def to_json(self) -> dict[str, Any]:
        """JSON types."""
        return {
            "kind": KIND,
            "version": VERSION,
            "table": dict(self.table),
            "settings": dict(self.settings),
            "observed": {name: list(ends) for name, ends in self.observed.items()},
            "laws": {kind: fitted.to_json() for kind, fitted in self.laws.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str = FILE_NAME) -> "FitResult":
        """The inverse of `to_json`. Raises `UserError` for another kind or version."""
        if (data.get("kind"), data.get("version")) != (KIND, VERSION):
            got = f"kind and version {(data.get('kind'), data.get('version'))}"
            raise UserError(where, got, f"{(KIND, VERSION)}")
        return cls(
            laws={kind: Fitted.from_json(kind, law) for kind, law in data["laws"].items()},
            observed={name: (ends[0], ends[1]) for name, ends in data["observed"].items()},
            settings=data["settings"],
            table=data["table"],
        )


def read_fit(path: Path) -> FitResult:
    """A `fit.json`. Raises `UserError` if it is missing or is something else."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(str(path), f"unreadable content ({error})", "a fit.json") from None
    if not isinstance(data, dict):
        raise UserError(str(path), "no JSON object", "a fit.json")
    return FitResult.from_json(data, str(path))
