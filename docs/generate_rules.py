"""Writes docs/rules.md from the presets: `python -m docs.generate_rules`.

The page is committed and a test compares it with what this prints, so that it cannot drift.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path

from dataprep.signals.presets import NAMES, load_preset

PAGE = Path(__file__).parent / "rules.md"
PRESETS = Path(__file__).parent.parent / "dataprep" / "signals" / "presets"
HEAD = """# The rules

Generated from the files in `dataprep/signals/presets/` by `make docs`; do not edit.

A preset is a table of rules. A rule judges one column: `_low` in its name means that a document
with less is dropped, `_high` that one with more is; the bound itself passes. The first rule that a
document fails is its `drop_reason` (`PRESET.RULE`), with the value and the threshold beside it.
Which presets judge a document:

- code and mathematics (`content_kind`) are judged by `code` and `mathematics`, if the recipe names
  them;
- Chinese and Japanese by `chinese`, if the recipe names it;
- everything else by the other presets, in the recipe's order.

Thresholds are changed in the recipe, for all languages or for one; a language's table may be a file
of its own, with `stop_words = [...]` and tables like `[thresholds.gopher]`:

    [dataprep]
    presets = ["gopher", "c4", "fineweb"]
    terminal_punctuation = false          # C4 as FineWeb uses it
    [dataprep.thresholds.gopher]
    alphabetic_words_low = 0.6
    [dataprep.language_rules]
    de = "rules/de.toml"

What the columns mean is said in [dataprep.md](dataprep.md). `gristmill dataprep retune` tries other
values on a corpus that is there.
"""


def page() -> str:
    """The whole page."""
    return HEAD + "".join(section for name in NAMES for section in _section(name))


def _section(name: str) -> Iterator[str]:
    path = PRESETS / f"{name}.toml"
    comment = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("# "))
    yield f"\n## `{name}`\n\n" + "\n".join(comment) + "\n\n"
    yield "| rule | threshold | column | meaning | source |\n|---|---|---|---|---|\n"
    for rule in load_preset(name):
        yield (
            f"| `{rule.name}` | {rule.threshold:g} | `{rule.signal}` | {rule.meaning} "
            f"| {rule.source} |\n"
        )
    with path.open("rb") as file:
        assert set(tomllib.load(file)) == {name}, f"{path.name} holds other tables"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
