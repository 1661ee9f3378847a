"""The model: from the recipe's table to this process's stage of a Megatron-core GPTModel."""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from pretrain.config import Parallel, Pretrain
from pretrain.initial_weights import initialise
from pretrain.layers import layer_spec
from pretrain.layout_rules import Device, check_layout, check_transformer_engine
from pretrain.megatron import (
    DistributedDataParallel,
    DistributedDataParallelConfig,
    Float16Module,
    GPTModel,
    has_transformer_engine,
    tensor_parallel,
)
from pretrain.parallel import World
from pretrain.transformer_config import transformer_config


@dataclass(frozen=True)
class Stage:
    """One pipeline stage: the bare models, and the same models as the schedules want them.

    There is one, or with virtual stages as many pieces, in the order of their layers.
    """

    models: tuple[GPTModel, ...]
    wrapped: tuple[DistributedDataParallel, ...]
    packed: bool = False
    """Whether all documents of a micro-batch go through in a row (Transformer Engine)"""

    def gather_parameters(self) -> None:
        """See that every rank holds the updated weights: with `overlap_parameters` they would
        otherwise arrive in the next forward pass. All data ranks call it."""
        for model in self.wrapped:
            if model.ddp_config.overlap_param_gather:
                model.start_param_sync(force_sync=True)


class Decoder(GPTModel):  # type: ignore[misc]
    """GPTModel with two differences.

    Its loss is torch's own where the vocabulary is not divided: Megatron's vocabulary-parallel
    cross-entropy passes over the logits about twice as often, which on one core was a fifth of an
    iteration with a vocabulary of 8,192 (2026-11-21). And rotary positions are those given, if
    any are: Megatron counts from the start of the sequence, also where a document begins later.
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

    def _preprocess(
        self, input_ids: torch.Tensor, position_ids: torch.Tensor | None, **options: Any
    ) -> tuple[Any, ...]:
        """What the layers get beside the hidden states; Megatron's, with positions [batch,
        sequence] where they are given."""
        prepared = list(super()._preprocess(input_ids, position_ids, **options))
        if position_ids is not None:
            angles = prepared[1][:, 0, 0]  # [sequence, channels]
            prepared[1] = angles[position_ids.t()].unsqueeze(2)
        padding = prepared[5]
        if padding is not None and self.config.sequence_parallel and not self.pre_process:
            # Megatron cuts it on the first stage only, though each stage's router sees a part.
            part = tensor_parallel.scatter_to_sequence_parallel_region(padding.t().contiguous())
            prepared[5] = part.t().contiguous()
        return tuple(prepared)


def build(pretrain: Pretrain, padded_vocab_size: int, seed: int, world: World) -> Stage:
    """This process's stage, with its initial weights, on its device.

    Raises `UserError` if the recipe asks for what this machine cannot do.
    """
    device: Device = "cuda" if world.device.type == "cuda" else "cpu"
    check_layout(pretrain, padded_vocab_size, device)
    check_transformer_engine(pretrain, has_transformer_engine())
    models = bare_models(pretrain, padded_vocab_size, world)
    for model in models:
        initialise(model, pretrain.model, seed, world)
        model.to(world.device)
    wrapped = tuple(_wrap(model, pretrain.parallel, first=model is models[0]) for model in models)
    # By these the schedules say when gradients may travel.
    config = models[0].config
    if pretrain.parallel.overlap_gradients:
        several = len(wrapped) > 1
        no_sync, start = [m.no_sync for m in wrapped], [m.start_grad_sync for m in wrapped]
        config.no_sync_func = no_sync if several else no_sync[0]
        config.grad_sync_func = start if several else start[0]
    return Stage(models, wrapped, pretrain.data.mask_documents and has_transformer_engine())


def bare_models(pretrain: Pretrain, padded_vocab_size: int, world: World) -> tuple[GPTModel, ...]:
    """The stage's pieces without weights: uninitialised memory, or nothing below
    `torch.device("meta")`."""
    shape, pieces = pretrain.model, pretrain.parallel.virtual_stages
    transformer_engine = has_transformer_engine()
    config = transformer_config(pretrain, transformer_engine)
    models = []
    for piece in range(pieces):
        number = piece if pieces > 1 else None
        models.append(
            Decoder(
                config=config,
                transformer_layer_spec=layer_spec(shape, config, number, transformer_engine),
                vocab_size=padded_vocab_size,
                max_sequence_length=shape.sequence_length,
                pre_process=world.pipeline_rank == 0 and piece == 0,
                post_process=world.is_last_stage and piece == pieces - 1,
                share_embeddings_and_output_weights=shape.tied_embeddings,
                position_embedding_type="rope",
                rotary_base=shape.rotary_base,
                vp_stage=number,
            )
        )
    return tuple(models)


def _wrap(model: GPTModel, parallel: Parallel, first: bool) -> DistributedDataParallel:
    config = model.config
    return DistributedDataParallel(
        config,
        DistributedDataParallelConfig(
            use_distributed_optimizer=True,
            grad_reduce_in_fp32=True,
            overlap_grad_reduce=parallel.overlap_gradients,
            overlap_param_gather=parallel.overlap_parameters,
        ),
        Float16Module(config, model) if config.bf16 or config.fp16 else model,
        # Later pieces' gradients and weights wait for each other anyway: one bucket each.
        disable_bucketing=not first,
    )
