"""Files beside the sources that steps read: lists of domains and words, a model of languages.

They are part of what the documents are made from: their digests are inputs of the manifest. Tasks
run in working directories of their own, and get a configuration with absolute paths.
"""

from pathlib import Path
from typing import Any

from dataprep.config import Dataprep
from launch.errors import UserError

# Before the paths of such files among the manifest's inputs.
PREFIX = "beside:"


def side_files(config: Dataprep) -> list[Path]:
    """Their paths as the recipe has them, each once, in order.

    Raises UserError, naming the key of the recipe, for the first that is no file.
    """
    found: dict[Path, None] = {}
    for where, paths in _by_key(config).items():
        for path in paths:
            if not Path(path).is_file():
                raise UserError(where, f"'{path}'", "a file that is there")
            found[Path(path)] = None
    return list(found)


def with_absolute_paths(config: Dataprep) -> Dataprep:
    """The same configuration for a process with another working directory."""
    update: dict[str, Any] = {}
    if config.language_model is not None:
        update["language_model"] = _absolute(config.language_model)
    if config.urls is not None:
        lists = {name: tuple(map(_absolute, paths)) for name, paths in _url_lists(config).items()}
        update["urls"] = config.urls.model_copy(update=lists)
    if config.pii.hash_key_file is not None:
        path = _absolute(config.pii.hash_key_file)
        update["pii"] = config.pii.model_copy(update={"hash_key_file": path})
    own = config.decontamination
    sets = tuple(
        table.model_copy(update={"paths": tuple(map(_absolute, table.paths))}) for table in own.sets
    )
    update["decontamination"] = own.model_copy(update={"sets": sets})
    update["keywords"] = tuple(
        table.model_copy(
            update={
                "paths": tuple(map(_absolute, table.paths)),
                "allow_paths": tuple(map(_absolute, table.allow_paths)),
            }
        )
        for table in config.keywords
    )
    if config.perplexity is not None:
        models = tuple(
            table.model_copy(
                update={
                    "model": _absolute(table.model),
                    "pieces": None if table.pieces is None else _absolute(table.pieces),
                }
            )
            for table in config.perplexity.models
        )
        update["perplexity"] = config.perplexity.model_copy(update={"models": models})
    if config.toxicity is not None:
        groups = tuple(
            table.model_copy(update={"paths": tuple(map(_absolute, table.paths))})
            for table in config.toxicity.subgroups
        )
        update["toxicity"] = config.toxicity.model_copy(update={"subgroups": groups})
    return config.model_copy(update=update)


def _by_key(config: Dataprep) -> dict[str, tuple[str, ...]]:
    keys: dict[str, tuple[str, ...]] = {}
    if config.language_model is not None:
        keys["dataprep.language_model"] = (config.language_model,)
    for name, paths in _url_lists(config).items():
        keys[f"dataprep.urls.{name}"] = paths
    for table in config.keywords:
        keys[f"dataprep.keywords.{table.name}.paths"] = table.paths
        keys[f"dataprep.keywords.{table.name}.allow_paths"] = table.allow_paths
    for group in config.toxicity.subgroups if config.toxicity is not None else ():
        keys[f"dataprep.toxicity.subgroups.{group.name}.paths"] = group.paths
    return keys


def _url_lists(config: Dataprep) -> dict[str, tuple[str, ...]]:
    """The fields of the table `urls` that are files."""
    if config.urls is None:
        return {}
    values = {name: getattr(config.urls, name) for name in type(config.urls).model_fields}
    return {name: value for name, value in values.items() if isinstance(value, tuple)}


def _absolute(path: str) -> str:
    return str(Path(path).resolve())
