"""A wrong table is refused in one line that names the place, what it got and what it expected."""

from pathlib import Path

import pytest
from pydantic import Field

from launch.config import Model, parse_model
from launch.errors import UserError


class Inner(Model):
    tensor: int = Field(1, ge=1)
    share: float = 0.5


class Outer(Model):
    inner: Inner = Inner()
    several: tuple[Inner, ...] = ()
    paths: tuple[Path, ...] = ()
    name: str


def test_arrays_paths_and_whole_numbers_for_floats_are_accepted() -> None:
    parsed = parse_model(Outer, {"name": "a", "paths": ["x/y"], "inner": {"share": 1}}, "top")
    assert parsed.paths == (Path("x/y"),)
    assert parsed.inner.share == 1.0


@pytest.mark.parametrize(
    ("data", "message", "hint"),
    [
        ({"name": "a", "iner": {}}, "top.iner: got an unknown key", "did you mean 'inner'?"),
        (
            {"name": "a", "inner": {"tensr": 2}},
            "top.inner.tensr: got an unknown key",
            "did you mean 'tensor'?",
        ),
        (
            {"name": "a", "several": [{}, {"shar": 2}]},
            "top.several.1.shar: got an unknown key",
            "did you mean 'share'?",
        ),
        (
            {"name": "a", "inner": {"tensor": "2"}},
            'top.inner.tensor: got "2", expected a valid',
            "",
        ),
        ({"name": "a", "inner": {"tensor": 0}}, "top.inner.tensor: got 0, expected greater", ""),
        ({"name": "a", "inner": {"tensor": 1.5}}, "top.inner.tensor: got 1.5, expected", ""),
        ({}, "top.name: got nothing, expected a value", "required"),
    ],
)
def test_what_is_wrong_is_named(data: dict[str, object], message: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_model(Outer, data, "top")
    assert caught.value.message.startswith(message)
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 2


def test_a_model_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Inner().tensor = 2  # type: ignore[misc]
