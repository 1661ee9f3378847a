"""Everything that can be said about a run before it is started, without torch.

`make_plan` raises `UserError` for what cannot work and otherwise returns the numbers that a person
wants to see first; `launcher` and every trainer go through it.
"""

from dataclasses import dataclass

from launch.errors import UserError
from launch.manifest import Manifest, digest_json
from launch.recipe import Recipe
from pretrain import flops
from pretrain.config import Parallel
from pretrain.contract import FLOPS_CONVENTION, Layout, RunResult, Status
from pretrain.data.sources import SourceCoverage, coverage, order_stages, positions_before
from pretrain.layout_rules import check_layout
from pretrain.planning.memory import estimate_memory, largest
from pretrain.saving import branch
from pretrain.schedule import first_sample
from pretrain.view.follow import check_installed
from tokenizer.contract import VOCAB_MULTIPLE, open_tokens


@dataclass(frozen=True)
class Plan:
    """A run that may be started, in numbers."""

    recipe: Recipe
    tokens: Manifest
    padded_vocab_size: int
    train_tokens: int
    valid_tokens: int
    tokens_per_byte: float  # of the validation split, end-of-document tokens included
    wanted_tokens: int
    epochs: float
    coverage: tuple[SourceCoverage, ...]
    """What each stage takes from each source"""

    @property
    def config(self) -> dict[str, object]:
        """What the run's result depends on, beside its inputs."""
        return {
            "pretrain": self.recipe.to_dict()["pretrain"],
            "seed": self.recipe.run.seed,
        }

    def result(self, status: Status) -> RunResult:
        """The result of the run as far as it is known before the run."""
        recipe = self.recipe
        shape, training = recipe.pretrain.model, recipe.pretrain.training
        return RunResult(
            name=recipe.run.name,
            status=status,
            parameters_total=flops.total_parameters(shape, self.padded_vocab_size),
            parameters_nonembedding=flops.nonembedding_parameters(shape),
            parameters_active=flops.active_parameters(shape, self.padded_vocab_size),
            padded_vocab_size=self.padded_vocab_size,
            layers=shape.layers,
            hidden_size=shape.hidden_size,
            heads=shape.heads,
            kv_heads=shape.kv_heads,
            ffn_size=shape.ffn_size,
            sequence_length=shape.sequence_length,
            batch_size=training.batch_size,
            iterations=training.iterations,
            tokens=self.wanted_tokens,
            epochs=self.epochs,
            flops=flops.training_flops(shape, self.padded_vocab_size, self.wanted_tokens),
            flops_convention=FLOPS_CONVENTION,
            lr_peak=training.lr_peak,
            schedule=training.schedule,
            seed=recipe.run.seed,
            tokenizer_digest=self.tokens.facts["tokenizer_digest"],
            tokens_digest=self.tokens.files_digest,
            config_digest=digest_json(self.config),
            layout=layout_of(recipe.pretrain.parallel),
        )


def layout_of(parallel: Parallel) -> Layout:
    """The part of `parallel` that says which process holds what."""
    return Layout(**parallel.model_dump(include=set(Layout.model_fields)))


def check_recipe(recipe: Recipe) -> None:
    """Raise `UserError` if no corpus could make this recipe run: the layout against the model."""
    check_layout(recipe.pretrain)


def make_plan(recipe: Recipe) -> Plan:
    """Check the recipe against its encoded corpus.

    Raises `UserError` if the layout does not fit the model, or the corpus is absent, too small, or
    would be repeated more often than `training.epochs_max`.
    """
    tokens = open_tokens(recipe.tokens, verify=False)
    padded = int(tokens.facts["padded_vocab_size"])
    check_layout(recipe.pretrain, padded)
    shape, training = recipe.pretrain.model, recipe.pretrain.training
    _check_padded_vocabulary(tokens, f"{recipe.tokens}")
    splits = tokens.facts["splits"]
    available, valid = int(splits["train"]["tokens"]), int(splits["valid"]["tokens"])
    needed = shape.sequence_length + 1
    if available < needed:
        raise UserError(
            f"{recipe.tokens}: train", f"{available:,} tokens", f"at least {needed}",
            "a larger corpus, or a shorter pretrain.model.sequence_length",
        )  # fmt: skip
    if valid < 2:
        raise UserError(
            f"{recipe.tokens}: valid", f"{valid} tokens", "at least 2 to measure a loss on",
            "a larger dataprep.valid_fraction",
        )  # fmt: skip
    covered = coverage(recipe.pretrain, tokens.facts)
    stages = order_stages(recipe.pretrain, tokens.facts)
    wanted = positions_before(stages, first_sample(training, training.iterations))
    check_installed(recipe.pretrain.metrics)
    branch.origin(recipe, tokens)
    return Plan(
        recipe=recipe,
        tokens=tokens,
        padded_vocab_size=padded,
        train_tokens=available,
        valid_tokens=valid,
        tokens_per_byte=valid / int(splits["valid"]["text_bytes"]),
        wanted_tokens=wanted,
        epochs=wanted / available,
        coverage=covered,
    )


def _check_padded_vocabulary(tokens: Manifest, where: str) -> None:
    """Every id must have a row in the model's embedding, and no layout may change the number of
    rows: so it is a multiple of VOCAB_MULTIPLE, not below the tokenizer's size."""
    padded, size = int(tokens.facts["padded_vocab_size"]), int(tokens.facts["vocab_size"])
    if padded < size or padded % VOCAB_MULTIPLE:
        raise UserError(
            f"{where}: padded_vocab_size", f"{padded:,}",
            f"a multiple of {VOCAB_MULTIPLE:,}, at least the tokenizer's {size:,} ids",
            "encode the corpus again: gristmill tokenizer encode RECIPE --force",
        )  # fmt: skip


def describe(plan: Plan) -> str:
    """The plan as lines for a person."""
    recipe, result = plan.recipe, plan.result("running")
    shape, parallel = recipe.pretrain.model, recipe.pretrain.parallel
    training = recipe.pretrain.training
    memory = largest(estimate_memory(recipe.pretrain, plan.padded_vocab_size, "cpu"))
    megabytes = [
        f"{name} {getattr(memory, name) / 1e6:,.0f}"
        for name in ("weights", "gradients", "optimizer", "activations")
    ]
    passes = training.batch_size // (training.micro_batch_size * parallel.data)
    lines = {
        "run": f"{recipe.run.name} in {recipe.run_directory}",
        "model": f"{result.parameters_total:,} parameters, {result.parameters_nonembedding:,} of "
        f"them outside the embeddings; {shape.layers} layers, width {shape.hidden_size}, "
        f"sequences of {shape.sequence_length}, vocabulary {plan.padded_vocab_size:,}",
        "layout": f"tensor {parallel.tensor} x pipeline {parallel.pipeline} x data "
        f"{parallel.data} = {parallel.world_size} processes",
        "batch": f"{training.batch_size} sequences = "
        f"{training.batch_size * shape.sequence_length:,} tokens, in {passes} micro-batches of "
        f"{training.micro_batch_size} on each data rank",
        "length": f"{training.iterations:,} iterations = {plan.wanted_tokens:,} tokens = "
        f"{plan.epochs:.2f} epochs of {plan.train_tokens:,}; {result.flops:.3g} FLOP",
        "schedule": f"{training.schedule}, {training.warmup_iterations} iterations of warm-up, "
        f"peak {training.lr_peak:g}, {training.precision}",
        "memory": f"{memory.total / 1e6:,.0f} MB for the largest process "
        f"({', '.join(megabytes)}), and the libraries",
    }
    return "\n".join(f"{key:<9} {value}" for key, value in lines.items())
