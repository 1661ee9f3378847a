"""From a parameter count to a shape that Megatron-core accepts.

Legal means: whole heads of the asked size, key-value heads and feed-forward divisible by the
tensor-parallel processes, layers by the pipeline stages, widths in the multiple the hardware likes.
"""

import math

from launch.errors import UserError
from scaling.config import Plan
from scaling.flops import ModelShape

_HIDDEN_MAX = 65_536
_LAYERS_MAX = 1_024
# How much a wrong aspect weighs against a wrong parameter count: the loss hardly depends on the
# aspect over a wide range (Kaplan et al. 2020, figure 5), on the count it does.
_ASPECT_WEIGHT = 0.25


def legal_shape(
    parameters: float, plan: Plan, padded_vocab_size: int, tied_embeddings: bool
) -> ModelShape:
    """The legal shape nearest to `parameters` (total), of about `plan.width_per_layer`.

    Deterministic; of two equally near, the narrower one. Raises `UserError` if the vocabulary does
    not split over the tensor-parallel processes.
    """
    if padded_vocab_size % plan.tensor:
        raise UserError(
            "scaling.plan.tensor", f"{plan.tensor} processes",
            f"a divisor of the padded vocabulary ({padded_vocab_size:,})",
        )  # fmt: skip
    unit = math.lcm(plan.hidden_multiple, plan.head_size * plan.heads_per_kv_head * plan.tensor)
    best: tuple[float, ModelShape] | None = None
    for hidden_size in range(unit, _HIDDEN_MAX + 1, unit):
        for shape in _with_layers(hidden_size, parameters, plan, padded_vocab_size,
                                  tied_embeddings):  # fmt: skip
            aspect = hidden_size / shape.layers / plan.width_per_layer
            score = abs(math.log(shape.parameters_total / parameters))
            score += _ASPECT_WEIGHT * abs(math.log(aspect))
            if best is None or score < best[0] - 1e-12:
                best = (score, shape)
    if best is None:
        raise UserError(
            "scaling.plan", f"a width unit of {unit} (hidden_multiple, head_size, "
            "heads_per_kv_head, tensor)", f"at most {_HIDDEN_MAX}",
        )  # fmt: skip
    return best[1]


def _with_layers(
    hidden_size: int, parameters: float, plan: Plan, padded_vocab_size: int, tied_embeddings: bool
) -> list[ModelShape]:
    """The shapes of this width with the two legal layer counts around the wanted parameters."""
    heads = hidden_size // plan.head_size
    ffn_unit = math.lcm(plan.hidden_multiple, plan.tensor)
    ffn_size = max(1, round(plan.ffn_ratio * hidden_size / ffn_unit)) * ffn_unit

    def shape(layers: int) -> ModelShape:
        return ModelShape(
            layers=layers,
            hidden_size=hidden_size,
            heads=heads,
            kv_heads=heads // plan.heads_per_kv_head,
            ffn_size=ffn_size,
            padded_vocab_size=padded_vocab_size,
            tied_embeddings=tied_embeddings,
        )

    one = shape(1)
    wanted = (parameters - one.parameters_embedding) / one.parameters_layer
    below = math.floor(wanted / plan.pipeline) * plan.pipeline
    most = _LAYERS_MAX // plan.pipeline * plan.pipeline
    counts = {min(max(n, plan.pipeline), most) for n in (below, below + plan.pipeline)}
    return [shape(count) for count in sorted(counts)]
