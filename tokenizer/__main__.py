"""`python -m tokenizer VERB RECIPE`: train a tokenizer, encode the corpus, measure again."""

from launch.cli import DryRun, Force, Overrides, Target, main, new_app

app = new_app("tokenizer", "Documents to a tokenizer, and the corpus to tokens.")


@app.command("train")
def train_command(
    target: Target, overrides: Overrides = None, dry_run: DryRun = False, force: Force = False
) -> None:
    """Train the tokenizer on a sample of the kept documents, and measure it."""
    from launch.recipe import load_recipe
    from tokenizer.train import run

    run(load_recipe(target, overrides or ()), force=force, dry_run=dry_run)


@app.command("encode")
def encode_command(
    target: Target, overrides: Overrides = None, dry_run: DryRun = False, force: Force = False
) -> None:
    """Encode the kept documents to Megatron's .bin and .idx, with a map back to documents."""
    from launch.recipe import load_recipe
    from tokenizer.encode import run

    run(load_recipe(target, overrides or ()), force=force, dry_run=dry_run)


@app.command("evaluate")
def evaluate_command(target: Target, overrides: Overrides = None) -> None:
    """Measure the finished tokenizer on the kept documents; JSON on stdout."""
    from launch.recipe import load_recipe
    from tokenizer.evaluate import run

    run(load_recipe(target, overrides or ()))


if __name__ == "__main__":
    main(app)
