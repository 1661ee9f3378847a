"""The classifiers of a recipe, trained: what a run does first, and the verb `train-classifier`."""

from typing import TYPE_CHECKING

from dataprep.models import distil
from dataprep.models.classifier import Name, TrainedClassifier, model_directory, train
from launch.errors import UserError
from launch.lock import lock

if TYPE_CHECKING:
    from launch.recipe import Recipe


def train_recipe(recipe: "Recipe", *, force: bool = False) -> dict[Name, TrainedClassifier]:
    """Train every classifier that the recipe names and that is not there yet (`force`: each), and
    measure how far those with an annotator agree with it. The caller holds the documents' lock."""
    trained = {
        name: train(
            name, table, model_directory(recipe.documents, name), recipe.run.seed, force=force
        )
        for name, table in distil.classifier_tables(recipe).items()
    }
    return distil.with_agreement(recipe, trained)


def train_command(recipe: "Recipe", *, force: bool = False) -> dict[Name, TrainedClassifier]:
    """`train_recipe` under the lock.

    Raises UserError if the recipe names no classifier, LockedError if somebody writes documents.
    """
    if not distil.classifier_tables(recipe):
        raise UserError(
            "dataprep", "neither table [dataprep.quality] nor [dataprep.toxicity]", "one of them",
            "labels = [{paths = [\"labels/*.jsonl\"], label_column = \"toxic\", positive = [1]}]",
        )  # fmt: skip
    with lock(recipe.documents):
        return train_recipe(recipe, force=force)
