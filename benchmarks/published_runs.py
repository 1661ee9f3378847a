"""Published speeds of training runs, as recipes of ours: what the time estimate is compared with.

Megatron-LM's table of nine models on H100 (README and images/model_table.png of core_r0.8.0):
vocabulary 131,072, sequences of 4,096, 48 data ranks, TFLOP/s of each GPU by Megatron's formula,
end to end. Shapes: those of the 1.7B, 16B and 70B models are in a user's script (issue 1571 of
NVIDIA/Megatron-LM), the 177B one is GPT-3's; the other five are solved from the number of
parameters in multiples of 1,024 channels (heads of 128, MLP four times as wide, biases, output
layer untied): 12 L h^2 + 13 L h + 2 x 131,072 h. By it the 32B model has 31.48 and the 462B model
461.48: the table's number if it was rounded to a decimal first.

What the table does not say is assumed by rule: one micro-batch where there is no pipeline (nothing
else would hide the gradients), else micro-batches of one sequence and virtual stages of one layer
each; no recomputation; sequence parallelism; all overlaps, as the README says.
"""

from dataclasses import dataclass

from pretrain.config import Pretrain

VOCABULARY = 131_072
SEQUENCE_LENGTH = 4_096


@dataclass(frozen=True)
class PublishedRun:
    """One row."""

    billions: float
    hidden_size: int
    layers: int
    tensor: int
    pipeline: int
    batch_size: int
    teraflops_per_gpu: float
    data: int = 48

    @property
    def gpus(self) -> int:
        """Of the run."""
        return self.tensor * self.pipeline * self.data

    @property
    def parameters(self) -> float:
        """By the shape."""
        h, layers = self.hidden_size, self.layers
        return 12 * layers * h**2 + 13 * layers * h + 2 * VOCABULARY * h

    @property
    def flops(self) -> float:
        """Of one update (Narayanan et al. 2021, arXiv:2104.04473, equation 3, without
        recomputation), as the table's TFLOP/s count them."""
        h, s, layers = self.hidden_size, SEQUENCE_LENGTH, self.layers
        whole = 1 + s / (6 * h) + VOCABULARY / (12 * layers * h)
        return 72 * self.batch_size * s * layers * h**2 * whole

    @property
    def seconds(self) -> float:
        """Of one update, as published."""
        return self.flops / (self.teraflops_per_gpu * 1e12 * self.gpus)

    @property
    def pretrain(self) -> Pretrain:
        """As a recipe's table."""
        heads = self.hidden_size // 128
        each = self.batch_size // self.data
        return Pretrain.model_validate(
            {
                "model": {
                    "layers": self.layers, "hidden_size": self.hidden_size, "heads": heads,
                    "kv_heads": heads, "ffn_size": 4 * self.hidden_size, "activation": "gelu",
                    "norm": "layer", "sequence_length": SEQUENCE_LENGTH,
                },
                "parallel": {
                    "tensor": self.tensor, "pipeline": self.pipeline, "data": self.data,
                    "sequence": self.tensor > 1, "overlap_gradients": True,
                    "overlap_parameters": True,
                    "virtual_stages": self.layers // self.pipeline if self.pipeline > 1 else 1,
                },
                "training": {
                    "batch_size": self.batch_size, "precision": "bf16",
                    "micro_batch_size": each if self.pipeline == 1 else 1,
                },
            }
        )  # fmt: skip


MEGATRON_H100 = (
    PublishedRun(1.7, 2_048, 24, 1, 1, 192, 408.8),
    PublishedRun(7.1, 4_096, 30, 2, 1, 192, 465.9),
    PublishedRun(16, 6_144, 32, 4, 1, 192, 489.1),
    PublishedRun(32, 7_168, 48, 8, 1, 192, 459.6),
    PublishedRun(70, 8_192, 84, 8, 2, 384, 419.7),
    PublishedRun(119, 12_288, 64, 8, 4, 768, 420.5),
    PublishedRun(177, 12_288, 96, 8, 6, 1_152, 432.8),
    PublishedRun(314, 16_384, 96, 8, 8, 1_536, 474.4),
    PublishedRun(462, 18_432, 112, 8, 16, 3_072, 459.9),
)

# The same README: the 177B model at batch 1,152 on 96 and on 4,608 GPUs, "from 47% to 42%" of 989
# TFLOP/s. No constant is fitted to these.
STRONG_SCALING = (
    PublishedRun(177, 12_288, 96, 8, 6, 1_152, 0.47 * 989, data=2),
    PublishedRun(177, 12_288, 96, 8, 6, 1_152, 0.42 * 989, data=96),
)
