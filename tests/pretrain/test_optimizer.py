"""The optimizers against others, and the norm that clips against float64."""

import math

import pytest
import torch

from pretrain import cpu
from pretrain.adamw import GroupStepAdamW
from pretrain.muon import orthogonalise
from pretrain.optimizer import _squared_norm

SETTINGS = {"betas": (0.9, 0.95), "eps": 1e-8}


def adamw(start: list[torch.Tensor]) -> tuple[list[torch.nn.Parameter], GroupStepAdamW]:
    parameters = [torch.nn.Parameter(tensor.clone()) for tensor in start]
    optimizer = GroupStepAdamW(parameters, lr=1e-2, weight_decay=0.1, **SETTINGS)
    optimizer.allocate()
    return parameters, optimizer


def test_updates_are_those_of_torchs_adamw() -> None:
    torch.manual_seed(0)
    start = [torch.randn(17, 5), torch.randn(9)]
    ours, optimizer = adamw(start)
    theirs = [torch.nn.Parameter(tensor.clone()) for tensor in start]
    oracle = torch.optim.AdamW(theirs, lr=1e-2, weight_decay=0.1, **SETTINGS)
    steps, none = torch.zeros(()), torch.zeros(())
    for iteration in range(25):
        rate = 1e-2 / (iteration + 1)
        oracle.param_groups[0]["lr"] = rate
        divisor = torch.tensor(float(iteration + 2))
        for mine, other in zip(ours, theirs, strict=True):
            other.grad = torch.randn_like(other)
            mine.grad = other.grad * divisor
        steps += 1
        optimizer.update(rate, steps, divisor, none)
        oracle.step()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-7)


def test_a_refused_update_changes_nothing_not_even_a_bit() -> None:
    torch.manual_seed(0)
    parameters, optimizer = adamw([torch.randn(33), torch.randn(4)])
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    optimizer.update(1e-2, torch.tensor(1.0), torch.tensor(1.0), torch.tensor(0.0))

    def state() -> list[torch.Tensor]:
        return [*parameters, *(t for s in optimizer.state.values() for t in s.values())]

    before = [tensor.clone() for tensor in state()]
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, float("nan"))
    optimizer.update(1e-2, torch.tensor(1.0), torch.tensor(float("nan")), torch.tensor(1.0))
    assert all(torch.equal(a, b) for a, b in zip(before, state(), strict=True))


@pytest.mark.parametrize("shape", [(24, 64), (64, 24), (40, 40)])
def test_muon_takes_the_orthogonal_part(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    ours, exact = orthogonalise(matrix), u @ v
    # Jordan's polynomial aims at singular values between 0.7 and 1.2, and keeps their vectors.
    values = torch.linalg.svdvals(ours)
    assert values.min() > 0.6
    assert values.max() < 1.25
    in_its_basis = u.mT @ ours @ v.mT
    torch.testing.assert_close(in_its_basis, torch.diag(in_its_basis.diag()), rtol=0, atol=2e-4)
    cosine = (ours * exact).sum() / ours.norm() / exact.norm()
    assert cosine > 0.97


def test_the_norm_of_a_large_gradient_is_exact_to_float32() -> None:
    torch.manual_seed(0)
    gradients = [torch.randn(3_000_000) * 1e-3, torch.randn(7)]
    exact = math.sqrt(sum(float((g.double() ** 2).sum()) for g in gradients))
    norm = math.sqrt(sum(float(_squared_norm(g)) for g in gradients))
    assert abs(norm - exact) < 1e-7 * exact
    megatrons, _ = cpu._norm(2048, torch.zeros(1), [gradients], False)
    assert abs(float(megatrons) - exact) < 1e-6 * exact
