"""Table `[pretrain.parallel]`: how many processes share what. No value changes the result."""

from typing import Literal, Self

from pydantic import Field, model_validator

from launch import config


class Parallel(config.Model):
    """Table `[pretrain.parallel]`: the world has tensor x pipeline x context x data processes."""

    tensor: int = Field(1, ge=1, le=1_024)
    """Processes that share every layer's matrices (Shoeybi et al. 2019, arXiv:1909.08053)."""
    pipeline: int = Field(1, ge=1, le=1_024)
    """Pipeline stages, 1F1B schedule (Narayanan et al. 2021, arXiv:2104.04473)."""
    data: int = Field(1, ge=1, le=65_536)
    """Copies of the model that share a batch and, between them, the optimizer's state."""
    context: int = Field(1, ge=1, le=1_024)
    """Processes that share each sequence; needs GPUs and Transformer Engine."""
    expert: int = Field(1, ge=1, le=4_096)
    """Ranks of a pipeline stage that divide its experts between them; divides `tensor x data`."""
    sequence: bool = False
    """Whether tensor ranks also share the norms' part of the sequence (Korthikanti et al. 2022,
    arXiv:2205.05198); needs `tensor` above 1."""
    virtual_stages: int = Field(1, ge=1, le=64)
    """Pieces of the model on each pipeline stage (interleaved schedule); needs `pipeline` above
    1 and micro-batches divisible by it."""
    first_stage_layers: int = Field(0, ge=0, le=1_024)
    """Layers of the first pipeline stage; 0: an even share."""
    last_stage_layers: int = Field(0, ge=0, le=1_024)
    """Layers of the last pipeline stage; 0: an even share."""
    recompute: Literal["none", "selective", "full"] = "none"
    """Activations computed again in the backward pass: of the attention's core, of whole layers."""
    overlap_gradients: bool = False
    """Whether gradients are reduced while the backward pass goes on."""
    overlap_parameters: bool = False
    """Whether updated parameters are gathered while the next forward pass begins; needs
    `overlap_gradients`."""

    @model_validator(mode="after")
    def _combines(self) -> Self:
        if self.sequence and self.tensor == 1:
            raise ValueError("tensor above 1 with sequence = true")
        if self.virtual_stages > 1 and self.pipeline == 1:
            raise ValueError("pipeline above 1 with virtual_stages above 1")
        if self.tensor * self.data % self.expert:
            raise ValueError(f"a divisor of tensor x data ({self.tensor * self.data}) in expert")
        if self.virtual_stages > 1 and (self.first_stage_layers or self.last_stage_layers):
            raise ValueError("either virtual_stages or first and last_stage_layers")
        if self.overlap_parameters and not self.overlap_gradients:
            raise ValueError("overlap_gradients = true with overlap_parameters = true")
        return self

    @property
    def world_size(self) -> int:
        """Processes in all."""
        return self.tensor * self.pipeline * self.context * self.data
