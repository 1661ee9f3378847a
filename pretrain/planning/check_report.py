"""The plan of a run for a machine, as text: memory, time, cost, curves, and what is unverified."""

from collections.abc import Iterator

from pretrain.check import Plan
from pretrain.config import Pretrain
from pretrain.planning.curves import batch_segments, curves
from pretrain.planning.fitting import nearest_change, usable_bytes
from pretrain.planning.machine import Machine, checkpoints_held
from pretrain.planning.memory import MARGIN, Memory, checkpoint_bytes, estimate_memory, largest
from pretrain.planning.meta_build import RANKS_MAX, Built, disagreements
from pretrain.planning.stages import in_flight, stage_layers
from pretrain.planning.step_time import StepTime, step_time

# Storage where nothing is said: of all processes together.
SAVE_GIGABYTES_PER_SECOND = 2.0


def report(plan: Plan, machine: Machine, built: Built | None) -> str:
    """Sections of lines. `built` is what `meta_build` answered, None if it was not asked."""
    sections = [
        ("memory", list(_memory(plan, machine))),
        ("time", list(_time(plan, machine))),
        ("checkpoints", list(_checkpoints(plan, machine))),
        ("data", list(_data(plan))),
        ("schedule", curves(plan.recipe.pretrain.training)),
        ("stages", list(_stages(plan, built))),
        ("unverified", list(_unverified(plan.recipe.pretrain, machine))),
    ]
    lines: list[str] = []
    for title, content in sections:
        if content:
            lines += ["", title, *(f"  {line}" for line in content)]
    return "\n".join(lines)


def _memory(plan: Plan, machine: Machine) -> Iterator[str]:
    pretrain, padded = plan.recipe.pretrain, plan.padded_vocab_size
    stages = estimate_memory(pretrain, padded, "cpu" if machine.gpu is None else "cuda")
    layers = stage_layers(pretrain.model, pretrain.parallel)
    passes = pretrain.training.batch_size // (
        pretrain.training.micro_batch_size * pretrain.parallel.data
    )
    yield "gigabytes of each process, by pipeline stage"
    yield (
        f"{'stage':>5} {'layers':>6} {'in flight':>9} {'weights':>9} {'gradients':>9} "
        f"{'optimizer':>9} {'activations':>11} {'passing':>9} {'total':>9}"
    )
    for memory, group in _alike(stages, layers):
        held = in_flight(pretrain.parallel, memory.stage, passes)
        numbers = (memory.weights, memory.gradients, memory.optimizer)
        first = " ".join(f"{n / 1e9:>9.3f}" for n in numbers)
        yield (
            f"{group:>5} {layers[memory.stage]:>6} {held:>9.2f} {first} "
            f"{memory.activations / 1e9:>11.3f} {memory.passing / 1e9:>9.3f} "
            f"{memory.total / 1e9:>9.3f}"
        )
    if machine.gpu is None:
        yield "for processes on CPUs, and about 0.4 GB of libraries each; kind=h100 for GPUs"
        return
    most, usable = largest(stages).total, usable_bytes(machine.gpu)
    room = f"{usable / 1e9:.1f} GB, {1 - MARGIN:.0%} of the memory of {machine.gpu.description}"
    if most <= usable:
        yield f"fits: {most / 1e9:.1f} of {room}"
        return
    yield f"does not fit: {most / 1e9:.1f} GB, more than {room}"
    change = nearest_change(plan.recipe, padded, machine.gpu)
    if change is None:
        yield "no change of one or two keys makes it fit, nor twice the GPUs: a smaller model"
    else:
        more = "" if change.gpus == pretrain.parallel.world_size else f", on {change.gpus} GPUs"
        yield (
            f"fits with {' '.join(change.overrides)}{more}: {change.memory_bytes / 1e9:.1f} GB "
            "(tried, and the fastest of those that do)"
        )


def _alike(stages: tuple[Memory, ...], layers: tuple[int, ...]) -> Iterator[tuple[Memory, str]]:
    """The first, the last, and the stages between them that need most or differ in layers."""
    shown = {0, len(stages) - 1}
    if len(stages) <= 8:
        shown |= set(range(len(stages)))
    shown.add(largest(stages).stage)
    shown |= {s for s in range(1, len(stages)) if layers[s] != layers[s - 1]}
    for stage in sorted(shown):
        yield stages[stage], str(stage)


def _time(plan: Plan, machine: Machine) -> Iterator[str]:
    pretrain, gpu = plan.recipe.pretrain, machine.gpu
    if gpu is None:
        yield "no estimate without a kind of GPU: kind=h100"
        return
    training, gpus = pretrain.training, pretrain.parallel.world_size
    parts = step_time(pretrain, plan.padded_vocab_size, gpu)
    tokens = training.batch_size * pretrain.model.sequence_length
    flops = plan.result("running").flops / plan.wanted_tokens * tokens
    teraflops = flops / parts.total / gpus / 1e12
    peak = gpu.peak_teraflops[training.precision]
    yield (
        f"one update: {parts.total:.3f} s, {tokens / parts.total:,.0f} tokens/s, "
        f"{teraflops:,.0f} TFLOP/s of each GPU, MFU {teraflops / peak:.1%}"
    )
    yield "of which " + ", ".join(_shares(parts))
    updates = sum(
        count * step_time(pretrain, plan.padded_vocab_size, gpu, batch_size=size).total
        for count, size in batch_segments(training)
    )
    # A validation is forward passes alone, a third of an update's work.
    rounds = 1 + (training.iterations // training.valid_interval if training.valid_interval else 0)
    valid = rounds * training.valid_batches * parts.total / 3
    saves = training.iterations // pretrain.checkpoint.interval_iterations + 1
    blocking = 0.0 if pretrain.checkpoint.asynchronous else saves * _save_seconds(plan, machine)
    hours = (updates + valid + blocking) / 3600
    yield (
        f"the run: {hours:,.2f} hours = {hours / 24:,.2f} days (updates {updates / 3600:,.2f} h, "
        f"validation at most {valid / 3600:,.2f} h, checkpoints {blocking / 3600:,.2f} h)"
    )
    cost = f"{gpus:,} GPUs x {hours:,.2f} h = {gpus * hours:,.0f} GPU hours"
    if machine.price is not None:
        cost += f" x ${machine.price:g} = ${gpus * hours * machine.price:,.0f}"
    yield cost


def _shares(parts: StepTime) -> Iterator[str]:
    for name, seconds in vars(parts).items():
        if seconds / parts.total >= 0.005:
            yield f"{name.replace('_', ' ')} {seconds / parts.total:.0%}"


def _save_seconds(plan: Plan, machine: Machine) -> float:
    rate = machine.save_gigabytes_per_second or SAVE_GIGABYTES_PER_SECOND
    return checkpoint_bytes(plan.recipe.pretrain, plan.padded_vocab_size) / 1e9 / rate


def _checkpoints(plan: Plan, machine: Machine) -> Iterator[str]:
    pretrain = plan.recipe.pretrain
    each = checkpoint_bytes(pretrain, plan.padded_vocab_size)
    held = checkpoints_held(pretrain)
    rate = machine.save_gigabytes_per_second or SAVE_GIGABYTES_PER_SECOND
    assumed = "" if machine.save_gigabytes_per_second else " (assumed)"
    yield (
        f"{each / 1e9:,.3f} GB each, {_save_seconds(plan, machine):,.1f} s at {rate:g} GB/s"
        f"{assumed}; at most {held} at once, {held * each / 1e9:,.2f} GB"
    )


def _data(plan: Plan) -> Iterator[str]:
    sources = plan.tokens.facts["by_source"]["train"]
    for part in plan.coverage:
        yield (
            f"{part.source}, stage {part.stage}: {part.weight:.1%}, {part.tokens:,} tokens, "
            f"{part.epochs:.2f} epochs of its {sources[part.source]['tokens']:,}"
        )
    yield f"{plan.wanted_tokens:,} tokens wanted = {plan.epochs:.2f} epochs"
    for number, stage in enumerate(plan.recipe.pretrain.data.stages, start=1):
        length = stage.sequence_length or "as before"
        weights = ", ".join(f"{n} {w:g}" for n, w in stage.weights.items()) or "as before"
        yield (
            f"stage {number} from iteration {stage.start_iteration:,}: sequence length {length}, "
            f"weights {weights}"
        )


def _stages(plan: Plan, built: Built | None) -> Iterator[str]:
    if built is None:
        return
    pretrain, padded = plan.recipe.pretrain, plan.padded_vocab_size
    parallel = pretrain.parallel
    wrong = disagreements(built, pretrain, padded)
    whole = parallel.tensor * parallel.pipeline <= RANKS_MAX
    ranks = "all ranks" if whole else "first and last tensor rank of each stage"
    yield (
        f"{len(built.parameters)} ranks of {parallel.pipeline} stages built on the meta device in "
        f"{built.seconds:.1f} s ({ranks})"
    )
    counts = [built.parameters[stage, 0] for stage in range(parallel.pipeline)]
    yield f"parameters of a rank: {min(counts):,} to {max(counts):,}"
    yield from wrong or ["as many as the estimate counts, to the unit"]


def _unverified(pretrain: Pretrain, machine: Machine) -> Iterator[str]:
    """What only a GPU can prove."""
    gpu, precision = machine.gpu, pretrain.training.precision
    if gpu is None:
        return
    yield "memory: counted as on a CPU, with the kernels of a GPU; never measured on one here"
    if gpu.kind == "h100" and precision == "bf16":
        yield "time: constants fitted to Megatron-LM's runs on H100, not to runs of this program"
    else:
        yield f"time: constants are those of H100 in bf16, not of {gpu.description} in {precision}"
    if precision == "fp8":
        yield "fp8: every number, also whether all matrix products reach that peak"
    if pretrain.parallel.context > 1:
        yield "context parallelism: the exchange of keys and values is not counted"
    if pretrain.model.experts.count:
        yield "experts: as if every expert saw as many tokens; no published run was compared"
    if pretrain.training.optimizer == "muon":
        yield "Muon: its matrix products are not counted"
    if machine.save_gigabytes_per_second is None:
        yield f"storage: {SAVE_GIGABYTES_PER_SECOND:g} GB/s is a guess (save_gigabytes_per_second=)"
