"""The same model and the same training in plain PyTorch, written apart from `pretrain`.

One process, no Megatron-core, none of our modules: what it shares with the real thing is the recipe
and the batches, so that an agreement says something.

Shapes: B sequences, S positions, H heads, G key-value heads, C channels of a head, D width.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy, gelu, scaled_dot_product_attention, silu

from launch.manifest import digest_json


@dataclass(frozen=True)
class Batch:
    """Sequences: `tokens` and `labels` int64 [B, S], `mask` float32 [B, S], and the positions
    within documents int64 [B, S], or None where a position sees the whole sequence before it."""

    tokens: torch.Tensor
    labels: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor | None


class RMSNorm(nn.Module):
    def __init__(self, size: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.epsilon = epsilon

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.epsilon) * self.weight


class LayerNorm(RMSNorm):
    def __init__(self, size: int, epsilon: float) -> None:
        super().__init__(size, epsilon)
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        centred = x - x.mean(-1, keepdim=True)
        return super().forward(centred) + self.bias


def rotate(x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Rotary positions on x [B, H, S, C]: channel i turns with channel i + C/2 (Su et al. 2021, in
    the arrangement of GPT-NeoX); `cosine` and `sine` are [S, C/2] or [B, 1, S, C/2]."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)


class Attention(nn.Module):
    def __init__(self, shape: Any) -> None:
        super().__init__()
        self.heads, self.groups = shape.heads, shape.kv_heads
        self.channels = shape.hidden_size // shape.heads
        # One matrix: for each group its query heads, then its key, then its value.
        rows = (self.heads + 2 * self.groups) * self.channels
        self.linear_qkv = nn.Linear(shape.hidden_size, rows, bias=False)
        self.linear_proj = nn.Linear(shape.hidden_size, shape.hidden_size, bias=False)
        norm = LayerNorm if shape.norm == "layer" else RMSNorm
        if shape.qk_norm:
            self.q_layernorm = norm(self.channels, shape.norm_epsilon)
            self.k_layernorm = norm(self.channels, shape.norm_epsilon)

    def forward(
        self, x: torch.Tensor, turns: tuple[torch.Tensor, torch.Tensor], mask: torch.Tensor | None
    ) -> torch.Tensor:
        batch, length, _ = x.shape
        each = self.heads // self.groups
        mixed = self.linear_qkv(x).view(batch, length, self.groups, each + 2, self.channels)
        query = mixed[:, :, :, :each].reshape(batch, length, self.heads, self.channels)
        key, value = mixed[:, :, :, each], mixed[:, :, :, each + 1]
        if hasattr(self, "q_layernorm"):
            query, key = self.q_layernorm(query), self.k_layernorm(key)
        query, key, value = (t.transpose(1, 2) for t in (query, key, value))
        query, key = rotate(query, *turns), rotate(key, *turns)
        key, value = (t.repeat_interleave(each, dim=1) for t in (key, value))
        answer = scaled_dot_product_attention(query, key, value, mask, is_causal=mask is None)
        return self.linear_proj(answer.transpose(1, 2).reshape(batch, length, -1))


class MLP(nn.Module):
    def __init__(self, shape: Any) -> None:
        super().__init__()
        self.gated = shape.activation == "swiglu"
        rows = shape.ffn_size * (2 if self.gated else 1)
        self.linear_fc1 = nn.Linear(shape.hidden_size, rows, bias=False)
        self.linear_fc2 = nn.Linear(shape.ffn_size, shape.hidden_size, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inside = self.linear_fc1(x)
        if not self.gated:
            return self.linear_fc2(gelu(inside))
        gate, up = inside.chunk(2, dim=-1)
        return self.linear_fc2(silu(gate) * up)


class Layer(nn.Module):
    def __init__(self, shape: Any) -> None:
        super().__init__()
        norm = LayerNorm if shape.norm == "layer" else RMSNorm
        self.input_layernorm = norm(shape.hidden_size, shape.norm_epsilon)
        self.self_attention = Attention(shape)
        self.pre_mlp_layernorm = norm(shape.hidden_size, shape.norm_epsilon)
        self.mlp = MLP(shape)

    def forward(self, x: torch.Tensor, *context: Any) -> torch.Tensor:
        x = x + self.self_attention(self.input_layernorm(x), *context)
        return x + self.mlp(self.pre_mlp_layernorm(x))


class Decoder(nn.Module):
    """The causal decoder of a `[pretrain.model]` table, dense."""

    def __init__(self, shape: Any, vocab_size: int) -> None:
        super().__init__()
        assert not shape.experts.count
        self.shape = shape
        self.word_embeddings = nn.Embedding(vocab_size, shape.hidden_size)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        norm = LayerNorm if shape.norm == "layer" else RMSNorm
        self.final_layernorm = norm(shape.hidden_size, shape.norm_epsilon)
        self.output_layer = nn.Linear(shape.hidden_size, vocab_size, bias=False)
        if shape.tied_embeddings:
            self.output_layer.weight = self.word_embeddings.weight

    def forward(self, batch: Batch) -> torch.Tensor:
        """The losses in nats, float32 [B, S]."""
        x = self.word_embeddings(batch.tokens)
        context = (self._turns(batch), _documents(batch.positions))
        for layer in self.layers:
            x = layer(x, *context)
        logits = self.output_layer(self.final_layernorm(x))
        losses = cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), reduction="none")
        return losses.view(batch.labels.shape)

    def _turns(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        half = self.shape.hidden_size // self.shape.heads // 2
        speeds = self.shape.rotary_base ** (-torch.arange(half) / half)
        if batch.positions is None:
            angles = torch.arange(batch.tokens.size(1)).unsqueeze(-1) * speeds
        else:
            angles = batch.positions[:, None, :, None] * speeds
        return angles.cos(), angles.sin()


def _documents(positions: torch.Tensor | None) -> torch.Tensor | None:
    """Who sees whom, bool [B, 1, S, S]: the same document, no later position."""
    if positions is None:
        return None
    length = positions.size(1)
    begins = torch.arange(length) - positions  # the same for all of a document, and for no other
    same = begins[:, :, None] == begins[:, None, :]
    return (same & torch.ones(length, length, dtype=torch.bool).tril()).unsqueeze(1)


def draw(model: Decoder, seed: int) -> None:
    """The initial weights of a run with this seed, as docs/pretrain.md describes them."""
    shape = model.shape
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            continue
        full = {"word_embeddings.weight": "embedding.word_embeddings.weight"}.get(name, name)
        full = f"decoder.{full}" if full.startswith("layers.") else full
        std = shape.init_std
        if "linear_proj" in name or "linear_fc2" in name:
            std /= math.sqrt(2 * shape.layers)
        digest = digest_json([seed, full]).split(":")[1]
        generator = torch.Generator().manual_seed(int(digest[:15], 16))
        parameter.data.normal_(0.0, std, generator=generator)


def rate(training: Any, iteration: int) -> float:
    """Linear warm-up, then half a cosine down to the least rate."""
    assert training.schedule == "cosine"
    if iteration < training.warmup_iterations:
        return training.lr_peak * (iteration + 1) / training.warmup_iterations
    span = training.iterations - training.warmup_iterations
    angle = math.pi * (iteration + 1 - training.warmup_iterations) / span
    return training.lr_min + (training.lr_peak - training.lr_min) * (1 + math.cos(angle)) / 2


class Trainer:
    """One model, its optimizer, and an iteration."""

    def __init__(self, model: Decoder, training: Any, fused: bool = False) -> None:
        assert training.precision == "fp32"
        self.model, self.training = model, training
        matrices = [p for p in model.parameters() if p.dim() > 1]
        others = [p for p in model.parameters() if p.dim() == 1]
        self.muon: dict[torch.Tensor, torch.Tensor] = {}
        if training.optimizer == "muon":
            moved = [p for n, p in model.named_parameters() if ".linear_" in n]
            self.muon = {p: torch.zeros_like(p) for p in moved}
            matrices = [p for p in matrices if p not in self.muon]
        self.adamw = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": training.weight_decay},
             {"params": others, "weight_decay": 0.0}],
            betas=(training.beta1, training.beta2), eps=training.adam_epsilon, fused=fused,
        )  # fmt: skip

    def iteration(self, number: int, batches: list[Batch]) -> tuple[float, float]:
        """Train on the micro-batches of iteration `number`; loss and gradient norm before it."""
        count = sum(float(batch.mask.double().sum()) for batch in batches)
        total = 0.0
        self.model.zero_grad()
        for batch in batches:
            losses = self.model(batch) * batch.mask
            (losses.sum() / count).backward()
            total += float(losses.detach().double().sum())
        gradients = [p.grad for p in self.model.parameters()]
        norm = math.sqrt(sum(float(g.double().square().sum()) for g in gradients))
        if self.training.clip and norm > self.training.clip:
            for gradient in gradients:
                gradient *= self.training.clip / norm
        for group in self.adamw.param_groups:
            group["lr"] = rate(self.training, number)
        self.adamw.step()
        self._muon(rate(self.training, number))
        return total / count, norm

    @torch.no_grad()
    def _muon(self, learning_rate: float) -> None:
        names = {p: n for n, p in self.model.named_parameters()}
        for parameter, momentum in self.muon.items():
            momentum.mul_(self.training.muon_momentum).add_(parameter.grad)
            update = parameter.grad + self.training.muon_momentum * momentum
            parameter.mul_(1 - learning_rate * self.training.weight_decay)
            for rows in self._parts(names[parameter], parameter):
                part = update[rows]
                orthogonal = newton_schulz(part)
                parameter[rows] -= learning_rate * 0.2 * math.sqrt(max(part.shape)) * orthogonal

    def _parts(self, name: str, parameter: torch.Tensor) -> Iterator[torch.Tensor]:
        """Row numbers of the matrices that were put into one."""
        rows, shape = torch.arange(parameter.size(0)), self.model.shape
        if "linear_qkv" in name:
            channels, each = shape.hidden_size // shape.heads, shape.heads // shape.kv_heads
            place = rows // channels % (each + 2)
            yield rows[place < each]
            yield rows[place == each]
            yield rows[place == each + 1]
        elif "linear_fc1" in name and shape.activation == "swiglu":
            yield from rows.chunk(2)
        else:
            yield rows


def newton_schulz(matrix: torch.Tensor) -> torch.Tensor:
    """Five steps of Jordan's polynomial on all singular values, by way of the decomposition."""
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    s = s / s.norm()
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return u * s @ v
