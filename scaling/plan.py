"""Plan: the fit and a budget become the recipe of the next run.

`scaling/plan/plan.toml` is complete: `gristmill run` trains it on the same tokens. Its heading says
from which fit it comes, with which intervals, and how far it lies beyond what was measured. Beside
it lies the figure, `plan.png`.
"""

from typing import Any

from launch.lock import lock
from launch.log import get_logger, timed
from launch.manifest import Input, Manifest, check_current, read_manifest
from launch.recipe import Recipe
from scaling import fitted
from scaling.allocate import Planned, allocate
from scaling.commit import commit
from scaling.fitted import FitResult, read_fit
from scaling.ladder import schedule_table

KIND = "plan"
VERSION = 1
FILE_NAME = "plan.toml"
FIGURE_NAME = "plan.png"


def run(recipe: Recipe, *, force: bool = False, dry_run: bool = False) -> Manifest | None:
    """The stage: write plan, figure and manifest into `scaling/plan`; the facts hold the plan.

    Returns the manifest (None for a dry run). Raises `UserError` if the fit or the tokens are not
    there, or if no legal run fits the budget.
    """
    directory = recipe.scaling_directory / "plan"
    fit_directory = recipe.scaling_directory / "fit"
    log = get_logger("scaling")
    fit_manifest = read_manifest(fit_directory, fitted.KIND, fitted.VERSION)
    tokens = read_manifest(recipe.tokens, "tokens", 1)
    inputs = (Input("fit", fit_manifest.files_digest), Input("tokens", tokens.files_digest))
    result = read_fit(fit_directory / fitted.FILE_NAME)
    planned = allocate(
        result,
        recipe.scaling.plan,
        padded_vocab_size=int(tokens.facts["padded_vocab_size"]),
        tokens_available=int(tokens.facts["splits"]["train"]["tokens"]),
        tied_embeddings=recipe.pretrain.model.tied_embeddings,
    )
    following = planned_recipe(recipe, planned)
    config = _config(recipe, following)
    current = check_current(directory, KIND, VERSION, config, inputs, force)
    if current is not None:
        log.info("plan: up to date")
        return current
    if dry_run:
        print(planned.summary())
        return None
    # Here: matplotlib takes a second to import, which a plan that is current need not wait for.
    from scaling.plot import figure, png

    with lock(directory), timed(directory, "scaling plan"):
        files: dict[str, str | bytes] = {
            FILE_NAME: heading(planned, result) + following.to_toml(),
            FIGURE_NAME: png(figure(result, planned.to_json())),
        }
        manifest = commit(
            directory, files, kind=KIND, version=VERSION, config=config, inputs=inputs,
            facts={"planned": planned.to_json()},
        )  # fmt: skip
    for line in planned.summary().splitlines():
        log.info("%s", line)
    return manifest


def planned_recipe(recipe: Recipe, planned: Planned) -> Recipe:
    """The recipe with the planned shape, length, layout and learning rate. Raises `UserError`."""
    plan, shape = recipe.scaling.plan, planned.shape
    data = recipe.to_dict()
    data["run"]["name"] = plan.name
    # `gristmill run plan.toml` trains the planned run; it does not fit and plan again.
    data["scaling"]["enabled"] = False
    pretrain = data["pretrain"]
    pretrain["parallel"] = {
        "tensor": plan.tensor,
        "pipeline": plan.pipeline,
        "data": plan.data,
    }
    pretrain["model"] |= {
        "layers": shape.layers,
        "hidden_size": shape.hidden_size,
        "heads": shape.heads,
        "kv_heads": shape.kv_heads,
        "ffn_size": shape.ffn_size,
        "sequence_length": plan.sequence_length,
    }
    rule = schedule_table(recipe.scaling.ladder, shape.hidden_size, planned.iterations)
    pretrain["training"] |= rule | {
        "batch_size": plan.batch_size,
        "micro_batch_size": plan.micro_batch_size,
        "epochs_max": plan.epochs_max,
    }
    return Recipe.from_dict(data)


def heading(planned: Planned, result: FitResult) -> str:
    """The comment at the top of `plan.toml`."""
    law = result.chinchilla
    low, high = result.observed["flops"]
    lines = [
        "Written by `gristmill scaling plan`; a complete recipe: `gristmill run` trains it.",
        "",
        f"From a Chinchilla fit to {len(result.table['fitted'])} runs of {low:.3g} to {high:.3g} "
        f"FLOP (table {result.table['digest']}).",
        f"Intervals hold {100 * law.confidence:.0f} % of {len(law.samples)} bootstrap fits.",
        f"Exponents of compute: parameters {law.interval(lambda law: law.a)}, tokens "
        f"{law.interval(lambda law: law.b)}.",
        "",
        *planned.summary().splitlines(),
    ]
    if law.cautions:
        lines += ["", "What the fit leaves open:"]
        lines += [f"- {caution}" for caution in law.cautions]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines) + "\n"


def _config(recipe: Recipe, following: Recipe) -> dict[str, Any]:
    """What was asked, and all that the planned recipe says.

    Not what it was made from: the planned recipe itself differs from its parent in what the plan
    replaces, and running it must find this plan current.
    """
    data = following.to_dict()
    del data["execution"]
    return {"asked": recipe.scaling.plan.model_dump(mode="json"), "recipe": data}
