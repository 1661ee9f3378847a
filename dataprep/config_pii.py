"""What a recipe says about personal data: a frozen model without a heavy import."""

from typing import Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from dataprep.pii.national_table import NATIONAL_ID_NAMES
from launch.config import Model
from launch.errors import UserError

Mode = Literal["placeholder", "hash", "substitute", "drop", "off"]

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
    """Table `[dataprep.pii]`: personal data in text, url, license and meta of every document."""

    mode: Mode = "placeholder"
    """What is done with a finding. placeholder: a mark of its kind; hash: a mark with a keyed hash;
    substitute: a value of its kind that is nobody's; drop: a mark, and the document is dropped;
    off: it is not looked for."""
    modes: dict[str, Mode] = Field(default_factory=dict)
    """By kind, or by what it is counted as (`ip_address`), a mode in the place of that for all."""
    findings_max: int | None = Field(None, ge=0)
    """Most findings, of all kinds together, of a document that is kept; unset: any number."""
    hash_key_file: str | None = None
    """For mode hash: path of the file that holds the key, 16 bytes or more."""
    hash_key_variable: str | None = None
    """For mode hash: name of the environment variable that holds the key, in its stead."""
    substitute_seed: int = Field(0, ge=0, lt=2**63)
    """For mode substitute: another seed chooses other substitutes."""
    kinds: tuple[KindName, ...] = get_args(KindName)
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

    @model_validator(mode="after")
    def _check_key(self) -> Self:
        named = [self.hash_key_file is not None, self.hash_key_variable is not None]
        hashed = "hash" in (self.mode, *self.modes.values())
        if all(named) or (hashed and not any(named)):
            raise UserError(
                "dataprep.pii.hash_key_file",
                "two places of the key" if all(named) else "no key, with a mode 'hash'",
                "one of hash_key_file and hash_key_variable",
                "a key: head -c 32 /dev/urandom | base64 > pii.key",
            )
        return self
