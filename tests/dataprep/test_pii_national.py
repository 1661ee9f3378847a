"""Every row of national numbers: found beside its words, and not with a wrong check."""

import pytest

from benchmarks.dataprep_models_pii_national import is_found, is_touched, settings_of
from benchmarks.national_numbers import cases, wrong_cases
from dataprep.config_pii import Pii
from dataprep.pii.kinds import find
from dataprep.pii.national_table import NATIONAL_IDS, NationalId

# Numbers of these have no check digit, or none that python-stdnum knows.
NO_CHECK = {
    *("ar_dni", "dk_cpr", "driver_license", "gb_nino", "id_nik", "in_pan", "kr_rrn", "mx_rfc"),
    *("my_nric", "sg_nric", "tw_id", "us_itin"),
}


@pytest.mark.parametrize("row", NATIONAL_IDS, ids=lambda row: row.name)
def test_each_row_is_found_beside_its_words(row: NationalId) -> None:
    """Each word, each written form: as the shape has it, undivided, and as python-stdnum writes."""
    num = 3 * max(3, len(row.words))
    for case in cases(row, num):
        assert is_found(case, settings_of(row)), case
        assert is_found(case, Pii(), ()), case


@pytest.mark.parametrize("row", NATIONAL_IDS, ids=lambda row: row.name)
def test_a_wrong_check_is_not_found(row: NationalId) -> None:
    broken = list(wrong_cases(row, 12))
    assert bool(broken) == (row.name not in NO_CHECK)
    for case in broken:
        # Of some a word and the shape are enough: a tax code with a typing error is one.
        if not row.shape_is_enough:
            assert not is_touched(case, settings_of(row)), case


@pytest.mark.parametrize(
    ("text", "number"),
    [
        # A word that ends in "number" names it, and no telephone.
        ("Tax file number: 168 288 960", "168 288 960"),
        ("my number: 8916 9258 4335", "8916 9258 4335"),
        # The longest of those that begin at one place: the Argentine DNI has no letter.
        ("your DNI (44036025-H) please", "44036025-H"),
        # Forms without hyphens, and with python-stdnum's spaces.
        ("RUT: 125319092", "125319092"),
        ("rodné číslo: 253230075", "253230075"),
        ("mi RFC: QEXN 471031 1U9", "QEXN 471031 1U9"),
        ("drivers license: Vb9851", "Vb9851"),
    ],
)
def test_forms_that_were_missed(text: str, number: str) -> None:
    found = [text[own.start : own.end] for own in find(text, Pii()) if own.kind == "national_id"]
    assert found == [number]


def test_a_word_for_a_telephone_still_speaks_of_one() -> None:
    text = "PESEL and telephone number: 44051401359"
    assert not [own for own in find(text, Pii(kinds=("national_id",)))]
