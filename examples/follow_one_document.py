# %% [markdown]
# # Follow one document
#
# From its raw place to the loss of the model that was trained on it, by the files of a finished
# root alone:
#
#     python -m examples.follow_one_document launch/recipes/tiny.toml [DOCUMENT-ID]

# %%
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dataprep.contract import kept_files, open_documents
from launch.recipe import Recipe, load_recipe
from tokenizer.contract import document_maps, open_tokenizer, open_tokens, token_prefixes
from tokenizer.indexed import Reader

EXCERPT_CHARACTERS = 240


# %% [markdown]
# ## The document: what was decided, and on which numbers


# %%
def find_document(recipe: Recipe, wanted: str | None) -> tuple[str, dict[str, object]]:
    """Split and row of a kept document: the wanted one, or a short one of the first part."""
    manifest = open_documents(recipe.documents)
    for split in ("train", "valid"):
        for path in kept_files(manifest, split):
            table = pq.read_table(recipe.documents / path)
            if wanted is not None:
                table = table.filter(pc.equal(table["id"], wanted))
            else:
                # One that had something removed shows more than one that had not.
                edited = table.filter(pc.greater(table["pii_email"], 0))
                table = edited if edited.num_rows else table
                table = table.sort_by([("content_hash", "ascending")])
            if table.num_rows:
                return split, table.slice(0, 1).to_pylist()[0]
    raise SystemExit(f"no kept document {wanted!r} in {recipe.documents}")


def show_document(split: str, row: dict[str, object]) -> None:
    """Identity, text and signals of one row."""
    print(f"## {row['id']}\n")
    print(f"split {split}, language {row['language']}, licence {row['license']}")
    content_hash = row["content_hash"]
    assert isinstance(content_hash, bytes)
    print(f"content hash {content_hash.hex()} (of the text as read)")
    removed = dict(row["removed_bytes"] or [])  # type: ignore[call-overload]
    print("bytes removed by step: " + (", ".join(f"{k} {v}" for k, v in removed.items()) or "none"))
    print(f"\ntext as written: {str(row['text'])[:EXCERPT_CHARACTERS]!r}\n")
    for name, value in row.items():
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        if "_" in name and numeric and not name.startswith(("drop_", "survivor_", "removed_")):
            print(
                f"  {name:<42} {value:.6g}" if isinstance(value, float) else f"  {name:<42} {value}"
            )


# %% [markdown]
# ## Its tokens: which shard, which row, which pieces


# %%
def show_tokens(recipe: Recipe, split: str, identity: str) -> None:
    """Where the document lies in the encoded corpus, and that it comes back whole."""
    manifest, tokenizer = open_tokens(recipe.tokens), open_tokenizer(recipe.tokenizer_directory)
    maps, prefixes = document_maps(manifest, split), token_prefixes(manifest, split)
    for map_path, prefix in zip(maps, prefixes, strict=True):
        table = pq.read_table(recipe.tokens / map_path)
        row = pc.index(table["id"], pa.scalar(identity)).as_py()
        if row < 0:
            continue
        ids = Reader(recipe.tokens / prefix)[row]
        entry = table.slice(row, 1).to_pylist()[0]
        print(f"\n## its tokens: {prefix}, document {row}\n")
        print(f"{entry['tokens']} tokens (EOD counted) for {entry['text_bytes']} bytes of text")
        pieces = " ".join(repr(tokenizer.piece(int(token))) for token in ids[:16])
        print(f"first pieces: {pieces}")
        assert ids[-1] == tokenizer.eod_id
        text = tokenizer.decode([int(token) for token in ids[:-1]])
        print(f"decoded again: {text[:80]!r} ...")
        return
    raise SystemExit(f"{identity} is in no map of {recipe.tokens}")


# %% [markdown]
# ## The run: what the model made of it all


# %%
def show_run(recipe: Recipe) -> None:
    """First and last events of the training run, and its result."""
    events = [
        json.loads(line)
        for line in (recipe.run_directory / "metrics.jsonl").read_text().splitlines()
    ]
    trained = [event for event in events if event["event"] == "train"]
    print(f"\n## the run {recipe.run.name}\n")
    for event in (trained[0], trained[-1]):
        print(
            json.dumps(
                {key: event[key] for key in ("iteration", "tokens", "loss", "gradient_norm")}
            )
        )
    result = json.loads((recipe.run_directory / "result.json").read_text())
    print(f"validation: {result['loss_valid']:.4f} nats per token, "
          f"{result['bits_per_byte_valid']:.4f} bits per byte")  # fmt: skip


# %%
def main(arguments: list[str]) -> None:
    """Recipe, and the document's id if a certain one is meant."""
    recipe = load_recipe(Path(arguments[0]))
    split, row = find_document(recipe, arguments[1] if len(arguments) > 1 else None)
    show_document(split, row)
    show_tokens(recipe, split, str(row["id"]))
    show_run(recipe)


if __name__ == "__main__":
    main(sys.argv[1:])
