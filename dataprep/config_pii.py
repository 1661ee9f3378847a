"""What a recipe says about personal data: a frozen model without a heavy import."""

from typing import Literal

from pydantic import Field, field_validator

from dataprep.pii.national_table import NATIONAL_ID_NAMES
from launch.config import Model

KindName = Literal[
    "credentials",
    "email",
    "email_spelled",
    "secret",
    "crypto_wallet",
    "mac",
    "ipv6",
    "ipv4",
    "iban",
    "cn_id",
    "cn_id_pattern",
    "us_ssn",
    "cn_mobile",
    "national_id",
    "passport",
    "card",
    "phone",
]


class PiiRule(Model):
    """Table `[[dataprep.pii.rules]]`: a kind of your own, `<RULE>` and `pii_rule` in the output."""

    name: str = Field(min_length=1, max_length=64)
    """What the rule is called in messages."""
    pattern: str = Field(min_length=1, max_length=1000)
    """RE2 regular expression of bounded length: `{1,20}` instead of `+` and `*`."""
    words: tuple[str, ...] = ()
    """Words of which one must stand near the match, any case; empty: none need to."""
    window: int = Field(default=40, ge=1, le=1000)
    """How near: characters before the match and after it."""


class Pii(Model):
    """Table `[dataprep.pii]`: personal data in text, url and meta of every document."""

    mode: Literal["placeholder", "off"] = "placeholder"
    """placeholder: a mark of its kind stands where each finding was; off: nothing is looked for."""
    kinds: tuple[KindName, ...] = (
        "credentials",
        "email",
        "email_spelled",
        "secret",
        "crypto_wallet",
        "mac",
        "ipv6",
        "ipv4",
        "iban",
        "cn_id",
        "cn_id_pattern",
        "us_ssn",
        "cn_mobile",
        "national_id",
        "passport",
        "card",
        "phone",
    )
    """Kinds of personal data that are looked for."""
    phone_regions: tuple[str, ...] = ("US", "CN")
    """Regions whose phone numbers are found without a country code, ISO 3166."""
    addresses: Literal["public", "all"] = "public"
    """`public`: private, loopback and documentation addresses stay in the text; `all`: none."""
    identifiers: Literal["named", "anywhere"] = "named"
    """`named`: numbers with a weak check need a word that names them; `anywhere`: they do not."""
    national_ids: tuple[str, ...] = ("all",)
    """Which national numbers `national_id` looks for, such as "pl_pesel"; "all": every one."""
    rules: tuple[PiiRule, ...] = ()
    """Patterns of your own, which come before all kinds."""

    @field_validator("national_ids")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name != "all" and name not in NATIONAL_ID_NAMES:
                known = ", ".join(NATIONAL_ID_NAMES)
                raise ValueError(f"names of national numbers, not '{name}'; known: all, {known}")
        return names
