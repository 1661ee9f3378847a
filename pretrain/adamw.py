"""AdamW in one pass over memory, whose step count, divisor and refusal live on the device."""

from typing import Any

import torch


class GroupStepAdamW(torch.optim.Optimizer):
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) that counts its steps in the group.

    Megatron's distributed optimizer resumes correctly only so (see `megatron.make_optimizer`). It
    is the container that Megatron cuts into shards and saves; `update` is its step.
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
    def update(
        self,
        learning_rate: float,
        steps: torch.Tensor,
        divisor: torch.Tensor,
        skip: torch.Tensor,
        others: frozenset[int] = frozenset(),
    ) -> None:
        """Update every parameter with its gradient over `divisor`, but for those whose `id` is
        among `others`; none if `skip` is 1, even where gradients are not finite.

        `steps` (with this one), `divisor` and `skip` (0 or 1) are float32 [] on the device of the
        parameters. torch's fused kernel reads each number once and writes it once: 1.6 instead of
        8.7 ms for 2.8M parameters on one core, against eight passes of `_foreach` (2026-11-26).
        """
        for group in self.param_groups:
            parameters = [p for p in group["params"] if id(p) not in others and p.numel()]
            if not parameters:
                continue
            beta1, beta2 = group["betas"]
            torch._fused_adamw_(
                parameters,
                [p.grad for p in parameters],
                [self.state[p]["exp_avg"] for p in parameters],
                [self.state[p]["exp_avg_sq"] for p in parameters],
                [],
                [steps] * len(parameters),
                lr=learning_rate,
                beta1=beta1,
                beta2=beta2,
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
                grad_scale=divisor,
                found_inf=skip,
            )
