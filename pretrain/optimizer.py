"""AdamW for Megatron's distributed optimizer, which keeps it in shards over the data ranks."""

import math
from collections.abc import Callable
from typing import Any

import torch

from pretrain import megatron
from pretrain.config import Training
from pretrain.model import Stage


class GroupStepAdamW(torch.optim.Optimizer):
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) that counts its steps in the group.

    Megatron's distributed optimizer resumes correctly only so (see `megatron.make_optimizer`).
    """

    def __init__(
        self,
        params: Any,
        lr: float,
        weight_decay: float,
        betas: tuple[float, float],
        eps: float,
        adam_w_mode: bool = True,
    ) -> None:
        assert adam_w_mode, "decoupled weight decay is the only one here"
        super().__init__(
            params, {"lr": lr, "weight_decay": weight_decay, "betas": betas, "eps": eps, "step": 0}
        )

    def allocate(self) -> None:
        """Make both moments, zero. Not left to the first update: a checkpoint may come before."""
        for parameter in (p for group in self.param_groups for p in group["params"]):
            self.state[parameter]["exp_avg"] = torch.zeros_like(parameter)
            self.state[parameter]["exp_avg_sq"] = torch.zeros_like(parameter)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            group["step"] += 1
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:
                self._update(group, parameters)

    def _update(self, group: dict[str, Any], parameters: list[torch.Tensor]) -> None:
        beta1, beta2 = group["betas"]
        gradients: list[torch.Tensor] = [p.grad for p in parameters]  # type: ignore[misc]
        means = [self.state[p]["exp_avg"] for p in parameters]
        squares = [self.state[p]["exp_avg_sq"] for p in parameters]
        torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_lerp_(means, gradients, 1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_div_(roots, math.sqrt(1 - beta2 ** group["step"]))
        torch._foreach_add_(roots, group["eps"])
        step_size = group["lr"] / (1 - beta1 ** group["step"])
        torch._foreach_addcdiv_(parameters, means, roots, -step_size)


def build(training: Training, stage: Stage) -> Any:
    """Megatron's distributed optimizer for this stage: matrices decay, norms do not."""
    config = megatron.OptimizerConfig(
        optimizer="adam",
        lr=training.lr_peak,
        min_lr=training.lr_min,
        weight_decay=training.weight_decay,
        adam_beta1=training.beta1,
        adam_beta2=training.beta2,
        adam_eps=training.adam_epsilon,
        clip_grad=training.clip,
        bf16=training.precision == "bf16",
        params_dtype=torch.bfloat16 if training.precision == "bf16" else torch.float32,
        use_distributed_optimizer=True,
    )
    optimizer = megatron.make_optimizer(config, stage.wrapped, GroupStepAdamW)
    # Megatron cuts the parameters into shards of this data rank; only now are they known.
    for part in optimizer.chained_optimizers:
        part.optimizer.allocate()
    return optimizer


def set_learning_rate(optimizer: Any, learning_rate: float) -> None:
    """Give every parameter group the learning rate of the coming iteration."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
