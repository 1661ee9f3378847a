"""What one pipeline stage is made of: Megatron-core's layers, with our norms and attention in them.

Where Transformer Engine is installed (and there is a GPU) its layers are used instead, which is
the only way to fp8 and to context parallelism, and the fastest.
"""

from typing import Any

from pretrain.attention import CausalAttention
from pretrain.config import Model
from pretrain.megatron import (
    TransformerBlockSubmodules,
    TransformerConfig,
    get_gpt_layer_local_spec,
    get_gpt_layer_with_transformer_engine_spec,
    get_num_layers_to_build,
)
from pretrain.norms import LayerNorm, RMSNorm


def layer_spec(
    shape: Model, config: TransformerConfig, piece: int | None, transformer_engine: bool
) -> Any:
    """The specification of all layers of this process's stage, the last norm included.

    `piece` numbers the virtual stages of this process; None: there is one stage only.
    """
    experts = shape.experts.count or None
    if transformer_engine:
        return get_gpt_layer_with_transformer_engine_spec(
            num_experts=experts, moe_grouped_gemm=experts is not None, qk_layernorm=shape.qk_norm
        )
    norm = RMSNorm if shape.norm == "rms" else LayerNorm
    layer = get_gpt_layer_local_spec(
        num_experts=experts, qk_layernorm=shape.qk_norm, normalization=config.normalization
    )
    layer.submodules.input_layernorm = layer.submodules.pre_mlp_layernorm = norm
    attention = layer.submodules.self_attention.submodules
    attention.core_attention = CausalAttention
    if shape.qk_norm:
        attention.q_layernorm = attention.k_layernorm = norm
    layers = get_num_layers_to_build(config, vp_stage=piece)
    return TransformerBlockSubmodules(layer_specs=[layer] * layers, layer_norm=norm)
