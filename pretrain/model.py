"""The model: from the recipe's table to this process's stage of a Megatron-core GPTModel."""

from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy, silu

from pretrain.attention import CausalAttention
from pretrain.config import Pretrain
from pretrain.initial_weights import initialise
from pretrain.megatron import (
    DistributedDataParallel,
    DistributedDataParallelConfig,
    Float16Module,
    GPTModel,
    TransformerConfig,
    finalize_model_grads,
    get_gpt_layer_local_spec,
)
from pretrain.parallel import World


@dataclass(frozen=True)
class Stage:
    """One pipeline stage: the bare models, and the same models as the schedules want them.

    There is one, or with virtual stages as many pieces, in the order of their layers.
    """

    models: tuple[GPTModel, ...]
    wrapped: tuple[DistributedDataParallel, ...]


class Decoder(GPTModel):  # type: ignore[misc]
    """GPTModel whose loss is torch's own where the vocabulary is not divided.

    Megatron's vocabulary-parallel cross-entropy passes over the logits about twice as often, which
    on one core was a fifth of an iteration with a vocabulary of 8,192 (2026-11-21).
    """

    def compute_language_model_loss(
        self, labels: torch.Tensor, logits: torch.Tensor
    ) -> torch.Tensor:
        """Loss in nats of each token: `labels` [batch, sequence] of int64, `logits` [sequence,
        batch, vocabulary]; the answer is float32 [batch, sequence]."""
        if self.pg_collection.tp.size() > 1:
            loss: torch.Tensor = super().compute_language_model_loss(labels, logits)
            return loss
        flat = logits.view(-1, logits.size(-1)).float()
        losses = cross_entropy(flat, labels.t().reshape(-1), reduction="none")
        return losses.view(logits.shape[:2]).t()


def build(pretrain: Pretrain, padded_vocab_size: int, seed: int, world: World) -> Stage:
    """This process's stage, with its initial weights, on its device."""
    shape, training = pretrain.model, pretrain.training
    (model,) = bare_models(pretrain, padded_vocab_size, world)
    initialise(model, shape, seed, world)
    model.to(world.device)
    config = model.config
    wrapped = DistributedDataParallel(
        config,
        DistributedDataParallelConfig(use_distributed_optimizer=True, grad_reduce_in_fp32=True),
        Float16Module(config, model) if training.precision == "bf16" else model,
    )
    return Stage((model,), (wrapped,))


def bare_models(pretrain: Pretrain, padded_vocab_size: int, world: World) -> tuple[GPTModel, ...]:
    """The stage's pieces without weights: uninitialised memory, or nothing below
    `torch.device("meta")`."""
    shape = pretrain.model
    model = Decoder(
        config=_transformer_config(pretrain, world),
        transformer_layer_spec=_layer_spec(),
        vocab_size=padded_vocab_size,
        max_sequence_length=shape.sequence_length,
        pre_process=world.pipeline_rank == 0,
        post_process=world.is_last_stage,
        share_embeddings_and_output_weights=shape.tied_embeddings,
        position_embedding_type="rope",
        rotary_base=int(shape.rotary_base),
    )
    return (model,)


def _layer_spec() -> object:
    spec = get_gpt_layer_local_spec(normalization="RMSNorm")
    spec.submodules.self_attention.submodules.core_attention = CausalAttention
    return spec


def _transformer_config(pretrain: Pretrain, world: World) -> TransformerConfig:
    shape = pretrain.model
    bf16 = pretrain.training.precision == "bf16"
    dtype = torch.bfloat16 if bf16 else torch.float32
    return TransformerConfig(
        num_layers=shape.layers,
        hidden_size=shape.hidden_size,
        ffn_hidden_size=shape.ffn_size,
        num_attention_heads=shape.heads,
        num_query_groups=shape.kv_heads,
        normalization="RMSNorm",
        layernorm_epsilon=shape.norm_epsilon,
        gated_linear_unit=True,
        activation_func=silu,
        add_bias_linear=False,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        tensor_model_parallel_size=world.tensor_size,
        pipeline_model_parallel_size=world.pipeline_size,
        params_dtype=dtype,
        pipeline_dtype=dtype,
        bf16=bf16,
        # `initialise` draws the weights; Megatron's own draws depend on the pipeline's size.
        perform_initialization=False,
        use_cpu_initialization=True,
        # These fusions are torch.compile or CUDA extensions; the first starts a C++ compiler.
        bias_activation_fusion=False,
        bias_dropout_fusion=False,
        masked_softmax_fusion=False,
        gradient_accumulation_fusion=False,
        apply_rope_fusion=False,
        deallocate_pipeline_outputs=True,
        finalize_model_grads_func=finalize_model_grads,
        calculate_per_token_loss=True,
    )
