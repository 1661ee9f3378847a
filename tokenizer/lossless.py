"""SentencePiece with a profile under which decode(encode(text)) is `text`, for any valid UTF-8.

Its defaults lose text: they normalise (NFKC), merge and strip spaces, and map unknown characters
to one symbol. Identity normalisation, kept whitespace, byte pieces for rare characters and no
dummy prefix close all holes but one: U+2581, by which SentencePiece means a space. It is escaped by
rules inside the model file: U+2581 -> U+10FFFD "1" and U+10FFFD -> U+10FFFD "0" before encoding,
back after decoding. Then also decode(encode(a) + encode(b)) = a + b.
Kudo and Richardson 2018 (SentencePiece); Sennrich et al. 2016 (BPE); Kudo 2018 (unigram).
"""

import io
import re
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from launch.errors import UserError
from launch.log import get_logger
from tokenizer.config import Tokenizer

# Code points in hexadecimal, source and target parted by a tab: SentencePiece's rule format.
NORMALIZATION_RULES = "2581\t10FFFD 31\n10FFFD\t10FFFD 30\n"
DENORMALIZATION_RULES = "10FFFD 31\t2581\n10FFFD 30\t10FFFD\n"

# Unigram sums floats per thread, so the number of threads is part of the result (and of the model
# file); BPE does not depend on it (checked 2026-11-21). Fixed, never the machine's cores.
NUM_THREADS = 16
SENTENCE_BYTES_MAX = 1 << 24
# Above this the trainer's 32-bit positions overflow.
LARGE_SAMPLE_BYTES = 1 << 30

_LINE_SECONDS = 10.0
_TOO_HIGH = re.compile(r"Vocabulary size too high \((\d+)\).*<= (\d+)")
_TOO_LOW = re.compile(r"Vocabulary size is smaller than required_chars\. (\d+) vs (\d+)")


def train_model(sentences: Iterator[bytes], config: Tokenizer, sample_bytes: int) -> bytes:
    """Train a model on `sentences`; the bytes of a SentencePiece `.model` file.

    The same sentences in the same order give the same bytes. A line is logged every 10 s.
    Raises UserError if the vocabulary is too large or too small for the sample.
    """
    outcome: list[bytes | BaseException] = []

    def work() -> None:
        try:
            outcome.append(_train(sentences, config, sample_bytes))
        except BaseException as error:  # handed over to the caller's thread below
            outcome.append(error)

    # The trainer lets go of Python's lock. In a thread of its own, so that Ctrl-C is heard.
    thread = threading.Thread(target=work, name="sentencepiece", daemon=True)
    thread.start()
    seconds = 0.0
    while thread.is_alive():
        thread.join(_LINE_SECONDS)
        seconds += _LINE_SECONDS
        if thread.is_alive():
            get_logger("tokenizer").info("training the model for %.0f s", seconds)
    result = outcome[0]
    if isinstance(result, bytes):
        return seal(result)
    raise _explain(result, config, sample_bytes)


def seal(model: bytes) -> bytes:
    """The model without the paths of its rule files, which are temporary and differ every time."""
    proto = sentencepiece_model_pb2.ModelProto.FromString(model)
    proto.normalizer_spec.normalization_rule_tsv = ""
    proto.denormalizer_spec.normalization_rule_tsv = ""
    sealed: bytes = proto.SerializeToString(deterministic=True)
    return sealed


def check_profile(model: bytes, where: str) -> None:
    """Raise UserError unless the model file has the lossless profile."""
    proto = sentencepiece_model_pb2.ModelProto.FromString(model)
    normalizer, trainer = proto.normalizer_spec, proto.trainer_spec
    faults = [
        fault
        for fault, present in (
            ("a normalisation of its own", normalizer.name != "user_defined"),
            ("a dummy prefix", normalizer.add_dummy_prefix),
            ("whitespace removed", normalizer.remove_extra_whitespaces),
            ("no escape of spaces", not normalizer.escape_whitespaces),
            ("no way back for U+2581", not proto.denormalizer_spec.precompiled_charsmap),
            ("no byte pieces", not trainer.byte_fallback),
        )
        if present
    ]
    if faults:
        expected = "the lossless profile of tokenizer/lossless.py"
        raise UserError(where, f"a model with {', '.join(faults)}", expected)


def load_processor(model: bytes) -> Any:
    """A `sentencepiece.SentencePieceProcessor` of a model file's bytes."""
    return sentencepiece.SentencePieceProcessor(model_proto=model)


def _train(sentences: Iterator[bytes], config: Tokenizer, sample_bytes: int) -> bytes:
    model = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="gristmill-") as name:
        normalization = Path(name) / "normalization.tsv"
        denormalization = Path(name) / "denormalization.tsv"
        normalization.write_text(NORMALIZATION_RULES, encoding="ascii")
        denormalization.write_text(DENORMALIZATION_RULES, encoding="ascii")
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=sentences,
            model_writer=model,
            model_type=config.model_type,
            vocab_size=config.vocab_size,
            character_coverage=config.character_coverage,
            split_digits=config.split_digits,
            allow_whitespace_only_pieces=config.whitespace_runs,
            max_sentencepiece_length=config.piece_characters_max,
            unk_id=0,
            bos_id=1,
            eos_id=2,
            pad_id=3,
            unk_piece="<unk>",
            bos_piece=config.bos_symbol,
            eos_piece=config.eos_symbol,
            pad_piece=config.pad_symbol,
            control_symbols=[config.eod_symbol, *config.control_symbols],
            # The lossless profile.
            normalization_rule_tsv=str(normalization),
            denormalization_rule_tsv=str(denormalization),
            byte_fallback=True,
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            # All of the sample, in its order.
            input_sentence_size=0,
            shuffle_input_sentence=False,
            max_sentence_length=SENTENCE_BYTES_MAX,
            train_extremely_large_corpus=sample_bytes > LARGE_SAMPLE_BYTES,
            num_threads=NUM_THREADS,
            minloglevel=2,
        )
    return model.getvalue()


def _explain(error: BaseException, config: Tokenizer, sample_bytes: int) -> BaseException:
    where, got = "tokenizer.vocab_size", str(config.vocab_size)
    if match := _TOO_HIGH.search(str(error)):
        expected = f"at most {match[2]} for a sample of {sample_bytes} bytes"
        hint = "more text, a larger tokenizer.sample_bytes, or this smaller vocabulary"
        return UserError(where, got, expected, hint)
    if match := _TOO_LOW.search(str(error)):
        expected = f"more than {match[2]}, the characters and symbols that need an id"
        hint = "a larger vocabulary, or a lower tokenizer.character_coverage (rest: bytes)"
        return UserError(where, got, expected, hint)
    return error
