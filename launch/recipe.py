"""A recipe: one TOML file that describes everything from raw text to the planned next run.

Precedence: the models' defaults, then the file, then `key=value` from the command line. There are
no includes, no interpolation and no class names in the data, so that what a recipe says can be
read from the recipe.
"""

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w
from pydantic import Field

from launch.config import Model, parse_model
from launch.errors import UserError

if TYPE_CHECKING:
    from dataprep.config import Dataprep, Source
    from pretrain.config import Pretrain
    from scaling.config import Scaling
    from tokenizer.config import Tokenizer


class Run(Model):
    """Table `[run]`: what this is called and where its files lie."""

    name: str = Field("run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    """Name of the training run: its directory is `ROOT/runs/NAME`."""
    root: Path = Field(Path("runs/run"))
    """Directory of all stages' outputs, relative to the working directory."""
    seed: int = Field(1, ge=0, le=2**31 - 1)
    """Seed of every draw: splits, samples, data order, initial weights."""


class Execution(Model):
    """Table `[execution]`: how it is run. No value here changes any result or digest."""

    workers: int = Field(2, ge=1, le=65_536)
    """Tasks of dataprep and encoding, and runs of the ladder, that work at once."""
    memory_gigabytes: float = Field(8.0, gt=0)
    """Memory that the data stages may use on one machine, in gigabytes."""
    ray_address: str = Field("local")
    """`local` starts Ray on this machine; `auto` or `ray://host:port` joins a cluster."""


class _Tables(Model):
    """The two tables that belong to launch; the others are checked by their own stages."""

    run: Run = Run()
    execution: Execution = Execution()


@dataclass(frozen=True)
class Recipe:
    """A recipe whose every table was checked. Paths derive from `run.root`."""

    run: Run
    execution: Execution
    sources: "tuple[Source, ...]"
    dataprep: "Dataprep"
    tokenizer: "Tokenizer"
    pretrain: "Pretrain"
    scaling: "Scaling"

    @property
    def documents(self) -> Path:
        """Directory of the documents that dataprep writes."""
        return self.run.root / "documents"

    @property
    def published_documents(self) -> Path | str:
        """Where the next stage finds the documents: `dataprep.output` if it is set."""
        return self.dataprep.output or self.documents

    @property
    def tokenizer_directory(self) -> Path:
        """Directory of the trained tokenizer."""
        return self.run.root / "tokenizer"

    @property
    def tokens(self) -> Path:
        """Directory of the encoded corpus."""
        return self.run.root / "tokens"

    @property
    def run_directory(self) -> Path:
        """Directory of this recipe's training run."""
        return self.run.root / "runs" / self.run.name

    @property
    def scaling_directory(self) -> Path:
        """Directory of the ladder, its runs table, the fits and the plan."""
        return self.run.root / "scaling"

    @cached_property
    def _dictionary(self) -> dict[str, Any]:
        tables = {
            "run": self.run,
            "execution": self.execution,
            "dataprep": self.dataprep,
            "tokenizer": self.tokenizer,
            "pretrain": self.pretrain,
            "scaling": self.scaling,
        }
        dumped: dict[str, Any] = {name: _dump(table) for name, table in tables.items()}
        dumped["sources"] = [_dump(source) for source in self.sources]
        return dumped

    def to_dict(self) -> dict[str, Any]:
        """The whole recipe, defaults written out, as JSON types; a copy."""
        copy: dict[str, Any] = json.loads(json.dumps(self._dictionary))
        return copy

    def to_toml(self) -> str:
        """The whole recipe, defaults written out, as text that `load_recipe` reads again."""
        return tomli_w.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Recipe":
        """Check every table of `data`. Raises `UserError` for the first thing that is wrong."""
        # Here, not at the top: launch imports no stage when it is itself imported.
        from dataprep.config import Dataprep, Source
        from pretrain.config import Pretrain
        from scaling.config import Scaling
        from tokenizer.config import Tokenizer

        stages: dict[str, type[Model]] = {
            "dataprep": Dataprep,
            "tokenizer": Tokenizer,
            "pretrain": Pretrain,
            "scaling": Scaling,
        }
        own = {
            name: value for name, value in data.items() if name not in stages and name != "sources"
        }
        unknown = [name for name in own if name not in _Tables.model_fields]
        if unknown:
            known = [*_Tables.model_fields, "sources", *stages]
            raise _unknown_table(unknown[0], known)
        tables = parse_model(_Tables, own, "")
        sources = data.get("sources", [{}])
        if not isinstance(sources, list) or not all(isinstance(s, Mapping) for s in sources):
            raise UserError("sources", repr(sources)[:60], "tables written as [[sources]]")
        parsed = {name: _table(model, data, name) for name, model in stages.items()}
        recipe = cls(
            run=tables.run,
            execution=tables.execution,
            sources=tuple(
                parse_model(Source, source, f"sources.{index}")
                for index, source in enumerate(sources)
            ),
            **parsed,  # type: ignore[arg-type]
        )
        names = [source.name for source in recipe.sources]
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise UserError("sources", f"the name '{twice}' twice", "a different name for each")
        return recipe


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe; `overrides` are `table.key=value` with values as TOML writes them.

    Raises `UserError` if the file is missing, is not TOML, or says something impossible.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(str(path), reason.lower(), "a recipe (TOML)", _nearby(path)) from None
    except UnicodeDecodeError:
        raise UserError(str(path), "bytes that are not UTF-8", "a recipe (TOML)") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(str(path), f"invalid TOML ({error})", "a recipe (TOML)") from None
    for override in overrides:
        if override.startswith("sources."):
            data.setdefault("sources", [{}])  # the default source can be changed as well
        _apply(data, override)
    return Recipe.from_dict(data)


def _apply(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise UserError(f"argument '{override}'", "no key=value", "for example run.seed=2")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # `run.name=pilot` need not be quoted
    table: Any = data
    for part in parts[:-1]:
        if isinstance(table, list):
            table = _element(table, part, override)
        else:
            table = table.setdefault(part, {})
        if not isinstance(table, dict | list):
            raise UserError(f"argument '{override}'", f"'{part}', a value", "the name of a table")
    if isinstance(table, list):
        _element(table, parts[-1], override)
        table[int(parts[-1])] = value
    else:
        table[parts[-1]] = value


def _element(array: list[Any], index: str, override: str) -> Any:
    if not index.isdecimal() or int(index) >= len(array):
        expected = f"an index from 0 to {len(array) - 1}"
        raise UserError(f"argument '{override}'", f"'{index}'", expected)
    return array[int(index)]


def _table(model: type[Model], data: Mapping[str, Any], name: str) -> Model:
    table = data.get(name, {})
    if not isinstance(table, Mapping):
        raise UserError(name, repr(table)[:60], f"a table written as [{name}]")
    return parse_model(model, table, name)


def _dump(model: Model) -> dict[str, Any]:
    # TOML has no null: a key that is None is left out and comes back as its default, None.
    dumped: dict[str, Any] = model.model_dump(mode="json", exclude_none=True)
    return dumped


def _unknown_table(name: str, known: list[str]) -> UserError:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'?" if close else f"known tables: {', '.join(known)}"
    return UserError(name, "an unknown key", "one of the recipe's tables", hint)


def _nearby(path: Path) -> str:
    shipped = sorted(p.name for p in (Path(__file__).parent / "recipes").glob("*.toml"))
    return f"shipped recipes: {', '.join('launch/recipes/' + name for name in shipped)}"
