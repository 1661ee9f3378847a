"""What a recipe says about duplicates: who survives, and what is compared at which granularity.

Frozen models without a heavy import, like `config.py`, in which they stand.
"""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from launch.config import Model
from launch.errors import UserError

# Bands, rows, shingles and least similarity as others have published them: what `preset` fills in.
# Similarities are those that they state, or the middle of their S-curve, (1/bands)^(1/rows); most
# of them verify nothing, so that a preset drops less than its original (docs/dedup.md).
NEAR_PRESETS: dict[str, dict[str, Any]] = {
    "gristmill": {},
    # datatrove 0.10, examples/fineweb.py; Penedo et al. 2024 (arXiv 2406.17557), 3.4.
    "fineweb": {"bands": 14, "rows": 8, "units": "words", "jaccard": 0.7},
    # Olmo 3 (duplodocus) and marin's datakit: 26 bands of 11, 5-grams.
    "dolma3": {"bands": 26, "rows": 11, "units": "words", "jaccard": 0.75},
    # NeMo Curator's fuzzy deduplication (docs.nvidia.com, 26.04; 24.12 had 5 characters) and
    # Nemotron-CC (arXiv 2412.02595): 20 bands of 13, 24 characters.
    "nemo": {"bands": 20, "rows": 13, "units": "characters", "characters": 24, "jaccard": 0.8},
    # SlimPajama (Soboleva et al. 2023): 13-grams, Jaccard 0.8, datasketch's 9 bands of 13.
    "slimpajama": {"bands": 9, "rows": 13, "units": "words", "words": 13, "jaccard": 0.8},
    # DataComp-LM (Li et al. 2024, arXiv 2406.11794), appendix: 93 bands of 15, 5-grams.
    "dclm": {"bands": 93, "rows": 15, "units": "words", "jaccard": 0.8},
    # Lee et al. 2022 (arXiv 2107.06499) and RefinedWeb (arXiv 2306.01116): 450 bands of 20.
    "refinedweb": {"bands": 450, "rows": 20, "units": "words", "jaccard": 0.8},
}

NearPreset = Literal["gristmill", "fineweb", "dolma3", "nemo", "slimpajama", "dclm", "refinedweb"]
SurvivorKey = Literal["source", "quality", "length", "date", "id"]


class Survivors(Model):
    """Table `[dataprep.survivors]`: which of several duplicates stays."""

    order: tuple[SurvivorKey, ...] = ()
    """Keys in turn: source, quality, length, date, id; after them the content hash, then the id."""
    sources: tuple[str, ...] = ()
    """For `source`: names of sources, those to keep first; unset: the recipe's order."""
    length: Literal["longest", "shortest"] = "longest"
    """For `length`: which text is kept, by its bytes."""
    date: Literal["newest", "oldest"] = "newest"
    """For `date`: which document is kept; one without a date comes last."""
    date_field: str = Field("date", min_length=1)
    """For `date`: the field of `columns.meta` that holds a date, ISO 8601 (`warc_date` of WARC)."""
    rehydration: tuple[tuple[int, float], ...] = ()
    """Pairs of a least cluster size and the weight of its survivor, `cluster_weight`; else 1."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        where = "dataprep.survivors"
        if len(set(self.order)) != len(self.order):
            raise UserError(f"{where}.order", f"{list(self.order)}", "each key once")
        sizes = [size for size, _ in self.rehydration]
        if sizes != sorted(set(sizes)) or any(size < 1 for size in sizes):
            raise UserError(f"{where}.rehydration", f"sizes {sizes}", "ascending sizes from 1")
        if any(not 0.0 < weight <= 1000.0 for _, weight in self.rehydration):
            raise UserError(f"{where}.rehydration", "a weight beyond (0, 1000]", "one inside")
        return self


class Exact(Model):
    """Table `[dataprep.exact]`: documents that are the same."""

    urls: bool = False
    """Whether documents of one URL are duplicates; scheme, `www.` and a last `/` do not count."""
    texts: bool = True
    """Whether documents of one text are duplicates."""


class NearDuplicates(Model):
    """Table `[dataprep.near_duplicates]`: hashes propose pairs, exact similarity decides."""

    enabled: bool = True
    """Whether near-duplicates are looked for."""
    preset: NearPreset = "gristmill"
    """Bands, rows, shingles and jaccard as published; a key that is given has its own value."""
    method: Literal["minhash", "simhash"] = "minhash"
    """What proposes pairs: MinHash with bands and rows, or SimHash at a distance of bits."""
    bands: int = Field(24, ge=1, le=1024)
    """Bands of a signature."""
    rows: int = Field(7, ge=1, le=64)
    """Hash values in a band."""
    simhash_distance: int = Field(3, ge=0, le=7)
    """For simhash: bits of 64 in which two fingerprints that are compared may differ."""
    units: Literal["auto", "words", "characters"] = "auto"
    """What a shingle is made of; auto: characters of Chinese and Japanese, words of all others."""
    words: int = Field(5, ge=1, le=64)
    """Words in a shingle."""
    characters: int = Field(5, ge=1, le=256)
    """Characters in a shingle."""
    jaccard: float = Field(0.8, gt=0.0, le=1.0)
    """Least similarity of two shingle sets that are duplicates, 0 to 1."""
    measure: Literal["jaccard", "containment"] = "jaccard"
    """Similarity: shared of all shingles, or shared of those of the document that is dropped."""
    partitions: int = Field(16, ge=1, le=65_536)
    """Files of the exchange of band values; the result does not depend on it."""
    band_size_max: int = Field(10_000, ge=2)
    """Documents of one band value that are linked; more are cut into groups of this size."""

    @model_validator(mode="after")
    def _apply_preset(self) -> Self:
        """Write the preset's values out, so that a manifest says which ones were used."""
        for key, value in NEAR_PRESETS[self.preset].items():
            if key not in self.model_fields_set:
                # The model is frozen for everyone but its own validators.
                object.__setattr__(self, key, value)
        return self


class Spans(Model):
    """Table `[dataprep.spans]`: pieces of text that several documents share word for word."""

    units: tuple[Literal["paragraph", "line", "sentences"], ...] = ()
    """What is compared; of pieces that are there twice all but the first are cut out."""
    sentences: int = Field(3, ge=1, le=20)
    """For `sentences`: sentences in a row that are one piece (C4: 3)."""
    characters_min: int = Field(20, ge=1)
    """Shortest piece that is cut out, characters."""
    words_left_min: int = Field(5, ge=0)
    """A document that was cut and has fewer words left is dropped."""


class Substrings(Model):
    """Table `[dataprep.substrings]`: runs of bytes that stand in the corpus twice."""

    enabled: bool = False
    """Whether repeated runs are cut out."""
    bytes_min: int = Field(200, ge=32, le=65_536)
    """Shortest run that is cut out, bytes of UTF-8 (Lee et al. 2022: 50 tokens, about 200)."""
    cut: Literal["character", "line"] = "character"
    """Borders to which a run is shrunk before it is cut: whole characters, or whole lines."""
    words_left_min: int = Field(5, ge=0)
    """A document that was cut and has fewer words left is dropped."""
