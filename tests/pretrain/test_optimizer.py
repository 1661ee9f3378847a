"""The optimizer against torch's own, and the norm that clips it against float64."""

import torch

from pretrain import cpu
from pretrain.optimizer import GroupStepAdamW


def test_updates_are_those_of_torchs_adamw() -> None:
    torch.manual_seed(0)
    start = [torch.randn(17, 5), torch.randn(9)]
    ours = [torch.nn.Parameter(tensor.clone()) for tensor in start]
    theirs = [torch.nn.Parameter(tensor.clone()) for tensor in start]
    settings = {"betas": (0.9, 0.95), "eps": 1e-8}
    optimizer = GroupStepAdamW(ours, lr=1e-2, weight_decay=0.1, **settings)
    optimizer.allocate()
    oracle = torch.optim.AdamW(theirs, lr=1e-2, weight_decay=0.1, **settings)
    for iteration in range(25):
        for group in (*optimizer.param_groups, *oracle.param_groups):
            group["lr"] = 1e-2 / (iteration + 1)
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.randn_like(mine)
            other.grad = mine.grad.clone()
        optimizer.step()
        oracle.step()
    assert optimizer.param_groups[0]["step"] == 25
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-7)


def test_the_norm_of_a_large_gradient_is_exact_to_float32() -> None:
    torch.manual_seed(0)
    gradients = [torch.randn(3_000_000) * 1e-3, torch.randn(7)]
    norm, _ = cpu._norm(2048, torch.zeros(1), [gradients], False)
    exact = sum(float((g.double() ** 2).sum()) for g in gradients) ** 0.5
    assert abs(float(norm) - exact) < 1e-6 * exact
