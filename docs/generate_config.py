"""Writes docs/config.md from the configuration models: `python -m docs.generate_config`.

The page is committed and a test compares it with what this prints, so that it cannot drift.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Len, Lt, MaxLen, MinLen, MultipleOf
from pydantic import BaseModel
from pydantic.fields import FieldInfo

PAGE = Path(__file__).parent / "config.md"
HEAD = """# The recipe's keys

Generated from the configuration models by `make docs`; do not edit.

A recipe is one TOML file. Precedence: the defaults below, then the recipe, then `key=value` on the
command line (`gristmill run RECIPE pretrain.training.iterations=400 sources.0.weight=2`). Unknown
keys, wrong types and values out of range are refused before anything starts, with exit code 2.
"""


def tables() -> list[tuple[str, type[BaseModel]]]:
    """The recipe's top tables in the order of the stages."""
    from dataprep.config import Dataprep, Source
    from launch.recipe import Execution, Run
    from pretrain.config import Pretrain
    from scaling.config import Scaling
    from tokenizer.config import Tokenizer

    return [
        ("[run]", Run),
        ("[execution]", Execution),
        ("[[sources]]", Source),
        ("[dataprep]", Dataprep),
        ("[tokenizer]", Tokenizer),
        ("[pretrain]", Pretrain),
        ("[scaling]", Scaling),
    ]


def page() -> str:
    """The whole page."""
    sections = [HEAD]
    for name, model in tables():
        sections.extend(_sections(name, model))
    return "\n".join(sections)


def _sections(name: str, model: type[BaseModel]) -> Iterator[str]:
    rows, nested = [], []
    for key, field in model.model_fields.items():
        inner = _inner_model(field.annotation)
        if inner is None:
            rows.append(
                f"| `{key}` | {_type(field.annotation)} | {_default(field)} | {_range(field)} "
                f"| {_one_line(field.description)} |"
            )
        else:
            several = "tuple" in str(get_origin(_without_none(field.annotation)))
            path = name.strip("[]") + "." + key
            nested.append((f"[[{path}]]" if several else f"[{path}]", inner))
    meaning = re.sub(r"^(A t|T)ables? (`[^`]*`(, | and )?)+: ", "", _one_line(model.__doc__))
    yield f"## `{name}`\n\n{meaning[:1].upper()}{meaning[1:]}\n"
    if rows:
        yield "| key | type | default | range | meaning |\n|---|---|---|---|---|"
        yield "\n".join(rows) + "\n"
    for path, inner in nested:
        yield from _sections(path, inner)


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        inner = _inner_model(argument)
        if inner is not None:
            return inner
    return None


def _without_none(annotation: Any) -> Any:
    rest = [argument for argument in get_args(annotation) if argument is not type(None)]
    return rest[0] if type(None) in get_args(annotation) and len(rest) == 1 else annotation


def _type(annotation: Any) -> str:
    annotation = _without_none(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{json.dumps(value)}`" for value in arguments)
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"table of {_type(arguments[1])}"
    if arguments and origin is not None:
        return " or ".join(_type(argument) for argument in arguments)
    plain = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
    name = getattr(annotation, "__name__", str(annotation))
    return plain.get(name, "path" if name == "Path" else name)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if default is None:
        return "none"
    return f"`{json.dumps(default, default=str, ensure_ascii=False)}`"


def _range(field: FieldInfo) -> str:
    signs = {Ge: ("ge", "≥"), Gt: ("gt", ">"), Le: ("le", "≤"), Lt: ("lt", "<")}
    parts = []
    for constraint in field.metadata:
        if type(constraint) in signs:
            attribute, sign = signs[type(constraint)]
            parts.append(f"{sign} {getattr(constraint, attribute):,}")
        elif isinstance(constraint, MultipleOf):
            parts.append(f"multiple of {constraint.multiple_of}")
        elif isinstance(constraint, MinLen | Len) and constraint.min_length:
            parts.append(f"at least {constraint.min_length}")
        elif isinstance(constraint, MaxLen):
            parts.append(f"at most {constraint.max_length}")
    return ", ".join(parts)


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
