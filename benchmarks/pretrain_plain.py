"""A run of the plain PyTorch reference on the batches of a recipe, to compare losses with.

    python -m benchmarks.pretrain_plain samples RECIPE samples.npz
    python -m benchmarks.pretrain_plain train RECIPE samples.npz plain.jsonl

`samples` writes what the recipe's run trains on, in order, and what it validates on; `train` reads
nothing but that file, the recipe's numbers and the size of the vocabulary. One process, float32.
A run that was ended goes on from `plain.pt`, which it writes after each validation.
"""

import json
import os
import sys
from pathlib import Path
from typing import IO, Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
import typer

from launch import torchrun
from launch.recipe import load_recipe
from pretrain.check import Plan, make_plan
from tests.pretrain.plain_reference import Batch, Decoder, Trainer, draw

app = typer.Typer(help=__doc__, pretty_exceptions_enable=False)


@app.command()
def samples(recipe: Path, target: Path) -> None:
    """Write all samples of a run of `recipe`, whose tokens must be encoded, to an .npz file.

    `tokens` [n, S + 1], `mask` and `positions` [n, S], `sizes` [iterations], and the same three of
    the validation with the prefix `valid_`. Without document masks there are no positions.
    """
    from pretrain import parallel
    from pretrain.data.batches import Batches, shared_order
    from pretrain.data.validation import ValidationSequences
    from pretrain.schedule import batch_size

    plan = make_plan(load_recipe(recipe, ["pretrain.parallel={}"]))
    pretrain = plan.recipe.pretrain
    world = parallel.start(pretrain.parallel, plan.recipe.run.seed)
    data = Batches(shared_order(plan.recipe, plan.tokens, world), pretrain, world, bool)
    iterations = range(pretrain.training.iterations)
    batches = [batch for i in iterations for batch in data.iteration(i)]
    data.close()
    sequences = ValidationSequences(plan.recipe, plan.tokens)
    chosen = sequences.chosen(pretrain.training.valid_batches * pretrain.training.batch_size)
    valid = [sequences.batch([index]) for index in chosen]
    arrays = {
        **_arrays(batches, plan),
        **{f"valid_{k}": v for k, v in _arrays(valid, plan).items()},
    }
    sizes = np.array([batch_size(pretrain.training, i) for i in iterations])
    np.savez(target, sizes=sizes, **arrays)


def _arrays(batches: list[Any], plan: Plan) -> dict[str, npt.NDArray[Any]]:
    dtype = np.uint16 if plan.padded_vocab_size < 65_536 else np.int32
    tokens = torch.cat([torch.cat((b.tokens, b.labels[:, -1:]), dim=1) for b in batches])
    labels, mask = (torch.cat([getattr(b, name) for b in batches]) for name in ("labels", "mask"))
    assert torch.equal(labels * mask.long(), tokens[:, 1:] * mask.long())
    arrays = {"tokens": tokens.numpy().astype(dtype), "mask": mask.numpy().astype(np.bool_)}
    if batches[0].borders is not None:
        arrays["positions"] = torch.cat([b.positions for b in batches]).numpy().astype(np.int32)
    return arrays


@app.command()
def train(
    recipe: Path,
    source: Path,
    target: Path,
    micro_batch: Annotated[int, typer.Option(help="Sequences at once; 0: the recipe's.")] = 0,
    log_interval: Annotated[int, typer.Option(help="Iterations between two lines.")] = 10,
    iterations: Annotated[int, typer.Option(help="Stop here; 0: the file's last.")] = 0,
    threads: Annotated[int, typer.Option(help="Threads of torch.")] = 1,
) -> None:
    """Train the reference on a file of samples; `target` gets a JSON line with the loss at each
    interval, and one with the validation loss at the recipe's intervals and at the end."""
    torch.set_num_threads(threads)
    plan = make_plan(load_recipe(recipe, []))
    pretrain = plan.recipe.pretrain
    training = pretrain.training
    at_once = micro_batch or training.micro_batch_size
    model = Decoder(pretrain.model, plan.padded_vocab_size)
    draw(model, plan.recipe.run.seed)
    trainer = Trainer(model, training, fused=True)
    assert not trainer.muon
    with np.load(source) as arrays:
        data = {name: arrays[name] for name in arrays.files}
    sizes = data["sizes"].tolist()
    last, begin = iterations or len(sizes), _restore(model, trainer, target)
    with target.open("a", encoding="utf-8") as lines:
        for iteration in range(begin, last):
            first = sum(sizes[:iteration])
            batches = [_batch(data, "", i, min(i + at_once, first + sizes[iteration]))
                       for i in range(first, first + sizes[iteration], at_once)]  # fmt: skip
            loss, norm = trainer.iteration(iteration, batches)
            done = iteration + 1
            at_end = done == last
            if done == 1 or at_end or done % log_interval == 0:
                _say(lines, iteration=done, loss=loss, gradient_norm=norm)
            if at_end or (training.valid_interval and done % training.valid_interval == 0):
                _say(lines, iteration=done, loss_valid=_validate(model, data, at_once))
                _save(model, trainer, target, done)


def _restore(model: Decoder, trainer: Trainer, target: Path) -> int:
    """The iterations that a run with this target has done; its weights and moments are loaded and
    the lines after them taken off."""
    state_file = target.with_suffix(".pt")
    if not state_file.exists():
        target.write_text("", encoding="utf-8")
        return 0
    state = torch.load(state_file, weights_only=True)
    model.load_state_dict(state["model"])
    trainer.adamw.load_state_dict(state["adamw"])
    lines = target.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["iteration"] <= state["iterations"]]
    target.write_text("".join(kept), encoding="utf-8")
    return int(state["iterations"])


def _save(model: Decoder, trainer: Trainer, target: Path, iterations: int) -> None:
    unfinished = target.with_suffix(".pt.new")
    state = {"model": model.state_dict(), "adamw": trainer.adamw.state_dict()}
    torch.save({**state, "iterations": iterations}, unfinished)
    unfinished.replace(target.with_suffix(".pt"))


@torch.no_grad()
def _validate(model: Decoder, data: dict[str, npt.NDArray[Any]], at_once: int) -> float:
    number, total, count = len(data["valid_tokens"]), 0.0, 0.0
    for start in range(0, number, at_once):
        batch = _batch(data, "valid_", start, min(start + at_once, number))
        total += float((model(batch) * batch.mask).double().sum())
        count += float(batch.mask.double().sum())
    return total / count


def _batch(data: dict[str, npt.NDArray[Any]], prefix: str, start: int, stop: int) -> Batch:
    tokens = torch.from_numpy(data[f"{prefix}tokens"][start:stop].astype(np.int64))
    mask = torch.from_numpy(data[f"{prefix}mask"][start:stop].astype(np.float32))
    positions = data.get(f"{prefix}positions")
    return Batch(
        tokens[:, :-1],
        tokens[:, 1:],
        mask,
        None if positions is None else torch.from_numpy(positions[start:stop].astype(np.int64)),
    )


def _say(lines: IO[str], **values: float) -> None:
    print(json.dumps(values), file=lines, flush=True)


if __name__ == "__main__":
    if "RANK" not in os.environ:
        # glibc reads its settings when a process starts (see launch/torchrun.py).
        variables = torchrun.environment(1) | torchrun.single_process_environment()
        again = [sys.executable, "-m", "benchmarks.pretrain_plain", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, **variables})
    app()
