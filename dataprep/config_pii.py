"""What a recipe says about personal data: a frozen model without a heavy import."""

from typing import Literal

from launch.config import Model


class Pii(Model):
    """Table `[dataprep.pii]`: personal data in text, url and meta of every document."""

    mode: Literal["placeholder", "off"] = "placeholder"
    """placeholder: a mark of its kind stands where each finding was; off: nothing is looked for."""
    kinds: tuple[Literal["email", "ipv4", "ipv6", "phone", "card"], ...] = (
        "email",
        "ipv4",
        "ipv6",
        "phone",
        "card",
    )
    """Kinds of personal data that are looked for."""
    phone_regions: tuple[str, ...] = ("US", "CN")
    """Regions whose phone numbers are found without a country code, ISO 3166."""
    addresses: Literal["public", "all"] = "public"
    """`public`: private, loopback and documentation addresses stay in the text; `all`: none."""
