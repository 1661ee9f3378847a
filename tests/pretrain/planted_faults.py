"""Faults as parallel training has had them, each planted in one place of a real run.

`planted(name)` is a context in which `pretrain.model.build` gives a model with that fault; what
else must be wrong is patched there too. `FAULTS` says where a differential trace must find it.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch

from pretrain import attention, initial_weights, iteration, model
from pretrain.config import Pretrain
from pretrain.model import Stage
from pretrain.parallel import World
from pretrain.qualification import record
from pretrain.qualification.tensor_trace import Place
from tests.pretrain import planted_update_faults as update_faults

LAYERS = 4
EXPERTS = {"experts": {"count": 4, "active": 2, "ffn_size": 32, "auxiliary_loss": 0.0}}
Plant = Callable[[Stage, World, contextlib.ExitStack], None]
_LAYERS_OF_TENSOR = "megatron.core.tensor_parallel.layers"
_FINALIZE = "megatron.core.distributed.finalize_model_grads"


@dataclass(frozen=True)
class Fault:
    """A fault, the layout in which it can exist, and the place at which it must be found."""

    plant: Plant
    parallel: dict[str, Any]
    phase: str
    layer: int
    part: str
    iteration: int = 0
    model: dict[str, Any] = field(default_factory=dict)

    def is_at(self, place: Place) -> bool:
        """Whether `place` is where this fault first shows."""
        found = (place.phase, place.layer, place.part, place.iteration)
        return found == (self.phase, self.layer, self.part, self.iteration)


@contextlib.contextmanager
def planted(name: str) -> Iterator[None]:
    """While it lasts, what is built has the fault `name`."""
    build = model.build
    with contextlib.ExitStack() as stack:

        def faulty(pretrain: Pretrain, vocab_size: int, seed: int, world: World) -> Stage:
            stage = build(pretrain, vocab_size, seed, world)
            FAULTS[name].plant(stage, world, stack)
            return stage

        stack.enter_context(mock.patch.object(model, "build", faulty))
        yield


def _layer(stage: Stage, number: int) -> Any:
    """Layer `number` of the whole model, from 1; None on another pipeline stage."""
    layers = [layer for piece in stage.models for layer in piece.decoder.layers]
    return next((layer for layer in layers if layer.layer_number == number), None)


def _without(module: Any, place: str, name: str, stack: contextlib.ExitStack) -> None:
    """While `module` is called forward, the function `name` of `place` gives back its input."""
    forward = module.forward

    def faulty(*arguments: Any, **named: Any) -> Any:
        with mock.patch(f"{place}.{name}", lambda tensor, *_a, **_n: tensor):
            return forward(*arguments, **named)

    module.forward = faulty


def _no_reduction_of_rows(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    linear = _layer(stage, 2).self_attention.linear_proj
    _without(linear, _LAYERS_OF_TENSOR, "reduce_from_tensor_model_parallel_region", stack)


def _no_reduction_in_backward(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    linear = _layer(stage, 3).mlp.linear_fc1
    linear.allreduce_dgrad = False
    _without(linear, _LAYERS_OF_TENSOR, "copy_to_tensor_model_parallel_region", stack)


def _no_reduction_of_embedding(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    embedding = stage.models[0].embedding.word_embeddings
    _without(embedding, _LAYERS_OF_TENSOR, "reduce_from_tensor_model_parallel_region", stack)


def _copy_of_rank_0(parameter: torch.Tensor) -> None:
    # Both ranks then hold rank 0's shard.
    torch.distributed.broadcast(parameter.data, src=0)


def _wrong_shard_of_qkv(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    _copy_of_rank_0(_layer(stage, 2).self_attention.linear_qkv.weight)


def _wrong_shard_of_output(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    _copy_of_rank_0(stage.models[0].output_layer.weight)


def _wrong_shard_of_fc1(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    # As it would be loaded wrongly, after the weights were right.
    weight = _layer(stage, 3).mlp.linear_fc1.weight
    _layer(stage, 3).mlp.register_forward_pre_hook(lambda *_: _copy_of_rank_0(weight))


def _wrong_shard_of_fc2(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    weight = _layer(stage, 1).mlp.linear_fc2.weight
    _layer(stage, 1).mlp.register_forward_pre_hook(lambda *_: _copy_of_rank_0(weight))


def _gate_and_up_swapped(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    if world.tensor_rank == 1:
        weight = _layer(stage, 2).mlp.linear_fc1.weight.data
        weight.copy_(torch.cat(weight.chunk(2)[::-1]))


def _gradients_not_zeroed(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    for wrapped in stage.wrapped:
        wrapped.zero_grad_buffer = lambda: None


def _old_activation_sent(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    if world.pipeline_rank == 0:
        return
    piece, seen = stage.models[0], []
    original = piece.set_input_tensor

    def faulty(tensors: Any) -> None:
        received = tensors[0] if isinstance(tensors, list) else tensors
        if received is not None:
            seen.append(received.detach().clone())
            if len(seen) == 3:
                received.data.copy_(seen[1])
        original(tensors)

    piece.set_input_tensor = faulty


def _micro_batches_swapped(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    if world.pipeline_rank == 0:
        return
    original = record.formula_batches

    def faulty(*arguments: Any, **named: Any) -> Iterator[Any]:
        first, second, *rest = original(*arguments, **named)
        return iter([second, first, *rest])

    stack.enter_context(mock.patch.object(record, "formula_batches", faulty))


def _averaged_over_data(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    for wrapped in stage.wrapped:
        for group in wrapped.bucket_groups:
            for bucket in group.buckets:
                bucket.gradient_scaling_factor = 1 / world.data_size


def _gradient_dropped(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    for wrapped in stage.wrapped if world.data_rank == 1 else ():
        finish = wrapped.finish_grad_sync

        def faulty(*a: Any, wrapped: Any = wrapped, finish: Any = finish, **n: Any) -> Any:
            for buffer in wrapped.buffers:
                buffer.grad_data.zero_()
            return finish(*a, **n)

        wrapped.finish_grad_sync = faulty


def _norm_not_reduced(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    _layer(stage, 2).input_layernorm.weight.sequence_parallel = False


def _layer_off_by_one(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    if world.pipeline_rank == 0:
        return
    original = initial_weights._generator
    with mock.patch.object(
        initial_weights, "_generator",
        lambda seed, name: original(seed, name.replace("layers.2.", "layers.1.")),
    ):  # fmt: skip
        shape = _shape(stage)
        initial_weights.initialise(stage.models[0], shape, 1, world)


def _shape(stage: Stage) -> Any:
    config = stage.models[0].config
    return mock.Mock(
        init_std=0.02, layers=LAYERS, tied_embeddings=False, activation="swiglu",
        experts=mock.Mock(count=config.num_moe_experts or 0),
    )  # fmt: skip


def _loss_scaled_in_place(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    original = iteration.forward_step

    def faulty(batches: Any, piece: Any) -> Any:
        output, reduce = original(batches, piece)

        def scaled(losses: torch.Tensor) -> Any:
            total, count, report = reduce(losses)
            # As a schedule does that divides what it was given: the report changes with it.
            return total, count, {**report, "sums": report["sums"] / 4}

        return output, scaled

    stack.enter_context(mock.patch.object(iteration, "forward_step", faulty))


def _rotary_shifted(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    if world.tensor_rank == 0:
        return
    rotary = stage.models[0].rotary_pos_emb
    forward = rotary.forward

    def faulty(*arguments: Any, **named: Any) -> torch.Tensor:
        # The second position has the first one's angle, and so on. All shifted alike would change
        # nothing: rotary attention sees differences of positions only.
        angles = forward(*arguments, **named)
        return torch.cat([angles[:1], angles[:-1]])

    rotary.forward = faulty


def _mask_off_by_one(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    if world.tensor_rank == 0:
        return

    def faulty(_module: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        borders = arguments[3].clone()
        borders[1:-1] += 1
        # Where a document was one position long, its border meets the next.
        borders = torch.unique(borders)
        return (*arguments[:3], borders, *arguments[4:]), named

    attention = _layer(stage, 2).self_attention.core_attention
    attention.register_forward_pre_hook(faulty, with_kwargs=True)


def _documents_joined(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    if world.tensor_rank == 0:
        return
    original = attention._by_document

    def faulty(*tensors: Any) -> torch.Tensor:
        *qkv, borders = tensors
        return original(*qkv, [*borders[:-2], borders[-1]])

    core = _layer(stage, 3).self_attention.core_attention
    forward = core.forward

    def during(*arguments: Any, **named: Any) -> Any:
        with mock.patch.object(attention, "_by_document", faulty):
            return forward(*arguments, **named)

    core.forward = during


def _tied_not_summed(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    stack.enter_context(
        mock.patch(f"{_FINALIZE}._allreduce_word_embedding_grads", lambda *_a, **_n: None)
    )


def _no_epsilon(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    if world.tensor_rank == 1:
        _layer(stage, 3).pre_mlp_layernorm.epsilon = 0.0


def _interleaved_trap(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    # Batched sends with two stages of two pieces: Megatron-core does it silently and wrongly.
    for piece in stage.models:
        piece.config.batch_p2p_comm, piece.config.overlap_p2p_comm = True, False


def _recomputed_otherwise(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    def faulty(_module: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> Any:
        # As dropout would with another state of the generator.
        if not torch.is_grad_enabled():
            return output
        keep = torch.ones_like(output)
        keep[::7] = 0
        return output * keep

    _layer(stage, 3).self_attention.core_attention.register_forward_hook(faulty)


def _router_of_another_rank(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    if world.data_rank == 1:
        weight = _layer(stage, 2).mlp.router.weight.data
        weight.copy_(weight.roll(1, dims=0))


def _experts_of_another_rank(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    for parameter in _layer(stage, 3).mlp.experts.parameters():
        _copy_of_rank_0(parameter)


def _experts_scaled_twice(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    for wrapped in stage.wrapped:
        for group in wrapped.expert_parallel_bucket_groups:
            for bucket in group.buckets:
                bucket.gradient_scaling_factor = 1 / world.data_size


_TENSOR, _PIPELINE, _DATA = {"tensor": 2}, {"pipeline": 2}, {"data": 2}
_EXPERT = {"data": 2, "expert": 2}
_LAST = LAYERS + 1
FAULTS: dict[str, Fault] = {
    "row-parallel output not reduced":
        Fault(_no_reduction_of_rows, _TENSOR, "forward", 2, "projection"),
    "column-parallel input's gradient not reduced":
        Fault(_no_reduction_in_backward, _TENSOR, "backward", 3, "mlp_norm"),
    "embedding not reduced":
        Fault(_no_reduction_of_embedding, _TENSOR, "forward", 0, "embedding"),
    "wrong shard of qkv": Fault(_wrong_shard_of_qkv, _TENSOR, "initial", 2, "qkv"),
    "wrong shard of fc1": Fault(_wrong_shard_of_fc1, _TENSOR, "forward", 3, "mlp_hidden"),
    "wrong shard of fc2": Fault(_wrong_shard_of_fc2, _TENSOR, "forward", 1, "mlp_output"),
    "wrong shard of the output": Fault(_wrong_shard_of_output, _TENSOR, "initial", _LAST, "output"),
    "gate and up swapped on a rank":
        Fault(_gate_and_up_swapped, _TENSOR, "initial", 2, "mlp_hidden"),
    "gradient buffer not zeroed":
        Fault(_gradients_not_zeroed, _TENSOR, "reduction", _LAST, "output", iteration=1),
    "old activation sent": Fault(_old_activation_sent, _PIPELINE, "forward", 3, "input_norm"),
    "micro-batches swapped on a stage":
        Fault(_micro_batches_swapped, _PIPELINE, "forward", 3, "input_norm"),
    "gradients averaged over data": Fault(_averaged_over_data, _DATA, "reduction", _LAST, "output"),
    "a data rank's gradient dropped": Fault(_gradient_dropped, _DATA, "reduction", _LAST, "output"),
    "norm not reduced over the sequence":
        Fault(_norm_not_reduced, _TENSOR | {"sequence": True}, "reduction", 2, "input_norm"),
    "layer's number off by one": Fault(_layer_off_by_one, _PIPELINE, "initial", 3, "qkv"),
    "reported loss scaled in place":
        Fault(_loss_scaled_in_place, _PIPELINE, "forward", _LAST, "mean_loss"),
    "rotary positions shifted on a rank":
        Fault(_rotary_shifted, _TENSOR, "forward", 1, "attention"),
    "documents joined on a rank":
        Fault(_documents_joined, _TENSOR, "forward", 3, "attention"),
    "mask off by one on a rank": Fault(_mask_off_by_one, _TENSOR, "forward", 2, "attention"),
    "normalised by the local count":
        Fault(update_faults.local_count, _DATA, "forward", _LAST, "mean_loss"),
    "clipped by the local norm":
        Fault(update_faults.local_norm, _DATA, "reduction", _LAST, "gradient_norm"),
    "copies counted twice in the norm":
        Fault(update_faults.copies_counted_twice, _TENSOR, "reduction", _LAST, "gradient_norm"),
    "clipped by the square":
        Fault(update_faults.clipped_by_square, _DATA, "reduction", _LAST, "clipping"),
    "a shard's update missing":
        Fault(update_faults.update_missing, _DATA, "update", 0, "embedding"),
    "weights not gathered": Fault(update_faults.not_gathered, _DATA, "update", 0, "embedding"),
    "a rank counts fewer steps":
        Fault(update_faults.step_not_counted, _DATA, "update", 0, "embedding", iteration=1),
    "tied embedding's gradient not summed":
        Fault(_tied_not_summed, _PIPELINE, "reduction", 0, "embedding",
              model={"tied_embeddings": True}),
    "norm's epsilon dropped on a rank": Fault(_no_epsilon, _TENSOR, "forward", 3, "mlp_norm"),
    "interleaved stages with batched sends":
        Fault(_interleaved_trap, {"pipeline": 2, "virtual_stages": 2}, "forward", 2, "input_norm"),
    "recomputed with another mask":
        Fault(_recomputed_otherwise, _TENSOR | {"recompute": "full"}, "recompute", 3, "attention"),
    "router of another order on a rank":
        Fault(_router_of_another_rank, _EXPERT, "initial", 2, "router", model=EXPERTS),
    "experts of another rank":
        Fault(_experts_of_another_rank, _EXPERT, "initial", 3, "expert", model=EXPERTS),
    "experts' gradients averaged":
        Fault(_experts_scaled_twice, _EXPERT, "reduction", LAYERS, "expert", model=EXPERTS),
}  # fmt: skip
