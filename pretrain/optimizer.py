"""The update: from summed gradients to new parameters, without a question to the device.

Megatron's distributed optimizer divides parameters and state over the data ranks, keeps float32
copies of half-precision weights, and knows the checkpoint's form; all that is used. Its own `step`
is not: it reads norm and flags on the host, and passes over memory twice as often. What is done
instead is told by two numbers on the device, from `judge.Verdict`: by how much the gradients are
divided (tokens, clipping and loss scale in one), and whether the update is left out.
"""

from dataclasses import dataclass
from typing import Any

import torch

from pretrain import megatron
from pretrain.adamw import GroupStepAdamW
from pretrain.config import Training
from pretrain.judge import Verdict
from pretrain.loss_scale import LossScale
from pretrain.model import Stage
from pretrain.muon import Muon

# The gradients' norm is summed in blocks: a float32 sum over a whole tensor loses digits on a CPU
# (5e-5 of 2.8M numbers, 2026-11-21), a float64 one takes twice as long (2026-11-26).
_BLOCK = 4_096


@dataclass(frozen=True)
class _Part:
    """One of Megatron's optimizers: the experts have another than all else."""

    chained: Any
    counted: tuple[torch.Tensor, ...]  # gradients that are this rank's to count, float32 [n] each
    halves: tuple[torch.Tensor, ...]  # half-precision weights of this rank's shards
    copies: tuple[torch.Tensor, ...]  # and their float32 copies
    muon: Muon | None


class Optimizer:
    """Megatron's optimizer of one pipeline stage with our update."""

    def __init__(self, training: Training, stage: Stage, chained: Any) -> None:
        self._training = training
        self._chained = chained
        self._models = stage.wrapped
        # Only now has Megatron cut the parameters into this data rank's shards.
        for part in chained.chained_optimizers:
            part.optimizer.allocate()
        self._parts = [_prepare(part, training, stage) for part in chained.chained_optimizers]
        device = next(stage.models[0].parameters()).device
        self._steps = torch.zeros((), dtype=torch.float32, device=device)
        self._set_constants()

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all parts, with Megatron's keys."""
        groups: list[dict[str, Any]] = self._chained.param_groups
        return groups

    @torch.no_grad()
    def squared_norm(self) -> torch.Tensor:
        """This rank's share of the square of the gradient's norm, float64 []: the sum over all
        ranks counts every parameter of the model once."""
        squares = [_squared_norm(gradient) for part in self._parts for gradient in part.counted]
        if not squares:
            return torch.zeros_like(self._steps, dtype=torch.float64)
        return torch.stack(squares).sum()

    @torch.no_grad()
    def update(self, learning_rate: float, verdict: Verdict) -> None:
        """Update all parameters, or none if the verdict says so; all ranks call it together."""
        self._steps.add_(1.0 - verdict.skip)
        for part in self._parts:
            others = part.muon.parameters if part.muon else frozenset[int]()
            part.chained.optimizer.update(
                learning_rate, self._steps, verdict.divisor, verdict.skip, others
            )
            if part.muon:
                part.muon.update(learning_rate, verdict)
            if part.halves:
                torch._foreach_copy_(part.halves, part.copies)
        self._gather()

    def _gather(self) -> None:
        # With `overlap_parameters` the next forward pass does it, bucket by bucket.
        ddp = self._models[0].ddp_config
        if ddp.overlap_param_gather or not any(
            part.chained.data_parallel_group.size() > 1 for part in self._parts
        ):
            return
        for model in self._models:
            model.start_param_sync()

    def sharded_state_dict(self, model_state: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Megatron's sharded state; reads the step count, and so waits for the device."""
        steps = round(float(self._steps))
        for group in self.param_groups:
            group["step"] = steps
        if self._models[0].ddp_config.overlap_param_gather:
            for model in self._models:
                model.start_param_sync(force_sync=True)
        state: dict[str, Any] = self._chained.sharded_state_dict(model_state, **options)
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the state of a checkpoint, but rates and constants of this recipe."""
        self._chained.load_state_dict(state)
        self._steps.fill_(max((group["step"] for group in self.param_groups), default=0))
        self._set_constants()

    def reload_model_params(self) -> None:
        """Take over weights that were loaded into the model alone."""
        self._chained.reload_model_params()

    def _set_constants(self) -> None:
        # Megatron leaves it to a scheduler of its own to apply `wd_mult`; without that, norms
        # decayed like matrices (found 2026-11-26).
        training = self._training
        for group in self.param_groups:
            group["weight_decay"] = training.weight_decay * group["wd_mult"]
            group["betas"] = (training.beta1, training.beta2)
            group["eps"] = training.adam_epsilon


def build(training: Training, stage: Stage, loss_scale: LossScale | None = None) -> Optimizer:
    """The optimizer of this stage: matrices decay, norms and biases do not.

    With a `loss_scale` (fp16) the schedules multiply the loss by it.
    """
    for model in stage.models:
        model.config.grad_scale_func = loss_scale.multiply if loss_scale else None
    half = training.precision in ("bf16", "fp8")
    config = megatron.OptimizerConfig(
        optimizer="adam",
        lr=training.lr_peak,
        min_lr=training.lr_min,
        weight_decay=training.weight_decay,
        adam_beta1=training.beta1,
        adam_beta2=training.beta2,
        adam_eps=training.adam_epsilon,
        clip_grad=training.clip,
        # fp16 is not named: that would make Megatron's own loss scaler.
        bf16=half,
        params_dtype=torch.bfloat16 if half else torch.float32,
        use_distributed_optimizer=True,
    )
    chained = megatron.make_optimizer(config, stage.wrapped, GroupStepAdamW)
    return Optimizer(training, stage, chained)


def _prepare(part: Any, training: Training, stage: Stage) -> _Part:
    # Gradients are pieces of one float32 buffer that is never moved, so they are bound once.
    part._copy_model_grads_to_main_grads()
    halves, copies = [], []
    for models, shards in zip(
        part.model_float16_groups, part.shard_fp32_from_float16_groups, strict=True
    ):
        for model, shard in zip(models, shards, strict=True):
            place = part._get_model_param_range_map(model)["param"]
            halves.append(model.detach().view(-1)[place.start : place.end])
            copies.append(shard)
    for shards in part.shard_fp32_groups:
        assert all(shard._base is not None for shard in shards), "float32 weights are their shards"
    return _Part(
        part,
        tuple(part.get_main_grads_for_grad_norm()),
        tuple(halves),
        tuple(copies),
        Muon(part, training, stage) if training.optimizer == "muon" else None,
    )


def _squared_norm(gradient: torch.Tensor) -> torch.Tensor:
    whole = gradient.numel() // _BLOCK * _BLOCK
    blocks = torch.linalg.vector_norm(gradient[:whole].view(-1, _BLOCK), dim=1)
    rest = torch.linalg.vector_norm(gradient[whole:])
    return blocks.double().square().sum() + rest.double().square()
