"""`gristmill pretrain check RECIPE gpus=64 kind=h100`: every rule, then the plan as text."""

from collections.abc import Sequence
from pathlib import Path

from launch.recipe import load_recipe
from pretrain.check import describe, make_plan
from pretrain.planning.check_report import report
from pretrain.planning.machine import check_disk, check_gpus, check_host_memory, parse_machine
from pretrain.planning.meta_build import built_parameters


def check(target: Path, arguments: Sequence[str]) -> str:
    """The text. `arguments` are those of `machine.parse_machine` and overrides of the recipe.

    Raises `UserError` for the first rule that is broken. That the run does not fit into a GPU's
    memory is no rule but an estimate: the text says so.
    """
    machine, overrides = parse_machine(arguments)
    recipe = load_recipe(target, overrides)
    plan = make_plan(recipe)
    check_gpus(recipe.pretrain, machine)
    check_disk(recipe.pretrain, plan.padded_vocab_size, recipe.run_directory, machine)
    check_host_memory(recipe.pretrain, plan.padded_vocab_size, machine)
    built = built_parameters(recipe.pretrain, plan.padded_vocab_size)
    return f"{describe(plan)}\n{report(plan, machine, built)}"
