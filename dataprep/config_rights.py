"""What a recipe says about licences and opt-outs: frozen models, without a heavy import."""

from typing import Literal, Self

from pydantic import Field, model_validator

from launch.config import Model

OptOutKind = Literal[
    "noai", "noimageai", "ai-bots", "tdm-reservation", "content-usage", "noindex", "nosnippet",
    "noarchive",
]  # fmt: skip


class SourceRights(Model):
    """Tables `[dataprep.rights.sources.NAME]`: what is different for one source."""

    allow: tuple[str, ...] | None = None
    """In the place of `dataprep.rights.allow`; unset: the same."""
    deny: tuple[str, ...] | None = None
    """In the place of `dataprep.rights.deny`; unset: the same."""
    unknown: Literal["keep", "drop"] | None = None
    """In the place of `dataprep.rights.unknown`; unset: the same."""
    opt_out: Literal["respect", "record"] | None = None
    """In the place of `dataprep.rights.opt_out`; unset: the same."""


class Rights(Model):
    """Table `[dataprep.rights]`: which licences are kept, and whether opt-outs are respected."""

    allow: tuple[str, ...] = ()
    """Licences that are kept: SPDX identifiers, families, or such with `*`; empty: all."""
    deny: tuple[str, ...] = ()
    """Licences that are dropped, whatever `allow` says."""
    unknown: Literal["keep", "drop"] | None = None
    """Documents of no known licence; unset: dropped where `allow` names something, else kept."""
    opt_out: Literal["respect", "record"] = "respect"
    """respect: a document with a mark of `opt_out_kinds` is dropped; record: it is only marked."""
    opt_out_kinds: tuple[OptOutKind, ...] = ("noai", "ai-bots", "tdm-reservation", "content-usage")
    """Kinds of marks that count as opting out."""
    sources: dict[str, SourceRights] = Field(default_factory=dict)
    """By name of source, what is different for it."""

    @model_validator(mode="after")
    def _check_patterns(self) -> Self:
        tables = {"dataprep.rights": self}
        tables |= {f"dataprep.rights.sources.{n}": t for n, t in self.sources.items()}  # type: ignore[misc]
        if any(table.allow or table.deny for table in tables.values()):
            # Imported here: the list of licences is read only where it is needed.
            from dataprep.rights.patterns import check

            for where, table in tables.items():
                check(table.allow or (), f"{where}.allow", is_allow=True)
                check(table.deny or (), f"{where}.deny", is_allow=False)
        return self
