"""From the recipe's tables to Megatron-core's TransformerConfig, every choice in one place."""

from typing import Any

import torch
from torch.nn.functional import gelu, silu

from pretrain.config import Model, Parallel, Pretrain
from pretrain.megatron import TransformerConfig, finalize_model_grads

WEIGHT_TYPES = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "fp8": torch.bfloat16,  # fp8 is for matrix products alone
}


def transformer_config(pretrain: Pretrain, transformer_engine: bool = False) -> TransformerConfig:
    """What Megatron-core must know of the model and its layout; the same for all its stages."""
    shape, parallel, training = pretrain.model, pretrain.parallel, pretrain.training
    dtype = WEIGHT_TYPES[training.precision]
    return TransformerConfig(
        num_layers=shape.layers,
        hidden_size=shape.hidden_size,
        ffn_hidden_size=shape.ffn_size,
        num_attention_heads=shape.heads,
        num_query_groups=shape.kv_heads,
        normalization="RMSNorm" if shape.norm == "rms" else "LayerNorm",
        layernorm_epsilon=shape.norm_epsilon,
        qk_layernorm=shape.qk_norm,
        gated_linear_unit=shape.activation == "swiglu",
        activation_func=silu if shape.activation == "swiglu" else gelu,
        add_bias_linear=False,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        params_dtype=dtype,
        pipeline_dtype=dtype,
        bf16=dtype == torch.bfloat16,
        fp16=dtype == torch.float16,
        fp8="hybrid" if training.precision == "fp8" else None,
        deterministic_mode=training.deterministic and torch.cuda.is_available(),
        # `initialise` draws the weights; Megatron's own draws depend on the pipeline's size.
        perform_initialization=False,
        use_cpu_initialization=True,
        # These fusions are torch.compile or CUDA extensions; the first starts a C++ compiler.
        bias_activation_fusion=False,
        bias_dropout_fusion=False,
        masked_softmax_fusion=False,
        gradient_accumulation_fusion=False,
        apply_rope_fusion=False,
        finalize_model_grads_func=finalize_model_grads,
        calculate_per_token_loss=True,
        **_layout(parallel),
        **_recomputation(parallel),
        **_experts(shape, parallel, transformer_engine),
    )


def _layout(parallel: Parallel) -> dict[str, Any]:
    virtual = parallel.virtual_stages > 1
    return {
        "tensor_model_parallel_size": parallel.tensor,
        "sequence_parallel": parallel.sequence,
        "context_parallel_size": parallel.context,
        "expert_model_parallel_size": parallel.expert,
        "expert_tensor_parallel_size": 1,
        "pipeline_model_parallel_size": parallel.pipeline,
        "virtual_pipeline_model_parallel_size": parallel.virtual_stages if virtual else None,
        "num_layers_in_first_pipeline_stage": parallel.first_stage_layers or None,
        "num_layers_in_last_pipeline_stage": parallel.last_stage_layers or None,
        # An output is let go once it is sent. The interleaved schedule does so while the sending
        # goes on, which NCCL allows and gloo does not: a norm of 1.10 instead of 0.61 (2026-11-26).
        "deallocate_pipeline_outputs": not virtual or torch.cuda.is_available(),
        # With two pipeline stages, virtual ones and Megatron's defaults (batched sends) the
        # gradients are silently wrong: a norm of 2.05 instead of 0.68 (2026-11-21).
        "batch_p2p_comm": not virtual,
        "overlap_p2p_comm": virtual,
    }


def _recomputation(parallel: Parallel) -> dict[str, Any]:
    if parallel.recompute == "none":
        return {}
    if parallel.recompute == "selective":
        return {"recompute_granularity": "selective", "recompute_modules": ["core_attn"]}
    return {
        "recompute_granularity": "full",
        "recompute_method": "uniform",
        "recompute_num_layers": 1,
    }


def _experts(shape: Model, parallel: Parallel, transformer_engine: bool) -> dict[str, Any]:
    experts = shape.experts
    if not experts.count:
        return {}
    # Gradients of both auxiliary losses are divided by the tokens of the whole batch, so each must
    # be multiplied by those of its micro-batch. Where tensor ranks share the sequence, Megatron
    # does so for the first, but takes the z-loss 1/tensor too small (2026-11-26).
    share = parallel.tensor if parallel.sequence else 1
    return {
        "num_moe_experts": experts.count,
        "moe_router_topk": experts.active,
        # Renormalised over one expert, its weight would be 1 and the router would learn nothing.
        "moe_router_pre_softmax": experts.active == 1,
        "moe_ffn_hidden_size": experts.ffn_size or shape.ffn_size,
        "moe_router_load_balancing_type": "aux_loss",
        "moe_aux_loss_coeff": experts.auxiliary_loss,
        "moe_z_loss_coeff": experts.router_z_loss * share or None,
        "moe_router_dtype": "fp32",
        "moe_token_dispatcher_type": "alltoall",
        "moe_grouped_gemm": transformer_engine,
    }
