"""The model card: a tokenizer's README, made from its manifest's facts and its evaluation."""

from collections.abc import Mapping
from typing import Any

from launch.manifest import Manifest


def model_card(manifest: Manifest, evaluation: Mapping[str, Any]) -> str:
    """Markdown for people; holds no date, so that equal tokenizers have equal cards."""
    facts = manifest.facts
    sample = facts["sample"]
    special = ", ".join(f"{name} {index}" for name, index in facts["special_ids"].items())
    left_out = ", ".join(f"{name} {count}" for name, count in sample["bytes_left_out"].items())
    return f"""# Tokenizer

SentencePiece {facts["model_type"]}, {facts["vocab_size"]} ids (a model's embedding is padded to
{facts["padded_vocab_size"]} rows), lossless: decoding gives every text back byte for byte.

- Model file: `{facts["model_file"]}`; `tokenizer.model` is a link to it.
- Special ids: {special}. Control symbols never come out of text.
- Trained on {sample["bytes_used"]} of {sample["bytes_seen"]} bytes, {sample["documents_used"]} of
  {sample["documents_seen"]} documents, seed {sample["seed"]}; left out, in bytes: {left_out}.
- Sample: `{sample["digest"]}`. Documents: `{manifest.inputs[0].digest}`.

## Measured

On {evaluation["all"]["documents"]} documents. Bytes are those of UTF-8; tokens do not count the
end of document; "bytes" is the share of tokens that are single bytes of rare characters.

{_table("Language", evaluation["languages"], evaluation["all"])}
{_table("Source", evaluation["sources"])}
{_table("Split", evaluation["splits"])}
Pieces that never occurred there: {evaluation["unused_pieces"]}. Round-trip failures: none.
"""


def _table(
    title: str, groups: Mapping[str, Mapping[str, Any]], total: Mapping[str, Any] | None = None
) -> str:
    rows = [
        f"| {title} | documents | bytes/token | characters/token | tokens/document | bytes |",
        "|---|---|---|---|---|---|",
    ]
    named = [*groups.items(), *([("all", total)] if total else [])]
    for name, counts in named:
        cells = [str(counts["documents"])] + [
            "-" if counts[key] is None else f"{counts[key]:.{digits}f}"
            for key, digits in (
                ("bytes_per_token", 3),
                ("characters_per_token", 3),
                ("tokens_per_document", 1),
                ("byte_fallback_share", 5),
            )
        ]
        rows.append(f"| {' | '.join([name, *cells])} |")
    return "\n".join(rows) + "\n"
