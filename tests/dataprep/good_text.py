"""What tests of perplexity share: good text that is made up, recipes, documents, models."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import zstandard

from dataprep.config import Normalize
from dataprep.config_perplexity import Perplexity
from dataprep.models import perplexity, perplexity_training
from dataprep.step import apply_chain
from launch.config import parse_model
from launch.manifest import Manifest

NOUNS = [
    "river",
    "mill",
    "valley",
    "stone",
    "water",
    "wheel",
    "farmer",
    "bridge",
    "garden",
    "winter",
    "morning",
    "village",
]
VERBS = ["turns", "carries", "crosses", "reaches", "follows", "keeps", "finds", "leaves"]
SHORT = [
    "the",
    "old",
    "quiet",
    "a",
    "small",
    "in",
    "by",
    "from",
    "every",
    "long",
    "under",
    "and",
    "near",
]


def english(number: int, seed: int = 1) -> list[str]:
    draw = random.Random(seed)
    texts = []
    for place in range(number):
        sentences = [
            f"The {draw.choice(SHORT)} {draw.choice(NOUNS)} {draw.choice(VERBS)} "
            f"{draw.choice(SHORT)} {draw.choice(NOUNS)} {draw.choice(SHORT)} {draw.choice(NOUNS)}."
            for _ in range(draw.randrange(6, 16))
        ]
        texts.append(" ".join(sentences) + f"\nNo {place}.")
    return texts


def chinese(number: int, seed: int = 2) -> list[str]:
    draw = random.Random(seed)
    parts = ["水车转动", "河流继续", "推动它的水", "老人走过桥", "冬天来了", "村庄很安静"]
    return ["，".join(draw.choices(parts, k=30)) + f"。{place}" for place in range(number)]


def write_lines(path: Path, texts: list[Any], column: str = "text") -> Path:
    content = "".join(json.dumps({column: text}) + "\n" for text in texts).encode()
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(content))
    elif path.suffix == ".zst":
        path.write_bytes(zstandard.compress(content))
    else:
        path.write_bytes(content)
    return path


def config_of(*paths: Path, **changes: Any) -> Perplexity:
    table = {"language": "en", "paths": [str(path) for path in paths]}
    table |= changes.pop("table", {})
    return parse_model(Perplexity, {"training": [table], **changes}, "dataprep.perplexity")


def trained_in(directory: Path, config: Perplexity, seed: int = 1) -> Manifest:
    return perplexity_training.train(config.training[0], config, Normalize(), directory, seed)


def documents(
    texts: list[str], languages: list[str] | None = None, reasons: list[str | None] | None = None
) -> pa.Table:
    num = len(texts)
    return pa.table(
        {
            "text": pa.array(texts, pa.large_string()),
            "language": pa.array(languages or ["en"] * num, pa.string()),
            "drop_reason": pa.array(reasons or [None] * num, pa.string()),
            "drop_value": pa.nulls(num, pa.float64()),
            "drop_threshold": pa.nulls(num, pa.float64()),
        }
    )


def scored(config: Perplexity, models: Path, table: pa.Table) -> dict[str, list[Any]]:
    return apply_chain([perplexity.make_step(config, models)], table).to_pydict()


def shuffled(text: str, seed: int = 4) -> str:
    parts = text.split()
    return " ".join(random.Random(seed).sample(parts, len(parts)))
