"""The n-gram models of a recipe, one for each language: trained once, and what is known of them.

In: the good text that the recipe names. Out: below `documents/models/perplexity/LANGUAGE/` a model
file with its digest in its name and a manifest, last. A model is made again only if its texts, its
settings or the seed have changed; rules and boundaries are no settings of it.
"""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dataprep.config import Dataprep, Normalize
from dataprep.config_perplexity import Perplexity, PerplexityTraining
from dataprep.models import kenlm_model, ngram, ngram_arpa, ngram_file, ngram_texts
from dataprep.models.ngram_estimate import Estimate
from dataprep.models.ngram_vocabulary import Vocabulary
from launch.errors import UserError
from launch.log import get_logger
from launch.manifest import (
    FILE_NAME,
    FileEntry,
    Input,
    Manifest,
    commit_file,
    digest_file,
    digest_json,
    read_manifest,
    write_manifest,
)

if TYPE_CHECKING:
    from launch.recipe import Recipe

NAME = "perplexity"
KIND = "ngram-model"
VERSION = 1
WHERE = "dataprep.perplexity"
# Before the paths of training texts and KenLM models among the manifest's inputs.
PREFIX = "perplexity:"
# Keys of the table that decide nothing but what becomes of a score.
DECIDING = ("keep", "boundaries", "perplexity_max", "perplexity_min", "arpa")
_SETTINGS = ("order", "vocabulary_max", "ngrams_max", "training_bytes_max")
_QUANTILES = (0.0, 0.1, 0.25, 1 / 3, 0.5, 2 / 3, 0.75, 0.9, 1.0)


def models_directory(documents: Path) -> Path:
    """Where the models lie below the documents' directory."""
    return documents / "models" / NAME


def used_files(config: Perplexity | None) -> list[Path]:
    """Every file that the table names, each once, in order.

    Raises UserError if one is missing, is no KenLM model, or needs a package that is not there.
    """
    found: dict[Path, None] = {}
    if config is None:
        return []
    for position, table in enumerate(config.training):
        found |= dict.fromkeys(ngram_texts.files(table, f"{WHERE}.training.{position}"))
    for position, given in enumerate(config.models):
        where = f"{WHERE}.models.{position}"
        kenlm_model.checked_kenlm(where)
        kenlm_model.check_file(Path(given.model), where)
        found[Path(given.model)] = None
        if given.pieces is not None:
            if not Path(given.pieces).is_file():
                raise UserError(f"{where}.pieces", f"'{given.pieces}'", "a file that is there")
            found[Path(given.pieces)] = None
    return list(found)


def languages(config: Perplexity | None) -> list[str]:
    """The languages that have a model."""
    if config is None:
        return []
    trained = [table.language for table in config.training]
    return trained + [given.language for given in config.models]


def is_stored(old: Manifest, config: Dataprep, seed: int, inputs: Sequence[Input]) -> bool:
    """Whether the scores that `old` names are those that `config` would give from `inputs`."""
    then, now = old.config["dataprep"].get(NAME), config.perplexity
    if not then or now is None:
        return False
    ignored = dict.fromkeys(DECIDING)
    same = {**then, **ignored} == {**now.model_dump(mode="json"), **ignored}
    read = [
        {entry for entry in entries if entry.path.startswith(PREFIX)}
        for entries in (old.inputs, inputs)
    ]
    return same and old.config["seed"] == seed and read[0] == read[1]


def train_recipe(recipe: "Recipe", *, force: bool = False) -> dict[str, Path]:
    """Train what the recipe names; where its models lie, as `shard.chain` takes it.

    The caller holds the lock of the documents. Raises UserError as `used_files` and
    `ngram_texts.read_texts` do.
    """
    config = recipe.dataprep.perplexity
    if config is None:
        return {}
    used_files(config)
    directory = models_directory(recipe.documents)
    for position, table in enumerate(config.training):
        where = f"{WHERE}.training.{position}"
        train(table, config, recipe.dataprep.normalize, directory, recipe.run.seed, where, force)
    return {NAME: directory.resolve()}


def train_command(recipe: "Recipe", *, force: bool = False) -> dict[str, dict[str, Any]]:
    """Train every n-gram model of the recipe, and what is known of them by language; what the verb
    `train-perplexity` does.

    Raises UserError without the table, LockedError if somebody writes the documents.
    """
    from launch.lock import lock

    config = recipe.dataprep.perplexity
    if config is None:
        hint = '[[dataprep.perplexity.training]] language = "en" paths = ["good/*.jsonl"]'
        raise UserError("dataprep", "no table [dataprep.perplexity]", "one", hint)
    with lock(recipe.documents):
        train_recipe(recipe, force=force)
        return facts(config, models_directory(recipe.documents))


def train(
    table: PerplexityTraining,
    config: Perplexity,
    normalize: Normalize,
    directory: Path,
    seed: int,
    where: str = WHERE,
    force: bool = False,
) -> Manifest:
    """The model of one language in `directory`, trained unless the one there is from the same."""
    place = directory / table.language
    paths = ngram_texts.files(table, where)
    inputs = tuple(Input(str(path), digest_file(path)) for path in paths)
    described = {
        "seed": seed,
        "normalize": normalize.model_dump(mode="json"),
        "arpa": config.arpa,
        "text_column": table.text_column,
        **{name: getattr(config, name) for name in _SETTINGS},
    }
    if not force and (place / FILE_NAME).exists():
        manifest = read_manifest(place, KIND, VERSION)
        if manifest.inputs == inputs and manifest.config_digest == digest_json(described):
            return manifest
    logger = get_logger("dataprep")
    texts = ngram_texts.read_texts(table, where, seed, config.training_bytes_max, normalize)
    logger.info(
        "training the n-gram model of %s from %d texts", table.language, len(texts.training)
    )
    vocabulary, found = ngram.train(
        texts.training, config.order, config.vocabulary_max, config.ngrams_max
    )
    scores = ngram.perplexities(texts.held_out, ngram.tables_of(vocabulary, found, {}))
    facts = _facts(texts, scores, vocabulary, found)
    tables = ngram.tables_of(vocabulary, found, facts)
    entries = _write(place, tables, vocabulary, found, config.arpa)
    # Beside the model, not within it: how often a text was given makes no other model.
    given = {"digest": entries[0].digest, "bytes": entries[0].bytes, "texts_given": texts.num_given}
    facts = {**given, **facts}
    manifest = Manifest(KIND, VERSION, described, inputs, entries, facts)
    write_manifest(place, manifest)
    logger.info("%s: %s", table.language, describe(facts))
    return manifest


def _facts(
    texts: ngram_texts.Texts,
    scores: ngram.Perplexities,
    vocabulary: Vocabulary,
    found: Estimate,
) -> dict[str, Any]:
    # Six digits: the boundaries are read by people, and copied into recipes.
    quantiles = [float(f"{value:.6g}") for value in np.nanquantile(scores, _QUANTILES)]
    return {
        "texts": len(texts.training),
        "text_bytes": texts.training.nbytes,
        "words": ngram_texts.count_words(texts.training),
        "held_out_texts": len(texts.held_out),
        "held_out_quantiles": [
            [round(at, 4), value] for at, value in zip(_QUANTILES, quantiles, strict=True)
        ],
        "terciles": [quantiles[_QUANTILES.index(1 / 3)], quantiles[_QUANTILES.index(2 / 3)]],
        "symbols": len(vocabulary.symbols),
        "ngrams": [len(runs.costs) for runs in found.runs],
        "pruned_up_to": list(found.thresholds),
    }


def _write(
    place: Path, tables: ngram_file.Tables, vocabulary: Vocabulary, found: Estimate, arpa: bool
) -> tuple[FileEntry, ...]:
    """The model's file, and its ARPA form if that is wanted."""
    place.mkdir(parents=True, exist_ok=True)
    temporary = place / f".training.{secrets.token_hex(6)}"
    entries = []
    try:
        ngram_file.save(temporary, tables)
        entries.append(commit_file(temporary, place, "model", ".ngram", None))
        if arpa:
            ngram_arpa.write(temporary, vocabulary, found)
            entries.append(commit_file(temporary, place, "model", ".arpa", None))
    finally:
        temporary.unlink(missing_ok=True)
    return tuple(entries)


def facts(config: Perplexity | None, directory: Path | None) -> dict[str, dict[str, Any]]:
    """By language, what is known of its model; `boundaries` are those that decide, or null.

    Of trained models that are not there only what the recipe says is known.
    """
    found: dict[str, dict[str, Any]] = {}
    for table in config.training if config is not None else ():
        known: dict[str, Any] = {"model": "ngram"}
        if directory is not None:
            known |= read_manifest(directory / table.language, KIND, VERSION).facts
        found[table.language] = known
    for given in config.models if config is not None else ():
        path = Path(given.model)
        digest = digest_file(path) if directory is not None else None
        found[given.language] = {"model": "kenlm", "file": path.name, "digest": digest}
    for language, known in found.items():
        given_bounds = config.boundaries.get(language) if config is not None else None
        known["boundaries"] = list(given_bounds or known.get("terciles") or ()) or None
    return dict(sorted(found.items()))


def model_file(directory: Path, language: str) -> Path:
    """The file of a trained model."""
    manifest = read_manifest(directory / language, KIND, VERSION)
    return directory / language / manifest.files[0].path


def describe(facts: dict[str, Any]) -> str:
    """A model in one line, for people."""
    if facts.get("model") == "kenlm":
        return f"KenLM, {facts['file']}"
    head, middle = facts["terciles"]
    return (
        f"{facts['words']:,} words, {sum(facts['ngrams']):,} n-grams, "
        f"{facts['bytes'] / 1e6:.1f} MB; of {facts['held_out_texts']} held-out texts a third has "
        f"a perplexity up to {head:g}, two thirds up to {middle:g}"
    )
