"""Stage `tokenizer train`: documents in, a lossless SentencePiece model and its evaluation out.

Reads documents/kept/, writes tokenizer/. Draw a sample, train on it, measure on validation text,
commit. The same documents, recipe and seed give the same files, to the byte, on any machine.
"""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataprep.contract import kept_files, open_documents
from launch.errors import UserError
from launch.lock import lock
from launch.log import get_logger, timed
from launch.manifest import (
    FileEntry,
    Input,
    Manifest,
    check_current,
    commit_file,
    digest_bytes,
    digest_json,
    has_manifest,
    link_for_people,
    write_atomic,
    write_manifest,
)
from launch.recipe import Recipe
from tokenizer.contract import TOKENIZER_KIND, TOKENIZER_VERSION, Tokenizer, padded_vocab_size

if TYPE_CHECKING:
    from tokenizer.sample import Draw

# Peak memory of training, in bytes per byte of sample: 24 for BPE, 19 for unigram over 15 MB of
# English and Chinese (2026-11-21), and twice the sample while it is drawn.
MEMORY_BYTES_PER_SAMPLE_BYTE = 32


def run(recipe: Recipe, *, force: bool = False, dry_run: bool = False) -> Manifest | None:
    """Train the recipe's tokenizer unless it is there; None only after a dry run of something new.

    Raises UserError if there are no documents to train on, if the vocabulary does not suit the
    sample, or if the directory holds a tokenizer of another recipe; LockedError if it is being
    written.
    """
    if dry_run:
        return _plan(recipe, force)
    documents = open_documents(recipe.published_documents)
    directory = recipe.tokenizer_directory
    with lock(directory):
        current = _current(recipe, documents, force)
        if current is not None:
            shutil.rmtree(directory / "work", ignore_errors=True)  # left by a late crash
            get_logger("tokenizer").info("%s is up to date", directory)
            return current
        _check_train(documents)
        _check_memory(recipe, documents.facts["splits"]["train"]["bytes"])
        with timed(directory, "tokenizer train"):
            return _build(recipe, documents)


def manifest_config(recipe: Recipe) -> dict[str, Any]:
    """What of the recipe decides the tokenizer: its table, the seed and the sources' weights."""
    table = recipe.tokenizer.model_dump(mode="json", exclude={"encode"})
    weights = {source.name: source.weight for source in recipe.sources}
    return {"tokenizer": table, "seed": recipe.run.seed, "weights": weights}


def _current(recipe: Recipe, documents: Manifest, force: bool) -> Manifest | None:
    return check_current(
        recipe.tokenizer_directory,
        TOKENIZER_KIND,
        TOKENIZER_VERSION,
        manifest_config(recipe),
        _inputs(documents),
        force,
    )


def _inputs(documents: Manifest) -> tuple[Input, ...]:
    return (Input("documents", documents.files_digest),)


def _check_train(documents: Manifest) -> None:
    if documents.facts["splits"]["train"]["documents"] == 0:
        hint = "see documents/report.html for what dropped them"
        raise UserError("documents", "no kept document to train on", "at least one", hint)


def _check_memory(recipe: Recipe, train_bytes: int) -> None:
    """Raise UserError if training on the sample needs more memory than the recipe gives."""
    sample_bytes = min(recipe.tokenizer.sample_bytes, train_bytes)
    needed_bytes = sample_bytes * MEMORY_BYTES_PER_SAMPLE_BYTE
    memory_gigabytes = recipe.execution.memory_gigabytes
    if needed_bytes > memory_gigabytes * 1e9:
        limit = int(memory_gigabytes * 1e9) // MEMORY_BYTES_PER_SAMPLE_BYTE
        raise UserError(
            "tokenizer.sample_bytes",
            f"{sample_bytes} (about {needed_bytes / 1e9:.1f} GB while training)",
            f"at most {limit} with execution.memory_gigabytes = {memory_gigabytes:g}",
            "a smaller sample: a few hundred MB are enough for most vocabularies",
        )


def _plan(recipe: Recipe, force: bool) -> Manifest | None:
    config = recipe.tokenizer
    if not has_manifest(recipe.published_documents):
        corpus, train_bytes = "documents that are not there yet", config.sample_bytes
    else:
        documents = open_documents(recipe.published_documents)
        current = _current(recipe, documents, force)
        if current is not None:
            print(f"tokenizer train: {recipe.tokenizer_directory} is up to date")
            return current
        _check_train(documents)
        train = documents.facts["splits"]["train"]
        train_bytes = train["bytes"]
        corpus = f"{train['documents']} documents of {train_bytes / 1e6:.1f} MB"
    _check_memory(recipe, train_bytes)
    sample_bytes = min(config.sample_bytes, train_bytes)
    print(
        f"tokenizer train: {config.model_type}, {config.vocab_size} ids "
        f"(padded to {padded_vocab_size(config.vocab_size)}), on {sample_bytes / 1e6:.1f} MB of "
        f"{corpus}, with at most {sample_bytes * MEMORY_BYTES_PER_SAMPLE_BYTE / 1e9:.1f} GB of "
        f"memory, to {recipe.tokenizer_directory}"
    )
    return None


def _build(recipe: Recipe, documents: Manifest) -> Manifest:
    from tokenizer.evaluate import bytes_per_token, evaluate

    logger = get_logger("tokenizer")
    directory = recipe.tokenizer_directory
    config = recipe.tokenizer
    inputs = _inputs(documents)
    identity = [manifest_config(recipe), inputs[0].digest]
    work = directory / "work" / digest_json(identity).removeprefix("xxh3_128:")
    work.mkdir(parents=True, exist_ok=True)
    model, sample = _model(recipe, documents, work)
    facts: dict[str, Any] = {
        "model_type": config.model_type,
        "vocab_size": config.vocab_size,
        "padded_vocab_size": padded_vocab_size(config.vocab_size),
        # 1 to 4 and then control_symbols, as train_model lays them out.
        "special_ids": {"unk": 0, "bos": 1, "eos": 2, "pad": 3, "eod": 4},
        "control_ids": {name: 1 + index for index, name in enumerate(config.symbols)},
        "model_digest": digest_bytes(model),
        "sample": sample,
    }
    tokenizer = _opened(model, facts)
    evaluation = evaluate(
        tokenizer,
        recipe.published_documents,
        documents,
        seed=recipe.run.seed,
        bytes_max=config.evaluation_bytes,
    )
    facts["bytes_per_token"] = bytes_per_token(evaluation)
    files = (
        _commit(directory, work, "tokenizer", ".model", model, None),
        _commit(directory, work, "vocabulary", ".tsv", _vocabulary(tokenizer), config.vocab_size),
        _commit(directory, work, "evaluation", ".json", _json(evaluation), None),
    )
    facts["model_file"], facts["evaluation_file"] = files[0].path, files[2].path
    manifest = Manifest(
        TOKENIZER_KIND, TOKENIZER_VERSION, manifest_config(recipe), inputs, files, facts
    )
    _for_people(directory, manifest, evaluation)
    write_manifest(directory, manifest)
    shutil.rmtree(directory / "work")
    logger.info(
        "%s with %d ids: %.3f bytes per token, no round-trip failure",
        config.model_type, config.vocab_size, facts["bytes_per_token"]["all"],
    )  # fmt: skip
    return manifest


def _model(recipe: Recipe, documents: Manifest, work: Path) -> tuple[bytes, dict[str, Any]]:
    """The trained model and its sample's facts; kept in `work` for a start after a crash."""
    model_path, sample_path = work / "model", work / "sample.json"
    # Written in this order, so that the second's being there means that both are.
    if sample_path.exists():
        return model_path.read_bytes(), json.loads(sample_path.read_text(encoding="utf-8"))
    from tokenizer.lossless import train_model
    from tokenizer.sample import describe, sentences

    config = recipe.tokenizer
    drawn = _draw(recipe, documents)
    sample = describe(drawn, recipe.run.seed)
    if not sample["sentences"]:
        raise UserError("documents", "only empty lines to train on", "text")
    get_logger("tokenizer").info(
        "training %s with %d ids on %.1f MB of %.1f MB (%d of %d documents)",
        config.model_type, config.vocab_size, sample["bytes_used"] / 1e6,
        sample["bytes_seen"] / 1e6, sample["documents_used"], sample["documents_seen"],
    )  # fmt: skip
    model = train_model(sentences(drawn.documents), config, sample["bytes_used"])
    write_atomic(model_path, model)
    write_atomic(sample_path, json.dumps(sample))
    return model, sample


def _draw(recipe: Recipe, documents: Manifest) -> "Draw":
    from tokenizer.sample import draw

    drawn = draw(
        recipe.published_documents,
        kept_files(documents, "train"),
        seed=recipe.run.seed,
        purpose="tokenizer sample",
        bytes_max=recipe.tokenizer.sample_bytes,
        document_bytes_max=recipe.tokenizer.document_sample_bytes_max,
        weights={source.name: source.weight for source in recipe.sources},
    )
    promised = documents.facts["splits"]["train"]
    found = {"documents": drawn.documents_seen, "bytes": drawn.bytes_seen}
    assert found == {key: promised[key] for key in found}, (found, promised)
    return drawn


def _opened(model: bytes, facts: dict[str, Any]) -> Tokenizer:
    """The tokenizer before its directory exists, to be measured."""
    from tokenizer.lossless import check_profile, load_processor

    check_profile(model, "the trained model")
    processor = load_processor(model)
    assert processor.get_piece_size() == facts["vocab_size"]
    for symbol, token_id in facts["control_ids"].items():
        assert processor.is_control(token_id), token_id
        assert processor.id_to_piece(token_id) == symbol, symbol
    ids = {f"{name}_id": token_id for name, token_id in facts["special_ids"].items()}
    return Tokenizer(
        digest="",
        vocab_size=facts["vocab_size"],
        padded_vocab_size=facts["padded_vocab_size"],
        _processor=processor,
        **ids,
    )


def _vocabulary(tokenizer: Tokenizer) -> bytes:
    """One line per id: id, piece as JSON (pieces hold tabs and line ends), score, kind."""
    lines = []
    for index in range(tokenizer.vocab_size):
        piece = json.dumps(tokenizer.piece(index), ensure_ascii=False)
        lines.append(f"{index}\t{piece}\t{tokenizer.score(index):.6g}\t{tokenizer.kind(index)}\n")
    return "".join(lines).encode()


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()


def _commit(
    directory: Path, work: Path, stem: str, suffix: str, content: bytes, rows: int | None
) -> FileEntry:
    temporary = work / f"{stem}.tmp"
    temporary.write_bytes(content)
    return commit_file(temporary, directory, stem, suffix, rows)


def _for_people(directory: Path, manifest: Manifest, evaluation: dict[str, Any]) -> None:
    """Plain names and a model card. Nothing of ours reads them."""
    from tokenizer.card import model_card

    link_for_people(directory, "tokenizer.model", manifest.facts["model_file"])
    link_for_people(directory, "evaluation.json", manifest.facts["evaluation_file"])
    write_atomic(directory / "README.md", model_card(manifest, evaluation))
