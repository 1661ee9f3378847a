"""Presets of near-duplicates: what they fill in, and their S-curves."""

from typing import Any

import pytest
from datasketch.lsh import _optimal_param

from dataprep.config_duplicates import NEAR_PRESETS, NearDuplicates
from dataprep.dedup.lsh import share_probability

SIMILARITIES = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9)
# Probabilities to be proposed at SIMILARITIES, from the survey of published configurations.
CURVES = {
    "fineweb": (0.053, 0.211, 0.565, 0.772, 0.924, 0.988, 1.0),
    "nemo": (0.002, 0.026, 0.177, 0.382, 0.677, 0.924, 0.997),
    "refinedweb": (0.000, 0.016, 0.302, 0.761, 0.995, 1.0, 1.0),
    "dolma3": (0.013, 0.090, 0.405, 0.674, 0.903, 0.991, 1.0),
    "dclm": (0.003, 0.043, 0.358, 0.714, 0.964, 1.0, 1.0),
    "slimpajama": (0.001, 0.012, 0.084, 0.195, 0.399, 0.686, 0.929),
    "gristmill": (0.172, 0.494, 0.873, 0.968, 0.9965, 1.0, 1.0),
}


@pytest.mark.parametrize("preset", NEAR_PRESETS)
def test_s_curve_of_a_preset(preset: Any) -> None:
    near = NearDuplicates(preset=preset)
    found = [share_probability(value, near.bands, near.rows) for value in SIMILARITIES]
    assert found == pytest.approx(CURVES[preset], abs=1e-3)


def test_slimpajamas_bands_are_datasketchs_choice() -> None:
    near = NearDuplicates(preset="slimpajama")
    assert _optimal_param(0.8, 128, 0.5, 0.5) == (near.bands, near.rows)


@pytest.mark.parametrize("preset", NEAR_PRESETS)
def test_a_key_that_is_given_has_its_own_value(preset: Any) -> None:
    given: dict[str, Any] = {"bands": 3, "rows": 2, "units": "characters", "words": 9,
                             "characters": 11, "jaccard": 0.55}  # fmt: skip
    for key, value in given.items():
        near = NearDuplicates(preset=preset, **{key: value})
        assert getattr(near, key) == value
        for other, filled in NEAR_PRESETS[preset].items():
            assert other == key or getattr(near, other) == filled


def test_the_default_finds_what_it_promises() -> None:
    near = NearDuplicates()
    assert share_probability(near.jaccard, near.bands, near.rows) >= 0.99
    assert near == NearDuplicates(preset="gristmill")
