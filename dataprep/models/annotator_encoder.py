"""An encoder for sequence classification from a directory of this machine, as an annotator.

Nothing is loaded but numbers: weights from safetensors alone, no code of the model's own, nothing
from a network. A head of one output is a score; one of several is a choice between the classes that
its configuration names. `transformers` is an optional extra; torch that of pretraining.

A text's numbers do not depend on which others are asked with it: batches are always full and of a
few fixed lengths, so that the same kernels run, and numbers are rounded to four places.
"""

import importlib.util
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataprep.config_annotator import Annotator
from launch.errors import UserError
from launch.manifest import digest_file, digest_json

_FILES = ("*.json", "*.safetensors", "*.txt", "*.model")
_LENGTH_TOKENS = 64
_PLACES = 4
# Longer tokens are rarer than texts that are hundreds of megabytes of blanks.
_CHARACTERS_PER_TOKEN_MAX = 64
_BATCHES_AT_ONCE = 32
# What transformers raises for directories that are damaged or of another kind.
_BROKEN = (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, AttributeError)


@dataclass(frozen=True)
class Encoder:
    """A loaded model: its tokenizer, the names of its classes (none: it gives scores)."""

    model: Any
    tokenizer: Any
    classes: tuple[str, ...]
    tokens_max: int


def check_packages() -> None:
    """Raise UserError, with the command, if what an encoder needs is not installed."""
    for name in ("torch", "transformers"):
        if importlib.util.find_spec(name) is None:
            raise UserError(
                f"package {name}", "none", "torch and transformers, for an encoder",
                "pip install 'gristmill[annotate]'",
            )  # fmt: skip


def encoder_digest(annotator: Annotator, where: str) -> str:
    """Digest of the files that are read of the encoder's directory, names and contents.

    Raises UserError if it is no directory of such a model, or has no weights in safetensors.
    """
    place = f"{where}.annotator.encoder"
    directory = _directory(annotator, place)
    found = {path.name: path for pattern in _FILES for path in directory.glob(pattern)}
    return digest_json({name: digest_file(path) for name, path in sorted(found.items())})


def encoder_classes(annotator: Annotator, where: str) -> tuple[str, ...]:
    """Names of the classes, in the order of its outputs; none for a head of one output.

    Raises UserError if the recipe's `positive` names none of them.
    """
    place = f"{where}.annotator.encoder"
    config = _config(_directory(annotator, place), place)
    if config.get("problem_type") == "multi_label_classification":
        got = "a head that gives several classes at once"
        raise UserError(place, got, "one that gives a score or chooses one class")
    names = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    if len(names) == 1 or config.get("problem_type") == "regression":
        return ()
    classes = tuple(str(names[key]) for key in sorted(names, key=int))
    if not {*annotator.positive} & {*classes} or {*annotator.positive} - {*classes}:
        raise UserError(
            f"{where}.annotator.positive", f"{list(annotator.positive)}", f"some of {list(classes)}"
        )
    return classes


def load(annotator: Annotator, where: str) -> Encoder:
    """The model, on its device. Raises UserError with the reason if it cannot be loaded whole."""
    place = f"{where}.annotator.encoder"
    directory = _directory(annotator, place)
    classes = encoder_classes(annotator, where)
    check_packages()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import safetensors
    import torch
    import transformers

    device = annotator.execution.device
    if device != "cpu" and not torch.cuda.is_available():
        got = f"'{device}', and no GPU that torch sees"
        raise UserError(f"{where}.annotator.execution.device", got, "cpu")
    # Bars are launch.progress's.
    transformers.utils.logging.disable_progress_bar()
    options = {"local_files_only": True, "trust_remote_code": False}
    try:
        model, told = transformers.AutoModelForSequenceClassification.from_pretrained(
            str(directory), use_safetensors=True, output_loading_info=True, **options
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(directory), **options)
    except (*_BROKEN, safetensors.SafetensorError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            place, f"what cannot be loaded ({said[0][:200]})", "a model of transformers"
        ) from None
    if told["missing_keys"] or told.get("mismatched_keys"):
        # transformers draws them at random and goes on.
        missing = sorted(str(key) for key in told["missing_keys"])[:3]
        raise UserError(place, f"weights without {missing}", "all weights, the head's too")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
        model.config.pad_token_id = tokenizer.pad_token_id
    model = model.float().eval().to(device)
    return Encoder(model, tokenizer, classes, _tokens_max(annotator, model, tokenizer))


def answers(
    encoder: Encoder, questions: Sequence[tuple[str, str]], batch_size: int
) -> Iterator[list[tuple[str, str]]]:
    """For pairs of key and text, in parts: key and numbers, as a JSON list, of each.

    One number of a head of one output, else a probability for each class.
    """
    at_once = batch_size * _BATCHES_AT_ONCE
    for first in range(0, len(questions), at_once):
        yield from _some(encoder, questions[first : first + at_once], batch_size)


def _some(
    encoder: Encoder, questions: Sequence[tuple[str, str]], batch_size: int
) -> Iterator[list[tuple[str, str]]]:
    limit = encoder.tokens_max
    texts = [text[: limit * _CHARACTERS_PER_TOKEN_MAX] for _, text in questions]
    encoded = encoder.tokenizer(texts, truncation=True, max_length=limit)["input_ids"]
    by_length: dict[int, list[int]] = {}
    for place, tokens in enumerate(encoded):
        rounded = -(-max(1, len(tokens)) // _LENGTH_TOKENS) * _LENGTH_TOKENS
        by_length.setdefault(min(rounded, limit), []).append(place)
    for length, places in sorted(by_length.items()):
        for first in range(0, len(places), batch_size):
            own = places[first : first + batch_size]
            filled = own + [own[-1]] * (batch_size - len(own))
            rows = _numbers(encoder, [encoded[place] for place in filled], length)
            yield [
                (questions[place][0], json.dumps(row))
                for place, row in zip(own, rows, strict=False)
            ]


def _numbers(encoder: Encoder, rows: list[list[int]], length: int) -> list[list[float]]:
    import torch

    padded = encoder.tokenizer.pad(
        {"input_ids": rows}, padding="max_length", max_length=length, return_tensors="pt"
    )
    device = encoder.model.device
    with torch.inference_mode():
        logits = encoder.model(
            input_ids=padded["input_ids"].to(device),
            attention_mask=padded["attention_mask"].to(device),
        ).logits.double()
    numbers = logits.softmax(dim=-1) if encoder.classes else logits
    return [[round(value, _PLACES) for value in row] for row in numbers.cpu().tolist()]


def _tokens_max(annotator: Annotator, model: Any, tokenizer: Any) -> int:
    positions = getattr(model.config, "max_position_embeddings", None) or annotator.tokens_max
    if model.config.model_type in ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert"):
        # Their positions begin behind that of the padding token.
        positions -= model.config.pad_token_id + 1
    return min(annotator.tokens_max, positions, tokenizer.model_max_length)


def _directory(annotator: Annotator, place: str) -> Path:
    assert annotator.encoder is not None
    directory = Path(annotator.encoder)
    if not (directory / "config.json").is_file():
        raise UserError(
            place, f"'{directory}'", "a directory with config.json, weights and tokenizer",
            "nothing is downloaded: copy the model to this machine",
        )  # fmt: skip
    if not any(directory.glob("*.safetensors")):
        pickled = sorted(path.name for path in directory.glob("*.bin"))
        got = f"weights in {pickled[0]}, which may run code" if pickled else "no weights"
        raise UserError(place, got, "model.safetensors")
    if "auto_map" in _config(directory, place):
        raise UserError(place, "a model with code of its own (auto_map)", "one of transformers'")
    return directory


def _config(directory: Path, place: str) -> dict[str, Any]:
    try:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(place, f"a config.json that is no JSON ({error})", "a model") from None
    if not isinstance(config, dict):
        raise UserError(place, "a config.json without an object", "a model")
    return config
