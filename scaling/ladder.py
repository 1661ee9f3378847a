"""The ladder: every size with every token count, each as a complete recipe.

One schedule for all runs, ended with the run, as the laws assume (Hoffmann et al. 2022, section 3:
a cosine longer than the run costs loss and bends the fit). Layout 1 x 1 x 1, so that the runs can
be trained side by side.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any

from launch.errors import UserError
from launch.lock import lock
from launch.log import get_logger, timed
from launch.manifest import FILE_NAME as MANIFEST
from launch.manifest import Manifest, check_current, read_manifest
from launch.recipe import Recipe
from scaling.commit import commit
from scaling.config import Ladder, Shape
from scaling.flops import shape_of

KIND = "ladder"
VERSION = 1


@dataclass(frozen=True)
class Rung:
    """One run of the ladder."""

    name: str
    size: str
    tokens: int
    """Tokens it trains on: the recipe's count, rounded to whole iterations."""
    iterations: int
    recipe: Recipe


def rungs(recipe: Recipe) -> list[Rung]:
    """All runs, smallest first. Raises `UserError` if a recipe made from `recipe` is refused."""
    ladder = recipe.scaling.ladder
    return [_rung(recipe, size, tokens) for size, tokens in product(ladder.sizes, ladder.tokens)]


def run(recipe: Recipe, *, force: bool = False, dry_run: bool = False) -> Manifest | None:
    """The stage: write `scaling/ladder/NAME.toml` for every run, and the manifest.

    Returns the manifest (None for a dry run). Raises `UserError` if the encoded corpus, where it is
    there already, holds fewer tokens than a run wants: repeated tokens would bend the fit.
    """
    directory = recipe.scaling_directory / "ladder"
    log = get_logger("scaling")
    runs = rungs(recipe)
    config = _config(runs[0])
    current = check_current(directory, KIND, VERSION, config, (), force)
    if current is not None:
        log.info("ladder: up to date")
        return current
    _check_tokens(recipe, runs)
    if dry_run:
        print("\n".join(_lines(recipe, runs)))
        return None
    with lock(directory), timed(directory, "scaling ladder"):
        files = {f"{rung.name}.toml": _text(rung) for rung in runs}
        facts = {
            "runs": [
                {
                    "name": rung.name,
                    "recipe": f"{rung.name}.toml",
                    "size": rung.size,
                    "tokens": rung.tokens,
                    "iterations": rung.iterations,
                }
                for rung in runs
            ]
        }
        manifest = commit(
            directory, files, kind=KIND, version=VERSION, config=config, inputs=(), facts=facts
        )
    log.info("ladder: %d recipes in %s", len(runs), directory)
    return manifest


def peak_learning_rate(ladder: Ladder, hidden_size: int) -> float:
    """The rule of the ladder, which the planned run follows too; three significant digits."""
    ratio = ladder.hidden_reference / hidden_size
    return float(f"{ladder.lr_reference * ratio**ladder.lr_width_exponent:.3g}")


def schedule_table(ladder: Ladder, hidden_size: int, iterations: int) -> dict[str, Any]:
    """The keys of `[pretrain.training]` that the rule of the ladder decides."""
    peak = peak_learning_rate(ladder, hidden_size)
    return {
        "iterations": iterations,
        "schedule": ladder.schedule,
        "lr_peak": peak,
        "lr_min": float(f"{peak * ladder.lr_min_share:.3g}"),
        "warmup_iterations": round(ladder.warmup_share * iterations),
    }


def _rung(recipe: Recipe, size: Shape, tokens: int) -> Rung:
    ladder = recipe.scaling.ladder
    name = f"ladder-{size.name}-{tokens}"
    iteration_tokens = ladder.batch_size * ladder.sequence_length
    iterations = max(1, round(tokens / iteration_tokens))
    data = recipe.to_dict()
    data["run"]["name"] = name
    # The fit and the plan have no part in a ladder's run; their defaults stand in its recipe.
    data["scaling"] = {"ladder": data["scaling"]["ladder"]}
    pretrain = data["pretrain"]
    pretrain["parallel"] = {"tensor": 1, "pipeline": 1, "data": 1}
    pretrain["model"] |= {
        "layers": size.layers,
        "hidden_size": size.hidden_size,
        "heads": size.heads,
        "kv_heads": size.kv_heads,
        "ffn_size": size.ffn_size,
        "sequence_length": ladder.sequence_length,
    }
    pretrain["training"] |= schedule_table(ladder, size.hidden_size, iterations) | {
        "batch_size": ladder.batch_size,
        "micro_batch_size": ladder.micro_batch_size,
        "epochs_max": 1.0,
        "valid_interval": 0,
        "valid_batches": ladder.valid_batches,
        "log_interval": min(pretrain["training"]["log_interval"], max(1, iterations // 20)),
    }
    pretrain["checkpoint"] |= {"interval_iterations": iterations, "keep": 1}
    return Rung(name, size.name, iterations * iteration_tokens, iterations, Recipe.from_dict(data))


def _config(first: Rung) -> dict[str, Any]:
    """What the ladder depends on: its table, and what its runs take from the others.

    Read off the first run's recipe, where the ladder's own values have replaced the recipe's: a
    recipe that differs only in what the ladder replaces (the plan's, say) has the same ladder.
    """
    data = first.recipe.to_dict()
    table = data.pop("scaling")["ladder"]
    del data["execution"], data["run"]["name"]
    return {"ladder": table, "recipe": data}


def _check_tokens(recipe: Recipe, runs: list[Rung]) -> None:
    if not (recipe.tokens / MANIFEST).exists():
        return  # the ladder may be written before the corpus is; training checks it again
    facts = read_manifest(recipe.tokens, "tokens", 1).facts
    available = int(facts["splits"]["train"]["tokens"])
    greedy = [rung for rung in runs if rung.tokens > available]
    if greedy:
        raise UserError(
            "scaling.ladder.tokens", f"{greedy[0].tokens:,} tokens for {greedy[0].name}",
            f"at most the {available:,} that {recipe.tokens} holds",
            "the laws are for unrepeated tokens: fewer tokens, or a larger corpus",
        )  # fmt: skip


def _lines(recipe: Recipe, runs: list[Rung]) -> list[str]:
    """The plan of a dry run; parameters only where the vocabulary is known already."""
    vocabulary = None
    if (recipe.tokens / MANIFEST).exists():
        vocabulary = int(read_manifest(recipe.tokens, "tokens", 1).facts["padded_vocab_size"])
    lines = [f"ladder: {len(runs)} runs"]
    for rung in runs:
        line = f"  {rung.name}: {rung.tokens:,} tokens, {rung.iterations:,} iterations"
        if vocabulary is not None:
            model = rung.recipe.pretrain.model.model_dump(mode="json")
            line += f", {shape_of(model, vocabulary).parameters_total:,.0f} parameters"
        lines.append(line)
    return lines


def _text(rung: Rung) -> str:
    heading = (
        f"# Written by `gristmill scaling ladder`: size {rung.size}, {rung.tokens:,} tokens.\n"
        f"# It is a complete recipe: `gristmill pretrain run` trains it.\n\n"
    )
    return heading + rung.recipe.to_toml()
