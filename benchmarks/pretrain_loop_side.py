"""What `pretrain_loop` measures, in one process of a run: `python -m benchmarks.pretrain_loop_side
QUESTION` with the environment of a trainer; the answer is one line of JSON."""

import dataclasses
import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from launch.recipe import Recipe
from pretrain import megatron, optimizer, parallel, train
from pretrain.check import Plan, make_plan
from pretrain.data.batches import Batches, shared_order
from pretrain.iteration import pass_through
from pretrain.model import Stage
from pretrain.safety import garbage
from pretrain.safety.watchdog import Watchdog
from pretrain.schedule import learning_rate, num_micro_batches
from pretrain.stability import LoopState
from tests.pretrain.conftest import write_tokens
from tests.pretrain.loop_command import NoStop, counted
from tests.pretrain.plain_command import run_both

VOCABULARY = 8_192


class Enough(Exception):
    """The segment is over."""


class After(NoStop):
    """In the place of the stop request: asked once for each iteration, it ends a segment."""

    def __init__(self, iterations: int) -> None:
        self._left = iterations

    @property
    def is_set(self) -> bool:  # type: ignore[override]
        """Raises `Enough` when it was asked often enough."""
        self._left -= 1
        if not self._left:
            raise Enough
        return False


def plan_of(root: Path, **tables: dict[str, Any]) -> Plan:
    """The defaults (2.8M parameters, sequence 256, batch 8) on made-up tokens."""
    pretrain = {
        **tables,
        "training": {
            "iterations": 100_000, "epochs_max": 1e9, "valid_interval": 0,
            **tables.get("training", {}),
        },
        "checkpoint": {"interval_iterations": 100_000},
    }  # fmt: skip
    recipe = Recipe.from_dict({"run": {"root": str(root), "name": "r"}, "pretrain": pretrain})
    recipe.run_directory.mkdir(parents=True, exist_ok=True)
    return dataclasses.replace(make_plan(recipe), padded_vocab_size=VOCABULARY)


def set_up(plan: Plan) -> train.Run:
    """A run as the trainer sets it up, with its watchdog, which lives as long as the process."""
    stop: Any = NoStop()
    watch = Watchdog(plan.recipe.pretrain.watch, plan.recipe.run_directory, stop).__enter__()
    return train.set_up(plan, stop, watch)


def begin(run: train.Run) -> LoopState:
    """What the trainer does between setting up and the loop."""
    state = train.resume(run)
    gc.disable()
    garbage.freeze(run.plan.recipe.pretrain.watch.collect_garbage_iterations)
    return state


def segment(run: train.Run, state: LoopState, iterations: int) -> None:
    """The real loop for some iterations; it should not end with one that a line follows, for the
    segment ends before it."""
    try:
        stop = After(iterations + 1)
        train.iterate(dataclasses.replace(run, stop=stop), state)  # type: ignore[arg-type]
    except Enough:
        return


def speed(root: Path, times: int = 9, iterations: int = 10) -> dict[str, Any]:
    """Our loop and the bare one in turns, each in segments of ten iterations."""
    plan = plan_of(root)
    run = set_up(plan)
    state = begin(run)
    bare = bare_loop(plan, run)
    rates: dict[str, list[float]] = {"ours": [], "bare": []}
    tokens = iterations * plan.recipe.pretrain.training.batch_size * 256
    segment(run, state, 1)
    for turn in range(-1, times):  # the first turn warms up
        for name, loop in (("ours", lambda: segment(run, state, iterations)), ("bare", bare)):
            begun = time.perf_counter()
            loop()
            if turn >= 0:
                rates[name].append(tokens / (time.perf_counter() - begun))
    ratios = [ours / theirs for ours, theirs in zip(*rates.values(), strict=True)]
    return {
        "ratio": round(statistics.median(ratios), 4),
        **{f"{k}_tokens_per_second": round(statistics.median(v)) for k, v in rates.items()},
    }


def bare_loop(plan: Plan, run: train.Run, iterations: int = 10) -> Callable[[], None]:
    """Megatron-core alone on the same model: its schedule, its reduction, its optimizer around
    torch's AdamW, which it takes without Apex and Transformer Engine; and nothing else."""
    from pretrain import model

    pretrain, training = plan.recipe.pretrain, plan.recipe.pretrain.training
    stage = model.build(pretrain, plan.padded_vocab_size, 1, run.world)
    stage.models[0].config.finalize_model_grads_func = megatron.megatron_finalize
    core, distributed = megatron.megatron_optimizer, megatron.distrib_optimizer
    core.Adam = distributed.Adam = torch.optim.AdamW
    core.USING_PYTORCH_OPTIMIZER = True
    distributed.HAVE_APEX_OR_TE = False
    adam = core.get_megatron_optimizer(
        megatron.OptimizerConfig(
            optimizer="adam", lr=training.lr_peak, weight_decay=training.weight_decay,
            adam_beta2=training.beta2, clip_grad=training.clip, use_distributed_optimizer=True,
        ),
        list(stage.wrapped), use_gloo_process_groups=False,
    )  # fmt: skip
    batches = Batches(shared_order(plan.recipe, plan.tokens, run.world), pretrain, run.world, bool)
    done = 0

    def loop() -> None:
        nonlocal done
        for _ in range(iterations):
            for wrapped in stage.wrapped:
                wrapped.zero_grad_buffer()
            adam.zero_grad()
            pass_through(
                stage, batches.iteration(done),
                sequence_length=batches.sequence_length(done),
                num_micro_batches=num_micro_batches(training, 1, done),
                micro_batch_size=training.micro_batch_size, backward=True,
            )  # fmt: skip
            for group in adam.param_groups:
                group["lr"] = learning_rate(training, done)
            adam.step()
            done += 1

    return loop


class Null(torch.nn.Module):
    """A model that does nothing."""

    def __init__(self, config: Any, model_type: Any, length: int) -> None:
        super().__init__()
        self.config = config
        self.model_type = model_type
        self.max_sequence_length = length
        self.weight = torch.nn.Parameter(torch.ones(8, 8))

    def set_input_tensor(self, _tensor: Any) -> None:
        """There is no stage before."""

    def forward(self, tokens: torch.Tensor, *_others: Any, **_more: Any) -> torch.Tensor:
        """Losses of 0 that depend on the weight, float32 [B, S]."""
        return (self.weight.sum() * 0.0).expand(tokens.shape)


def overhead(root: Path, times: int = 9, iterations: int = 100) -> dict[str, Any]:
    """The real loop around `Null`: batches, schedule, reduction, verdict, update, vote, lines."""
    plan = plan_of(
        root,
        model={"layers": 1, "hidden_size": 32, "heads": 4, "sequence_length": 32},
        training={"batch_size": 4, "micro_batch_size": 4},
    )
    run = set_up(plan)
    real = run.stage.models[0]
    null = Null(real.config, real.model_type, 32)
    wrapped = megatron.DistributedDataParallel(
        null.config,
        megatron.DistributedDataParallelConfig(
            use_distributed_optimizer=True, grad_reduce_in_fp32=True
        ),
        null,
    )
    stage = Stage((null,), (wrapped,))
    run = dataclasses.replace(
        run, stage=stage, optimizer=optimizer.build(plan.recipe.pretrain.training, stage)
    )
    state = begin(run)
    segment(run, state, 21)
    spans, shares = [], []
    for _ in range(times):
        begun, used = time.perf_counter(), time.process_time()
        segment(run, state, iterations)
        spans.append((time.perf_counter() - begun) / iterations * 1e3)
        shares.append((time.process_time() - used) / iterations * 1e3)
    begun = time.perf_counter()
    for iteration in range(iterations):
        list(run.batches.iteration(iteration))
    data = (time.perf_counter() - begun) / iterations * 1e3
    return {
        "milliseconds": round(statistics.median(spans), 3),
        "processor_milliseconds": round(statistics.median(shares), 3),
        "of_which_batches": round(data, 3),
    }


def reads(root: Path) -> dict[str, int]:
    """Readings between log lines, for each kind of update."""
    found = {}
    for kind in ({}, {"optimizer": "muon"}, {"precision": "bf16"}, {"precision": "fp16"}):
        name = next(iter(kind.values()), "adamw")
        small = {"layers": 2, "hidden_size": 32, "heads": 4, "ffn_size": 64, "sequence_length": 32}
        plan = plan_of(root / name, model=small, training=kind)
        run = set_up(plan)
        state = begin(run)
        with counted(run.judge) as between:
            segment(run, state, 41)
        found[name] = sum(sum(counts.values()) for counts in between)
    return found


def plain(root: Path, kind: str) -> dict[str, float]:
    """Differences from the reference at the defaults."""
    tables = plan_of(root, training={"optimizer": kind, "iterations": 20}).recipe.to_dict()
    answer = run_both(tables, str(root / "work"), plain=20)

    def largest(name: str) -> float:
        pairs = zip(answer[name], answer[f"plain_{name}"], strict=True)
        return max(abs(ours - theirs) / abs(theirs) for ours, theirs in pairs)

    falls = 1 - answer["losses"][-1] / answer["losses"][0]
    return {"loss": largest("losses"), "norm": largest("norms"), "falls_by": round(falls, 3)}


def main(question: str) -> None:
    """Answer one question."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        write_tokens(root / "tokens", train_documents=2_000)
        for name in ("adamw", "muon", "bf16", "fp16"):
            (root / name).mkdir()
            (root / name / "tokens").symlink_to(root / "tokens")
        parallel.start(plan_of(root).recipe.pretrain.parallel, 1)
        head, _, kind = question.partition("-")
        answers: dict[str, Callable[..., Any]] = {
            "speed": speed, "overhead": overhead, "reads": reads, "plain": plain,
        }  # fmt: skip
        print(json.dumps(answers[head](root, *[kind] * bool(kind))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
