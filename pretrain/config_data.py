"""Tables `[pretrain.data]` and `[[pretrain.data.stages]]`: which tokens, in which order."""

from typing import Self

from pydantic import Field, model_validator

from launch import config


class DataStage(config.Model):
    """A table `[[pretrain.data.stages]]`: from its iteration on, another mixture or length.

    A document's tokens that an earlier stage has read come again only when the rest of their
    source has been read, as within one stage.
    """

    start_iteration: int = Field(ge=1)
    """First iteration of the stage, counted from 0."""
    sequence_length: int = Field(0, ge=0, le=1_048_576)
    """Tokens that the model sees at once; 0: as before."""
    weights: dict[str, float] = Field({})
    """Share of the tokens that each source gives; empty: as before."""


class Data(config.Model):
    """Table `[pretrain.data]`: the order is a function of (seed, stage, sample index) alone."""

    weights: dict[str, float] = Field({})
    """Share of the training tokens that each source gives, any scale; empty: in proportion to the
    sources' tokens. A source that is not named gives none."""
    epochs_max: dict[str, float] = Field({})
    """Most times that a source may be repeated, by source; `training.epochs_max` for the others."""
    packing: bool = True
    """Whether documents are put into sequences by best fit, cut only where they are longer than a
    sequence (Ding et al. 2024, arXiv:2404.10830); else they are joined as they come and cut."""
    mask_documents: bool = True
    """Whether a position sees its own document only, and positions count from its start."""
    related: bool = False
    """Whether documents of like content are put into one sequence (Shi et al. 2023,
    arXiv:2310.10638)."""
    workers: int = Field(1, ge=0, le=256)
    """Threads that prepare batches ahead; changes speed, not the result. 0: none."""
    stages: tuple[DataStage, ...] = ()
    """Changes of mixture or length in mid-run, in order."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        starts = [stage.start_iteration for stage in self.stages]
        if sorted(set(starts)) != starts:
            raise ValueError(f"rising start_iteration in stages (they are {starts})")
        tables = (self.weights, *(stage.weights for stage in self.stages))
        for weights in tables:
            if weights and (min(weights.values()) < 0 or sum(weights.values()) <= 0):
                raise ValueError("weights that are not negative, with a sum above 0")
        return self
