"""Records what a rank's part of the model computes, as pieces of a tensor trace.

Forward activations come from hooks on the modules of Megatron-core's layers, gradients with respect
to them from hooks on the tensors; weights and reduced gradients are read around the update. Nothing
in the model or in the loop knows of it.

Shapes: S sequence length, B micro-batch, t tensor ranks; Megatron's activations are [S, B, width].
"""

import re
from collections import deque
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from pretrain.batch import MicroBatch
from pretrain.config import Pretrain
from pretrain.model import Stage
from pretrain.parallel import World
from pretrain.qualification.parameter_pieces import Division, divide, parameter_pieces
from pretrain.qualification.tensor_trace import Phase, Piece, Place, make_piece

# By the module's name within its layer: part, division of the width, and whether tensor ranks
# divide the sequence where `parallel.sequence` is set.
_MODULES: dict[str, tuple[str, Division, bool]] = {
    "input_layernorm": ("input_norm", "none", True),
    "self_attention.linear_qkv": ("qkv", "channels", False),
    "self_attention.q_layernorm": ("q_norm", "channels", False),
    "self_attention.k_layernorm": ("k_norm", "channels", False),
    "self_attention.core_attention": ("attention", "channels", False),
    "self_attention.linear_proj": ("projection", "none", True),
    "pre_mlp_layernorm": ("mlp_norm", "none", True),
    "mlp.router": ("router", "none", True),
    "mlp.linear_fc1": ("mlp_hidden", "channels", False),
    "mlp": ("mlp_output", "none", True),
    "": ("layer", "none", True),
}
_OUTSIDE: dict[str, tuple[str, Division, bool]] = {
    "embedding": ("embedding", "none", True),
    "decoder.final_layernorm": ("final_norm", "none", True),
    "output_layer": ("output", "channels", False),
}
_LAYER = re.compile(r"decoder\.layers\.(\d+)(?:\.(.+))?$")


class Recorder:
    """The hooks of one rank and the pieces that they have gathered. `close` removes the hooks."""

    def __init__(self, stage: Stage, pretrain: Pretrain, world: World, *, whole: bool) -> None:
        self.pieces: list[Piece] = []
        self.iteration = 0
        self._pretrain, self._world, self._whole = pretrain, world, whole
        self._stage = stage
        self._samples: dict[int, tuple[int, ...]] = {}
        self._kept: list[MicroBatch] = []
        self._current: tuple[int, ...] = ()
        self._packed = False
        self._handles: list[Any] = []
        last = pretrain.model.layers + 1
        for model in stage.models:
            self._handles.append(model.register_forward_pre_hook(self._begin, with_kwargs=True))
            for name, module in model.named_modules():
                match = _LAYER.match(name)
                if match and (match[2] or "") in _MODULES:
                    number = model.decoder.layers[int(match[1])].layer_number
                    self._watch(module, number, _MODULES[match[2] or ""])
                elif name in _OUTSIDE:
                    self._watch(module, 0 if name == "embedding" else last, _OUTSIDE[name])
            if model.post_process:
                self._watch(model, last, ("loss", "none", False))

    def close(self) -> None:
        """Remove every hook, and what keeps the model alive.

        A dispatcher keeps the probabilities of its last pass, and they through autograd the hooks
        that are held by the model: a circle that no collector sees. Each traced model with experts
        then left 50 threads of its groups behind (2026-11-27).
        """
        for handle in self._handles:
            handle.remove()
        for module in (module for model in self._stage.models for module in model.modules()):
            if hasattr(module, "token_dispatcher"):
                module.token_dispatcher.probs = None

    def batches(self, micro_batches: Iterator[MicroBatch]) -> Iterator[MicroBatch]:
        """The same micro-batches, remembered: their tokens tell which samples a pass is about."""
        for batch in micro_batches:
            self._kept.append(batch)  # so that no other tensor gets its address
            self._samples[batch.tokens.data_ptr()] = batch.samples
            yield batch

    def weights(self, phase: Literal["initial", "update"]) -> None:
        """Record the model's weights as they are now."""
        self._parameters(phase)

    def gradients(self, divisor: float) -> None:
        """Record each data rank's shard of the reduced gradients over `divisor`; call it before the
        update."""
        self._parameters("reduction", divisor)

    def scalar(self, phase: Phase, part: str, value: float) -> None:
        """Record a number that all ranks know."""
        place = Place(self.iteration, phase, self._pretrain.model.layers + 1, part)
        if self._world.is_first:
            values = np.array([value], np.float32)
            index = (np.zeros(1, np.int64),)
            self.pieces.append(make_piece(place, (1,), "", index, values, whole=self._whole))

    def _parameters(self, phase: Phase, divisor: float = 1.0) -> None:
        self.pieces += parameter_pieces(
            self._stage, self._pretrain, self._world, self.iteration, phase, divisor,
            whole=self._whole,
        )  # fmt: skip

    def _begin(self, _module: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        tokens = arguments[0] if arguments else named["input_ids"]
        # A context rank's part of the sequences is a copy; it is that of the last batch asked for.
        latest = self._kept[-1].samples
        self._current = self._samples.get(tokens.data_ptr(), latest)
        self._packed = tokens.size(0) < len(self._current)

    def _watch(self, module: Any, layer: int, how: tuple[str, Division, bool]) -> None:
        if type(module).__name__ == "IdentityOp":
            return  # a place that this implementation leaves empty
        part, division, along_sequence = how
        if part == "mlp_hidden" and self._pretrain.model.activation == "swiglu":
            division = "halves"
        # Samples that went forward without gradients and come again in the backward pass.
        again: deque[tuple[int, ...]] = deque()

        def record(phase: Phase, samples: tuple[int, ...], tensor: torch.Tensor) -> None:
            place = Place(self.iteration, phase, layer, part)
            self._activation(place, samples, tensor.detach(), division, along_sequence)

        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            tensor = output[0] if isinstance(output, tuple) else output
            if not torch.is_grad_enabled():
                again.append(self._current)
                record("forward", self._current, tensor)
                return
            # Each piece of the model sees its micro-batches backward in the order of forward.
            phase: Phase = "recompute" if again else "forward"
            samples = again.popleft() if again else self._current
            record(phase, samples, tensor)
            if tensor.requires_grad:
                tensor.register_hook(lambda gradient: record("backward", samples, gradient))

        self._handles.append(module.register_forward_hook(hook))

    def _activation(
        self,
        place: Place,
        samples: tuple[int, ...],
        tensor: torch.Tensor,
        division: Division,
        along_sequence: bool,
    ) -> None:
        shape, world = self._pretrain.model, self._world
        tensor = tensor.float().cpu()
        rows, positions = np.array(samples, np.int64), self._positions()
        divided = along_sequence and self._pretrain.parallel.sequence
        if divided and self._packed:
            rows = np.split(rows, world.tensor_size)[world.tensor_rank]
        elif divided:
            positions = np.split(positions, world.tensor_size)[world.tensor_rank]
        batch, length = len(rows), len(positions)
        if place.part == "loss" or self._packed:  # [B, S], and [B x S, 1, width]
            values = tensor.reshape(batch, length, -1)
        else:
            # The router's answer is [S x B, experts], the norms of heads are [S, B, heads, width].
            values = tensor.reshape(length, batch, -1).transpose(0, 1)
        channels, width = divide(values.shape[2], division, world.tensor_rank, world.tensor_size)
        replica = ""
        if division == "none" and not divided and world.tensor_size > 1:
            replica = f"tensor {world.tensor_rank}"
        size = self._pretrain.training.batch_size
        rows = rows - self.iteration * size
        self.pieces.append(
            make_piece(
                place, (size, shape.sequence_length, width), replica, (rows, positions, channels),
                np.array(values.numpy(), np.float32, order="C"), whole=self._whole,
            )
        )  # fmt: skip

    def _positions(self) -> npt.NDArray[np.int64]:
        """The positions of this context rank: a chunk from the start, and its mirror image from
        the end, so that causal attention costs every rank as much."""
        world, length = self._world, self._pretrain.model.sequence_length
        if world.context_size == 1:
            return np.arange(length)
        chunks = np.split(np.arange(length), 2 * world.context_size)
        return np.concatenate([chunks[world.context_rank], chunks[-1 - world.context_rank]])
