"""Checked configuration: frozen pydantic models, refused in one line with a hint.

The models themselves stand beside the code they steer (`STAGE/config.py`); this file holds what
they share: their base class and the translation of pydantic's errors into a line a person reads.
"""

import difflib
import json
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from launch.errors import UserError


class Model(BaseModel):
    """Base of every configuration table: immutable, no unknown keys, no type coercion."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )


ModelType = TypeVar("ModelType", bound=Model)


def parse_model(model: type[ModelType], data: Mapping[str, Any], where: str) -> ModelType:
    """The table `data`, found at `where` in the recipe, as an instance of `model`.

    Strict JSON mode is used on purpose: TOML's arrays and strings become tuples and paths, while
    `"2"` for an integer or `1.5` for a count is refused.

    Raises `UserError` for the first thing that is wrong with it.
    """
    try:
        return model.model_validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _explain(model, first, where, error.error_count()) from None


def _explain(model: type[BaseModel], error: Any, where: str, count: int) -> UserError:
    location = [str(part) for part in error["loc"]]
    place = ".".join(part for part in [where, *location] if part)
    more = f" ({count - 1} more after this one)" if count > 1 else ""
    if error["type"] == "extra_forbidden":
        known = sorted(_model_at(model, location[:-1]).model_fields)
        close = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.5)
        hint = f"did you mean '{close[0]}'?" if close else f"known keys: {', '.join(known)}"
        return UserError(place, "an unknown key", "one of this table's keys", hint + more)
    if error["type"] == "missing":
        return UserError(place, "nothing", "a value", f"this key is required{more}")
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    got = json.dumps(error.get("input"), ensure_ascii=False, default=str)
    return UserError(place, got if len(got) <= 80 else got[:77] + "...", message, more.strip())


def _model_at(model: type[BaseModel], location: list[str]) -> type[BaseModel]:
    """The model whose table lies at `location`, as far as it can be followed."""
    for part in location:
        field = model.model_fields.get(part)
        if field is None:
            continue  # an index of an array, or the tag of a union
        nested = _nested_model(field.annotation)
        if nested is None:
            break
        model = nested
    return model


def _nested_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        nested = _nested_model(argument)
        if nested is not None:
            return nested
    return None
