"""The directories `tokenizer/` and `tokens/`: what they promise to whoever reads them.

    tokenizer/  tokenizer-DIGEST.model     SentencePiece model, lossless profile
                vocabulary-DIGEST.tsv      id, piece (as JSON), score, kind
                evaluation-DIGEST.json     bytes per token and more, by language and source
                README.md, tokenizer.model, evaluation.json   for people; the last two are links
    tokens/     {train,valid}/shard-00000-DIGEST.bin, .idx   Megatron's format, EOD after each text
                {train,valid}/shard-00000-DIGEST.parquet     row -> id, source, tokens, text_bytes

`manifest.json` names every file but those for people. A tokenizer's facts: `special_ids`,
`vocab_size`, `padded_vocab_size`, `model_type`, `model_file`, `evaluation_file`, `sample`,
`bytes_per_token`. Those of tokens: `tokenizer_digest`, `dtype`, `eod_id`, `vocab_size`,
`padded_vocab_size`, `splits` and `by_source`. A document's tokens count its EOD.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from launch.errors import UserError
from launch.manifest import Manifest, digest_bytes, digest_file, read_manifest

if TYPE_CHECKING:
    import numpy as np

TOKENIZER_KIND = "tokenizer"
TOKENIZER_VERSION = 1
TOKENS_KIND = "tokens"
TOKENS_VERSION = 1

# The model's embedding is padded to a multiple of this here, so that no layout of tensor
# parallelism changes its shape.
VOCAB_MULTIPLE = 1024
# Longer texts are encoded in parts cut at line ends. The cut is part of the result: a piece that
# crosses it is not used there. Decoding is not affected.
PASSAGE_BYTES_MAX = 1 << 20

Split = Literal["train", "valid"]


def padded_vocab_size(vocab_size: int) -> int:
    """`vocab_size` rounded up to a multiple of 1,024."""
    return -(-vocab_size // VOCAB_MULTIPLE) * VOCAB_MULTIPLE


@dataclass(frozen=True)
class Tokenizer:
    """A trained tokenizer. Ids are below `vocab_size`; the model's rows, `padded_vocab_size`."""

    digest: str
    """The tokenizer directory's `files_digest`; tokens and runs record it."""
    vocab_size: int
    padded_vocab_size: int
    unk_id: int
    bos_id: int
    eos_id: int
    pad_id: int
    eod_id: int
    _processor: Any = field(repr=False, compare=False)

    def encode(self, text: str) -> "np.ndarray":
        """The ids of `text`, int32 of shape [tokens], without EOD."""
        return self.encode_batch([text.encode()])[0]

    def encode_batch(self, texts: Sequence[bytes], num_threads: int = 1) -> "list[np.ndarray]":
        """The ids of each UTF-8 text, int32 of shape [tokens], without EOD."""
        import numpy as np

        from tokenizer.passages import split_passages

        passages = [split_passages(text, PASSAGE_BYTES_MAX) for text in texts]
        flat = [passage for parts in passages for passage in parts]
        encoded = (
            self._processor.encode(flat, return_type="numpy", num_threads=num_threads)
            if flat
            else []
        )
        ends = [0]
        for parts in passages:
            ends.append(ends[-1] + len(parts))
        return [
            encoded[start] if end - start == 1 else np.concatenate([_none(), *encoded[start:end]])
            for start, end in pairwise(ends)
        ]

    def decode(self, ids: "Sequence[int] | np.ndarray") -> str:
        """The text of `ids`; control symbols (EOD among them) have none.

        Raises ValueError for an id outside the vocabulary: rows of the model's padding have no
        text. Ids that end inside a character of several byte pieces give U+FFFD there.
        """
        return self.decode_batch([ids])[0].decode()

    def decode_batch(
        self, documents: "Sequence[Sequence[int] | np.ndarray]", num_threads: int = 1
    ) -> list[bytes]:
        """The UTF-8 text of each sequence of ids, as `decode`."""
        import numpy as np

        arrays = [np.asarray(ids, dtype=np.int32) for ids in documents]
        for ids in arrays:
            if ids.size and not 0 <= ids.min() <= ids.max() < self.vocab_size:
                raise ValueError(f"ids {ids.min()} to {ids.max()}, not in 0..{self.vocab_size - 1}")
        if not arrays:
            return []
        return self._processor.decode(arrays, return_type=bytes, num_threads=num_threads)

    def piece(self, token_id: int) -> str:
        """The piece of an id as SentencePiece writes it (a space is U+2581)."""
        return self._processor.id_to_piece(token_id)

    def score(self, token_id: int) -> float:
        """SentencePiece's score of an id: rank of the merge (bpe), log probability (unigram)."""
        return self._processor.get_score(token_id)

    def kind(self, token_id: int) -> Literal["learned", "byte", "control", "unknown"]:
        """What an id stands for. `unknown` (one id) never comes out of `encode`."""
        if self._processor.is_byte(token_id):
            return "byte"
        if self._processor.is_control(token_id):
            return "control"
        return "unknown" if self._processor.is_unknown(token_id) else "learned"


def open_tokenizer(directory: Path) -> Tokenizer:
    """The finished tokenizer in `directory`.

    Raises UserError if there is none, if its model file is not the one that the manifest names, or
    if that model is not lossless.
    """
    from tokenizer.lossless import check_profile, load_processor

    manifest = read_manifest(directory, TOKENIZER_KIND, TOKENIZER_VERSION)
    facts = manifest.facts
    path = directory / facts["model_file"]
    entry = next(entry for entry in manifest.files if entry.path == facts["model_file"])
    model = path.read_bytes()
    if digest_bytes(model) != entry.digest:
        raise _changed(path, digest_bytes(model), entry.digest)
    check_profile(model, str(path))
    processor = load_processor(model)
    assert processor.get_piece_size() == facts["vocab_size"], path
    special = facts["special_ids"]
    return Tokenizer(
        digest=manifest.files_digest,
        vocab_size=facts["vocab_size"],
        padded_vocab_size=facts["padded_vocab_size"],
        unk_id=special["unk"],
        bos_id=special["bos"],
        eos_id=special["eos"],
        pad_id=special["pad"],
        eod_id=special["eod"],
        _processor=processor,
    )


def open_tokens(directory: Path, verify: bool = True) -> Manifest:
    """The manifest of a finished `tokens/` directory.

    With `verify` every file's content is compared with its digest, at the speed of the disk: one
    process of a run does it, the others pass False (existence and sizes are always checked).
    Raises UserError if there is no such directory or a file is not what the manifest says.
    """
    manifest = read_manifest(directory, TOKENS_KIND, TOKENS_VERSION)
    for entry in manifest.files if verify else ():
        path = directory / entry.path
        found = digest_file(path)
        if found != entry.digest:
            raise _changed(path, found, entry.digest)
    return manifest


def token_prefixes(manifest: Manifest, split: Split) -> list[str]:
    """Shards of a split, relative to the directory, in order: paths without `.bin` and `.idx`.

    A split without documents has none (Megatron's reader cannot open an empty `.bin`).
    """
    suffix = ".idx"
    return sorted(
        entry.path.removesuffix(suffix)
        for entry in manifest.files
        if entry.path.startswith(f"{split}/") and entry.path.endswith(suffix)
    )


def document_maps(manifest: Manifest, split: Split) -> list[str]:
    """The Parquet maps (row -> id, source, tokens, text_bytes) beside `token_prefixes`."""
    return [f"{prefix}.parquet" for prefix in token_prefixes(manifest, split)]


def _none() -> "np.ndarray":
    import numpy as np

    return np.empty(0, dtype=np.int32)


def _changed(path: Path, got: str, expected: str) -> UserError:
    hint = "the file was changed after it was written: build the stage again with --force"
    return UserError(str(path), f"content {got}", expected, hint)
