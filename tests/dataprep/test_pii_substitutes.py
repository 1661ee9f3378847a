"""Substitutes of personal data: they look like a value of their kind and are nobody's."""

import ipaddress
import re
from typing import Any

import phonenumbers
import pytest
import stdnum.iban
import stdnum.luhn
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep.pii.normal_form import normal_form
from dataprep.pii.substitutes import is_substitute, substitute


@given(st.ip_addresses(v=4), st.ip_addresses(v=6), st.integers(0, 2**63 - 1))
def test_substitutes_of_addresses_are_for_documentation(v4: Any, v6: Any, seed: int) -> None:
    for kind, value in (("ipv4", str(v4)), ("ipv6", str(v6))):
        drawn = substitute(kind, value, value, seed, ())
        assert drawn is not None
        assert not ipaddress.ip_address(drawn).is_global
        assert is_substitute(drawn)


@settings(max_examples=50)
@given(st.emails())
def test_substitutes_of_mail_addresses_are_nobodys(value: str) -> None:
    drawn = substitute("email", value, normal_form("email", value, ()), 0, ())
    assert drawn is not None
    assert drawn.partition("@")[2] in ("example.com", "example.net", "example.org")
    assert is_substitute(drawn)
    # A person's own name at such a domain is none.
    assert not is_substitute(value)
    assert not is_substitute("jane.doe@example.com")


@pytest.mark.parametrize("region", ["US", "CA", "GB", "FR", "DE", "AU", "IE"])
def test_substitutes_of_telephone_numbers_are_for_fiction(region: str) -> None:
    for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE):
        number = phonenumbers.example_number_for_type(region, kind)
        for form in range(3):  # E164, international, national
            shown = phonenumbers.format_number(number, form)
            drawn = substitute("phone", shown, normal_form("phone", shown, (region,)), 0, (region,))
            assert drawn is not None
            assert drawn != shown
            assert is_substitute(drawn), drawn
            parsed = phonenumbers.parse(drawn, region)
            assert parsed.country_code == number.country_code


def test_substitutes_cannot_be_issued() -> None:
    card = substitute("card", "4111-1111-1111-1111", "4111111111111111", 0, ())
    assert card is not None
    assert re.fullmatch("9999-99[0-9]{2}-[0-9]{4}-[0-9]{4}", card)
    assert stdnum.luhn.is_valid(card.replace("-", ""))
    iban = substitute("iban", "DE89 3704 0044 0532 0130 00", "DE89370400440532013000", 0, ())
    assert iban is not None
    assert re.fullmatch(r"DE00 [0-9]{4} [0-9]{4} [0-9]{4} [0-9]{4} [0-9]{2}", iban)
    assert not stdnum.iban.is_valid(iban)
    assert (substitute("us_ssn", "536-90-4399", "536904399", 0, ()) or "").startswith("000-")
    mac = substitute("mac", "A4-5E-60-C2-91-7F", "a45e60c2917f", 0, ())
    assert mac is not None
    assert mac.startswith("00-00-5E-00-53-")
    assert substitute("secret", "ghp_x", "ghp_x", 0, ()) is None
