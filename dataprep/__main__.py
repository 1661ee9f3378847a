"""`python -m dataprep VERB TARGET`: the same as `gristmill dataprep VERB TARGET`."""

from pathlib import Path
from typing import Annotated

import typer

from launch.cli import DryRun, Force, Overrides, Target, main, new_app

app = new_app("dataprep", "Raw text to documents: filter, remove personal data, deduplicate.")


@app.command("run")
def run_command(
    target: Target, overrides: Overrides = None, dry_run: DryRun = False, force: Force = False
) -> None:
    """Build the recipe's documents, unless they are up to date."""
    from dataprep.run import run
    from launch.recipe import load_recipe

    run(load_recipe(target, overrides or ()), force=force, dry_run=dry_run)


@app.command("retune")
def retune_command(target: Target, overrides: Overrides = None, dry_run: DryRun = False) -> None:
    """Apply other thresholds to documents that are there, without reading the sources again."""
    from dataprep.retune import retune
    from dataprep.retune_preview import print_preview
    from launch.recipe import load_recipe

    recipe = load_recipe(target, overrides or ())
    if dry_run:
        print_preview(recipe)
    else:
        retune(recipe)


@app.command("review")
def review_command(
    target: Target,
    overrides: Overrides = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Where to write; unset: ROOT/review.")
    ] = None,
) -> None:
    """Show the evaluation items that stand in the documents, before they are dropped for it."""
    from dataprep.decontamination.review import review
    from launch.recipe import load_recipe

    print(review(load_recipe(target, overrides or ()), output))


@app.command("audit")
def audit_command(
    target: Target,
    overrides: Overrides = None,
    documents: Annotated[
        int, typer.Option("--documents", help="Documents, and near-duplicates, to sample.")
    ] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="What the sample is drawn by.")] = 1,
) -> None:
    """Estimate which near-duplicates were missed, and whether the dropped ones were some."""
    from dataprep.dedup.audit import audit
    from dataprep.report.audit import summary
    from launch.recipe import load_recipe

    print(summary(audit(load_recipe(target, overrides or ()), documents, seed)))


@app.command("explain")
def explain_command(
    target: Target,
    document: Annotated[str, typer.Argument(help="The document's id, or its content hash in hex.")],
) -> None:
    """Say what became of one document, and why."""
    from dataprep.models.distil import explain_answers
    from dataprep.report.explain import explain
    from launch.recipe import load_recipe

    recipe = load_recipe(target)
    print(explain(recipe.published_documents, document))
    for line in explain_answers(recipe, document):
        print(line)


@app.command("annotate")
def annotate_command(
    target: Target, overrides: Overrides = None, dry_run: DryRun = False, force: Force = False
) -> None:
    """Ask an annotator about a sample of the documents: labels for a classifier to learn from."""
    from dataprep.models.annotate import annotate, print_plan
    from dataprep.report.annotator import summary
    from launch.recipe import load_recipe

    recipe = load_recipe(target, overrides or ())
    if dry_run:
        print_plan(recipe)
        return
    for name, done in annotate(recipe, force=force).items():
        print(summary(name, done.manifest.facts))
        print(f"  {done.num_known:,} known before, {done.num_asked:,} asked about")


@app.command("train-classifier")
def train_classifier_command(
    target: Target, overrides: Overrides = None, force: Force = False
) -> None:
    """Train the classifiers that the recipe names, and say how good they are."""
    from dataprep.models.classifier import describe
    from dataprep.models.classifier_training import train_command
    from dataprep.report.annotator import agreement_line
    from launch.recipe import load_recipe

    trained = train_command(load_recipe(target, overrides or ()), force=force)
    for name, classifier in trained.items():
        print(f"{name}: {classifier.path}")
        print(f"  {describe(classifier.facts)}")
        if "agreement" in classifier.facts:
            print(f"  {agreement_line(classifier.facts['agreement'])}")


@app.command("train-perplexity")
def train_perplexity_command(
    target: Target, overrides: Overrides = None, force: Force = False
) -> None:
    """Train the recipe's n-gram models, and say how surprising good text is to them."""
    from dataprep.models.perplexity_training import describe, train_command
    from launch.recipe import load_recipe

    for language, facts in train_command(load_recipe(target, overrides or ()), force=force).items():
        print(f"{language}: {describe(facts)}")


@app.command("index")
def index_command(
    target: Target,
    directory: Annotated[Path, typer.Argument(help="The index: made, or extended.")],
) -> None:
    """Add the recipe's finished documents to an index, for later runs to be compared with."""
    from dataprep.indexes.build import extend
    from launch.recipe import load_recipe

    extend(load_recipe(target), directory)


@app.command("query")
def query_command(
    directory: Annotated[Path, typer.Argument(help="The index.")],
    files: Annotated[list[str], typer.Argument(help="Documents: JSON lines with text and id.")],
    jaccard: Annotated[
        float | None, typer.Option(help="Least similarity of a near-duplicate.", show_default="0.8")
    ] = None,
) -> None:
    """Print, for each document, the one of an index that it duplicates: a JSON line each."""
    import json

    from dataprep.indexes.query import query

    for answer in query(directory, files, jaccard):
        print(json.dumps(answer, ensure_ascii=False))


if __name__ == "__main__":
    main(app)
