"""Stage `tokenizer encode`: documents and a tokenizer in, Megatron's .bin/.idx and maps out.

Reads documents/kept/ and tokenizer/, writes tokens/. One Ray task per file of documents; a file
without documents gives no shard. Nothing of this file is Ray's business but the call.
"""

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
    digest_json,
    has_manifest,
    read_manifest,
    write_manifest,
)
from launch.recipe import Recipe
from launch.store import absolute
from tokenizer.contract import (
    PASSAGE_BYTES_MAX,
    TOKENIZER_KIND,
    TOKENIZER_VERSION,
    TOKENS_KIND,
    TOKENS_VERSION,
    Split,
)

if TYPE_CHECKING:
    from tokenizer.shard import Part

SPLITS: tuple[Split, ...] = ("train", "valid")


def run(recipe: Recipe, *, force: bool = False, dry_run: bool = False) -> Manifest | None:
    """Encode the recipe's documents unless that is done; None only after a dry run of new work.

    Raises UserError if documents or tokenizer are missing, if the tokenizer was trained on other
    documents, or if the directory holds tokens of other inputs; LockedError if it is being written.
    """
    if dry_run:
        return _plan(recipe, force)
    documents, tokenizer = _opened(recipe)
    directory = recipe.tokens
    with lock(directory):
        current = _current(recipe, documents, tokenizer, force)
        if current is not None:
            shutil.rmtree(directory / "work", ignore_errors=True)  # left by a late crash
            get_logger("tokenizer").info("%s is up to date", directory)
            return current
        _check_disk(recipe, documents, tokenizer)
        with timed(directory, "tokenizer encode"):
            return _build(recipe, documents, tokenizer)


def manifest_config() -> dict[str, Any]:
    """What decides the tokens beside the inputs. Batches and workers do not."""
    return {"encode": {"passage_bytes_max": PASSAGE_BYTES_MAX, "eod": "after every document"}}


def _opened(recipe: Recipe) -> tuple[Manifest, Manifest]:
    documents = open_documents(recipe.published_documents)
    directory = recipe.tokenizer_directory
    tokenizer = read_manifest(directory, TOKENIZER_KIND, TOKENIZER_VERSION)
    if tokenizer.inputs[0].digest != documents.files_digest:
        hint = "gristmill tokenizer train RECIPE --force"
        expected = f"those in {recipe.published_documents}"
        raise UserError(str(directory), "a tokenizer trained on other documents", expected, hint)
    return documents, tokenizer


def _inputs(documents: Manifest, tokenizer: Manifest) -> tuple[Input, ...]:
    return (
        Input("documents", documents.files_digest),
        Input("tokenizer", tokenizer.files_digest),
    )


def _current(
    recipe: Recipe, documents: Manifest, tokenizer: Manifest, force: bool
) -> Manifest | None:
    inputs = _inputs(documents, tokenizer)
    return check_current(
        recipe.tokens, TOKENS_KIND, TOKENS_VERSION, manifest_config(), inputs, force
    )


def _estimated_bytes(documents: Manifest, tokenizer: Manifest) -> int:
    """About how large the `.bin` files will be."""
    facts = tokenizer.facts
    ratio = facts["bytes_per_token"]["all"]
    splits = documents.facts["splits"].values()
    tokens = sum(split["bytes"] / ratio + split["documents"] for split in splits)
    return int(tokens * _itemsize(facts["padded_vocab_size"]))


def _itemsize(padded_vocab_size: int) -> int:
    from tokenizer.indexed import token_dtype

    return token_dtype(padded_vocab_size).itemsize


def _check_disk(recipe: Recipe, documents: Manifest, tokenizer: Manifest) -> None:
    needed = int(1.2 * _estimated_bytes(documents, tokenizer))
    place = recipe.tokens
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed > free:
        expected = f"about {needed / 1e9:.2f} GB"
        raise UserError(str(recipe.tokens), f"{free / 1e9:.2f} GB of free disk", expected)


def _plan(recipe: Recipe, force: bool) -> Manifest | None:
    missing = [
        directory
        for directory in (recipe.published_documents, recipe.tokenizer_directory)
        if not has_manifest(directory)
    ]
    if missing:
        print(f"tokenizer encode: to {recipe.tokens}, once {missing[0]} is there")
        return None
    documents, tokenizer = _opened(recipe)
    current = _current(recipe, documents, tokenizer, force)
    if current is not None:
        print(f"tokenizer encode: {recipe.tokens} is up to date")
        return current
    _check_disk(recipe, documents, tokenizer)
    num_files = sum(len(kept_files(documents, split)) for split in SPLITS)
    size = _estimated_bytes(documents, tokenizer)
    print(
        f"tokenizer encode: {num_files} files of documents in {recipe.execution.workers} tasks at "
        f"once, about {size / 1e6:.1f} MB of tokens, to {recipe.tokens}"
    )
    return None


def _build(recipe: Recipe, documents: Manifest, tokenizer: Manifest) -> Manifest:
    from launch.ray_cluster import run_tasks
    from tokenizer.shard import encode_part, read_receipt

    directory = recipe.tokens
    inputs = _inputs(documents, tokenizer)
    identity = [manifest_config(), [entry.digest for entry in inputs]]
    work = directory / "work" / digest_json(identity).removeprefix("xxh3_128:")
    parts = _parts(recipe, documents, work)
    everything = [part for split in SPLITS for part in parts[split]]
    open_parts = [part for part in everything if read_receipt(part) is None]
    if len(open_parts) < len(everything):
        done = len(everything) - len(open_parts)
        get_logger("tokenizer").info("%d of %d shards were finished before", done, len(everything))
    run_tasks(
        encode_part,
        [(part,) for part in open_parts],
        label="tokenizer: shards",
        execution=recipe.execution,
    )
    receipts = {split: [_receipt(part) for part in parts[split]] for split in SPLITS}
    files = tuple(
        FileEntry(**entry)
        for split in SPLITS
        for receipt in receipts[split]
        for entry in receipt["files"]
    )
    facts = _facts(recipe, documents, tokenizer, receipts)
    manifest = Manifest(TOKENS_KIND, TOKENS_VERSION, manifest_config(), inputs, files, facts)
    write_manifest(directory, manifest)
    shutil.rmtree(directory / "work", ignore_errors=True)
    for split in SPLITS:
        counts = facts["splits"][split]
        get_logger("tokenizer").info(
            "%s: %d documents, %d tokens", split, counts["documents"], counts["tokens"]
        )
    return manifest


def _parts(recipe: Recipe, documents: Manifest, work: Path) -> "dict[Split, list[Part]]":
    from tokenizer.shard import Part

    return {
        split: [
            Part(
                documents_directory=absolute(recipe.published_documents),
                file=file,
                tokenizer_directory=recipe.tokenizer_directory.resolve(),
                tokens_directory=recipe.tokens.resolve(),
                stem=f"{split}/shard-{index:05}",
                work=work.resolve(),
                batch_bytes=recipe.tokenizer.encode.batch_bytes,
            )
            for index, file in enumerate(kept_files(documents, split))
        ]
        for split in SPLITS
    }


def _receipt(part: "Part") -> dict[str, Any]:
    from tokenizer.shard import read_receipt

    receipt = read_receipt(part)
    assert receipt is not None, part
    return receipt


def _facts(
    recipe: Recipe,
    documents: Manifest,
    tokenizer: Manifest,
    receipts: dict[Split, list[dict[str, Any]]],
) -> dict[str, Any]:
    """The manifest's facts; documents and bytes of text must be those that were kept."""
    from tokenizer.indexed import token_dtype
    from tokenizer.shard import COUNTS

    splits: dict[str, dict[str, int]] = {}
    by_source: dict[str, dict[str, dict[str, int]]] = {}
    for split, found in receipts.items():
        by_source[split] = {}
        for receipt in found:
            for source, counts in receipt["sources"].items():
                sums = by_source[split].setdefault(source, dict.fromkeys(COUNTS, 0))
                for name in COUNTS:
                    sums[name] += counts[name]
        by_source[split] = dict(sorted(by_source[split].items()))
        splits[split] = {
            name: sum(counts[name] for counts in by_source[split].values()) for name in COUNTS
        }
        kept = documents.facts["splits"][split]
        assert splits[split]["documents"] == kept["documents"], (split, splits[split], kept)
        assert splits[split]["text_bytes"] == kept["bytes"], (split, splits[split], kept)
    facts = tokenizer.facts
    return {
        "tokenizer_digest": tokenizer.files_digest,
        "dtype": token_dtype(facts["padded_vocab_size"]).name,
        "eod_id": facts["special_ids"]["eod"],
        "vocab_size": facts["vocab_size"],
        "padded_vocab_size": facts["padded_vocab_size"],
        "splits": splits,
        "by_source": by_source,
        "parts_without_documents": {
            split: sum(not receipt["files"] for receipt in found)
            for split, found in receipts.items()
        },
    }
