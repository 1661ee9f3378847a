"""The presets: rules with their thresholds and sources, as TOML files beside the code.

A file `presets/NAME.toml` holds one table for each rule: the column that it judges, its threshold,
what it means, and where it comes from. A rule's name ends in `_low` (a minimum) or `_high` (a
maximum); a value equal to the threshold passes. A recipe changes thresholds, for all languages or
for one; it cannot add rules. This module is configuration: it imports no heavy package.
"""

import difflib
import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from launch.errors import UserError

Preset = Literal[
    "gopher", "c4", "fineweb", "refinedweb", "madlad", "encoding", "chinese", "code", "mathematics"
]
NAMES: tuple[Preset, ...] = (
    "gopher", "c4", "fineweb", "refinedweb", "madlad", "encoding", "chinese", "code", "mathematics",
)  # fmt: skip

_DIRECTORY = Path(__file__).with_name("presets")


@dataclass(frozen=True)
class Rule:
    """One rule: a document whose `signal` lies beyond `threshold` is dropped with `reason`."""

    reason: str
    signal: str
    minimum: bool
    threshold: float
    meaning: str
    source: str

    @property
    def name(self) -> str:
        """The rule's key in a table of thresholds."""
        return self.reason.partition(".")[2]


@functools.cache
def load_preset(name: str) -> tuple[Rule, ...]:
    """The rules of a preset, in the order in which they judge."""
    with (_DIRECTORY / f"{name}.toml").open("rb") as file:
        tables = tomllib.load(file)[name]
    rules = []
    for key, table in tables.items():
        assert key.endswith(("_low", "_high")), f"{name}.{key} says neither _low nor _high"
        threshold = float(table["threshold"])
        rules.append(
            Rule(
                reason=f"{name}.{key}",
                signal=table["signal"],
                minimum=key.endswith("_low"),
                threshold=threshold,
                meaning=table.get("meaning", ""),
                source=table["source"],
            )
        )
    return tuple(rules)


def complete(presets: Any, thresholds: Any) -> dict[str, dict[str, float]]:
    """Every threshold of the presets that are used, the recipe's values in place of the files'."""
    check(presets, thresholds, "dataprep.thresholds")
    return {
        name: {
            rule.name: thresholds.get(name, {}).get(rule.name, rule.threshold)
            for rule in load_preset(name)
        }
        for name in presets
    }


def check(presets: Any, thresholds: Mapping[str, Mapping[str, float]], where: str) -> None:
    """Raises UserError if a threshold is of no preset that is used, or of no rule that it has."""
    for name, values in thresholds.items():
        if name not in presets:
            got = f"'{name}', which dataprep.presets does not name"
            raise UserError(where, got, f"one of {', '.join(presets) or 'none'}")
        known = [rule.name for rule in load_preset(name)]
        for key, value in values.items():
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
                hint = f"did you mean '{close[0]}'?" if close else f"rules: {', '.join(known)}"
                raise UserError(
                    f"{where}.{name}.{key}", "an unknown rule", "one of its rules", hint
                )
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise UserError(f"{where}.{name}.{key}", repr(value), "a number")


def read_language_rules(language: str, value: Any) -> Any:
    """The table that a recipe gives for a language, or the content of the TOML file it names."""
    if not isinstance(value, str):
        return value
    where = f"dataprep.language_rules.{language}"
    try:
        with Path(value).open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise UserError(where, f"'{value}': {error.strerror}", "a TOML file") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{where}: {value}", str(error), "TOML") from None
