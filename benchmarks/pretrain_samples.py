"""What a small run has learnt to say: text drawn from its last checkpoint, token by token.

    python -m benchmarks.pretrain_samples RUN

The weights are read by the run's own loader and put into the plain PyTorch reference, which has a
forward pass that is short and easy to read; that both give the same losses is a test's matter
(`tests/pretrain/test_plain.py`).
"""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import torch
import typer

from launch import torchrun
from launch.recipe import Recipe, load_recipe
from pretrain.check import Plan, make_plan
from tests.pretrain.plain_reference import Batch, Decoder
from tokenizer.contract import open_tokenizer

PROMPTS = (
    "The", "In the year", "The function returns", "\"I do not know,\" said",
    "To install the package,", "Linux", "我们", "如果你想", "在命令行中", "他说",
)  # fmt: skip


def main(
    run: Path,
    length: Annotated[int, typer.Option(help="Most tokens of a sample.")] = 60,
    temperature: Annotated[float, typer.Option(help="0: the likeliest token each time.")] = 0.7,
    top: Annotated[int, typer.Option(help="Likeliest tokens that are drawn from.")] = 40,
    seed: Annotated[int, typer.Option(help="What tokens are drawn by.")] = 1,
) -> None:
    """Print a JSON line with prompt and text for each prompt."""
    torch.set_num_threads(1)
    tables = load_recipe(run / "recipe.toml").to_dict()
    tables["pretrain"]["parallel"] = {}
    plan = make_plan(Recipe.from_dict(tables))
    model, iteration = load_plain(run, plan)
    tokenizer = open_tokenizer(plan.recipe.tokenizer_directory)
    end = plan.tokens.facts["eod_id"]
    generator = torch.Generator().manual_seed(seed)
    for prompt in PROMPTS:
        ids = [end, *tokenizer.encode(prompt).tolist()]
        while len(ids) < length and (len(ids) < 2 or ids[-1] != end):
            logits = next_logits(model, ids)[: len_vocabulary(plan)]
            ids.append(draw_token(logits, temperature, top, generator))
        text = tokenizer.decode([token for token in ids if token != end])
        print(json.dumps({"iteration": iteration, "prompt": prompt, "text": text},
                         ensure_ascii=False), flush=True)  # fmt: skip


def len_vocabulary(plan: Plan) -> int:
    """Ids that the tokenizer can write; those above only pad the matrix."""
    return int(plan.tokens.facts["vocab_size"])


def load_plain(run: Path, plan: Plan) -> tuple[Decoder, int]:
    """The run's last weights in the plain model, and the number of updates they have seen."""
    from pretrain import model, parallel
    from pretrain.saving import checkpoint

    pretrain, seed = plan.recipe.pretrain, plan.recipe.run.seed
    world = parallel.start(pretrain.parallel, seed)
    stage = model.build(pretrain, plan.padded_vocab_size, seed, world)
    iteration = checkpoint.load_weights(run / "checkpoints", stage, world)
    plain = Decoder(pretrain.model, plan.padded_vocab_size)
    ours = {name: value for name, value in stage.models[0].state_dict().items()
            if isinstance(value, torch.Tensor)}  # fmt: skip
    wanted = plain.state_dict()
    for name, value in wanted.items():
        candidates = (f"decoder.{name}", f"embedding.{name}", name)
        found = [candidate for candidate in candidates if candidate in ours]
        if name == "output_layer.weight" and not found:  # tied
            continue
        assert len(found) == 1 and ours[found[0]].shape == value.shape, (name, found, list(ours))
        value.copy_(ours[found[0]])
    plain.load_state_dict(wanted)
    return plain.eval(), iteration


@torch.no_grad()
def next_logits(model: Decoder, ids: list[int]) -> torch.Tensor:
    """Logits, float32 [vocabulary], of the token after the last `sequence_length` of `ids`."""
    tokens = torch.tensor([ids[-model.shape.sequence_length :]])
    batch = Batch(tokens, tokens, torch.ones_like(tokens, dtype=torch.float32), None)
    kept: list[torch.Tensor] = []
    hook = model.output_layer.register_forward_hook(lambda *each: kept.append(each[2]))
    model(batch)
    hook.remove()
    return kept[0][0, -1]


def draw_token(
    logits: torch.Tensor, temperature: float, top: int, generator: torch.Generator
) -> int:
    """One of the `top` likeliest tokens, by their probability at `temperature`."""
    if temperature == 0:
        return int(logits.argmax())
    values, indices = logits.topk(top)
    chances = (values / temperature).softmax(-1)
    return int(indices[torch.multinomial(chances, 1, generator=generator)])


if __name__ == "__main__":
    if "RANK" not in os.environ:
        # glibc reads its settings when a process starts (see launch/torchrun.py).
        variables = torchrun.environment(1) | torchrun.single_process_environment()
        again = [sys.executable, "-m", "benchmarks.pretrain_samples", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, **variables})
    typer.run(main)
