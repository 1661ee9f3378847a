"""What tests measure inside a rank of the pool, beside training (`layout_worker`)."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from pretrain import model
from pretrain.batch import MicroBatch
from pretrain.config import Pretrain
from pretrain.iteration import pass_through
from pretrain.model import Stage
from pretrain.parallel import World, sum_over_world

VOCABULARY = 300


def spoil(stage: Stage, fault: str) -> None:
    """Undo one of the things that make layouts agree."""
    config = stage.models[0].config
    if fault == "norms not marked":
        for parameter in (p for m in stage.models for p in m.parameters() if p.dim() == 1):
            parameter.sequence_parallel = False
    elif fault == "sends batched":
        config.batch_p2p_comm, config.overlap_p2p_comm = True, False
    elif fault == "z-loss not shared":
        config.moe_z_loss_coeff /= config.tensor_model_parallel_size
    else:
        raise AssertionError(fault)


def packings(pretrain: Pretrain, vocabulary: int, seed: int, world: World) -> dict[str, Any]:
    """Largest relative differences of a document's loss and of its gradient between sequences of
    its own and places among random neighbours, over 12 random packings."""
    stage = model.build(pretrain, vocabulary, seed, world)
    length = pretrain.model.sequence_length
    losses, gradients = [0.0], [0.0]
    for trial in range(12):
        random = np.random.default_rng([seed, trial])
        document = random.integers(1, VOCABULARY, int(random.integers(1, length + 1)) + 1)
        alone = _loss_and_gradient(stage, _packed(document, random, length, alone=True), world)
        among = _loss_and_gradient(stage, _packed(document, random, length, alone=False), world)
        losses.append(abs(among[0] - alone[0]) / alone[0])
        squares = [
            float((among[1] - alone[1]).double().square().sum()),
            float(alone[1].double().square().sum()),
        ]
        difference, whole = sum_over_world(squares, world.device)
        assert whole > 0
        gradients.append((difference / whole) ** 0.5)
    return {"loss": max(losses), "gradient": max(gradients)}


def _packed(
    document: np.ndarray, random: np.random.Generator, length: int, alone: bool
) -> MicroBatch:
    """Two sequences, in one of them `document` (its last token is the last label), which alone
    counts; beside it one document of one token over and over, or random ones."""
    tokens = np.ones((2, length), np.int64)
    labels, positions = tokens.copy(), np.zeros_like(tokens)
    mask = np.zeros(tokens.shape, np.float32)
    size = len(document) - 1
    row, start = (0, 0) if alone else (
        int(random.integers(2)), int(random.integers(0, length - size + 1))
    )  # fmt: skip
    cuts = {0, length, 2 * length, row * length + start, row * length + start + size}
    if not alone:
        tokens[:] = random.integers(1, VOCABULARY, tokens.shape)
        labels[:] = random.integers(1, VOCABULARY, tokens.shape)
        others = set(random.integers(0, 2 * length, 6).tolist())
        cuts |= others - set(range(row * length + start, row * length + start + size))
    tokens[row, start : start + size] = document[:-1]
    labels[row, start : start + size] = document[1:]
    mask[row, start : start + size] = 1.0
    borders = sorted(cuts)
    flat = positions.reshape(-1)
    for begin, end in itertools.pairwise(borders):
        flat[begin:end] = np.arange(end - begin)
    return MicroBatch(
        torch.from_numpy(tokens), torch.from_numpy(labels), torch.from_numpy(mask),
        torch.from_numpy(positions), torch.tensor(borders, dtype=torch.int32),
        torch.zeros(2, dtype=torch.int64), (0, 1),
    )  # fmt: skip


def _loss_and_gradient(stage: Stage, batch: MicroBatch, world: World) -> tuple[float, torch.Tensor]:
    for wrapped in stage.wrapped:
        wrapped.zero_grad_buffer()
    reports = pass_through(
        stage, iter([batch]), num_micro_batches=1, micro_batch_size=2,
        sequence_length=batch.tokens.size(1), backward=True,
    )  # fmt: skip
    speaks = world.is_last_stage and world.tensor_rank == 0
    own = [
        sum(float(report[key].sum()) for report in reports) if speaks else 0.0
        for key in ("sums", "counts")
    ]
    loss, count = sum_over_world(own, world.device)
    gradients = [p.main_grad.flatten() for m in stage.models for p in m.parameters()]
    return loss, torch.cat(gradients) / count


def balancing(pretrain: Pretrain, vocabulary: int, seed: int, world: World) -> dict[str, Any]:
    """How far the gradient of the experts' auxiliary losses lies from that of their formulas,
    written out here, for a batch in which a part does not count."""
    without = pretrain.model_copy(update={"model": _unbalanced(pretrain)})
    random = np.random.default_rng(seed)
    length = pretrain.model.sequence_length
    batch = _packed(random.integers(1, VOCABULARY, length * 2 // 3), random, length, alone=False)
    batch.mask[:, : length // 2] = 1.0
    built = model.build(pretrain, vocabulary, seed, world)
    with_losses = _loss_and_gradient(built, batch, world)[1]
    plain = model.build(without, vocabulary, seed, world)
    bare = _loss_and_gradient(plain, batch, world)[1]
    expected = _formulas(plain, pretrain, batch)
    difference = (with_losses - bare - expected).norm() / expected.norm()
    return {"difference": float(difference), "share": float(expected.norm() / bare.norm())}


def _unbalanced(pretrain: Pretrain) -> Any:
    experts = pretrain.model.experts.model_copy(
        update={"auxiliary_loss": 0.0, "router_z_loss": 0.0}
    )
    return pretrain.model.model_copy(update={"experts": experts})


def _formulas(stage: Stage, pretrain: Pretrain, batch: MicroBatch) -> torch.Tensor:
    experts, (whole,) = pretrain.model.experts, stage.models
    logits: list[torch.Tensor] = []
    for layer in whole.decoder.layers:
        layer.mlp.router.register_forward_pre_hook(
            lambda router, inputs: logits.append(inputs[0] @ router.weight.t())
        )
    whole(batch.tokens, batch.positions, batch.borders, labels=batch.labels)
    total = torch.zeros(())
    counts = batch.mask.t().reshape(-1) == 1
    for each in logits:
        chosen = each.reshape(-1, experts.count)[counts]
        probabilities = chosen.softmax(-1)
        best = chosen.topk(experts.active, dim=-1).indices
        load = torch.nn.functional.one_hot(best, experts.count).float().sum(1).mean(0)
        balance = experts.count * (load / experts.active * probabilities.mean(0)).sum()
        total = total + experts.auxiliary_loss * balance
        total = total + experts.router_z_loss * chosen.logsumexp(-1).square().mean()
    gradients = torch.autograd.grad(total, list(whole.parameters()), allow_unused=True)
    return torch.cat(
        [
            torch.zeros_like(p).flatten() if g is None else g.flatten()
            for p, g in zip(whole.parameters(), gradients, strict=True)
        ]
    )


def operations(pretrain: Pretrain, vocabulary: int, seed: int, world: World) -> dict[str, Any]:
    """Operations of the matrix products of one forward pass over one sequence, as torch counts
    them; attention's are not among them."""
    (whole,) = model.build(pretrain, vocabulary, seed, world).models
    tokens = torch.arange(pretrain.model.sequence_length).unsqueeze(0)
    with FlopCounterMode(display=False) as counter:
        whole(tokens, None, None, labels=tokens)
    counts = counter.get_flop_counts()["Global"]
    products = [n for operation, n in counts.items() if "scaled_dot" not in str(operation)]
    return {"operations": sum(products)}


MEASUREMENTS: dict[str, Callable[[Pretrain, int, int, World], dict[str, Any]]] = {
    "operations": operations,
    "packings": packings,
    "balancing": balancing,
}
