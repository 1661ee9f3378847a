"""Figures of annotators: an encoder and an endpoint, each distilled into fastText, and agreement.

The encoder is trained here, on one half of q_spamassassin, and annotates the other half; nothing of
it is tuned. The endpoint (`annotator_server.py`, a process of its own) counts long words in books
and news, and fails on purpose: every kind of failure it knows, in about half of the texts.
"""

import contextlib
import functools
import gzip
import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import xxhash

from benchmarks.annotator_server import FAULTS
from benchmarks.documents import DATA, REPOSITORY
from dataprep.models import annotate, classifier_training
from launch.recipe import Recipe

HELD_OUT_FRACTION = 0.3
ENDPOINT_DOCUMENTS = 1500
_VOCABULARY = 4000
_TOKENS = 128
_EPOCHS = 4
_BATCH = 32


def recipe_of(folder: Path, paths: list[str], annotator: dict[str, Any]) -> Recipe:
    """A recipe that annotates JSON lines, all of whose documents reach the classifier."""
    table = {
        "run": {"root": str(folder / "root"), "seed": 1},
        "sources": [{"name": "corpus", "kind": "jsonl", "paths": paths, "columns": {"id": "id"}}],
        "dataprep": {
            "signals": False,
            "languages": [],
            "presets": [],
            "quality": {"annotator": {"held_out_fraction": HELD_OUT_FRACTION, **annotator}},
        },
    }
    return Recipe.from_dict(table)


def agreement_of(recipe: Recipe) -> dict[str, Any]:
    """What a classifier trained from the answers agrees in, without texts."""
    found = dict(classifier_training.train_command(recipe)["quality"].facts["agreement"])
    del found["disagreements"], found["annotator"]["answers"]
    return found


def second_run(recipe: Recipe) -> dict[str, Any]:
    """What is asked if the same is annotated again."""
    again = annotate.annotate(recipe, force=True)["quality"]
    documents = again.manifest.facts["documents"]
    return {
        "documents": documents,
        "cache_hits_percent": 100 * (1 - again.num_asked / documents),
        "requests": again.num_requests,
    }


@functools.cache
def encoder() -> dict[str, Any]:
    """The encoder trained, its answers distilled, and both against the true labels."""
    rows = _labelled()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        taught = [row for row in rows if _half(row["text"]) == 0]
        train_encoder(folder / "model", taught)
        corpus = [row for row in rows if _half(row["text"]) == 1]
        (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
        settings = {
            "encoder": str(folder / "model"),
            "positive": ["ham"],
            "documents": len(corpus),
            "tokens_max": _TOKENS,
            "execution": {"batch_size": _BATCH},
        }
        recipe = recipe_of(folder, [str(folder / "corpus.jsonl")], settings)
        done = annotate.annotate(recipe)["quality"]
        truth = {f"corpus:{row['id']}": row["label"] == "ham" for row in corpus}
        answers = _answers(recipe)
        right = sum(truth[row["id"]] == row["positive"] for row in answers)
        return {
            "agreement": agreement_of(recipe),
            "encoder_right_on_new_documents": right / len(answers),
            "taught": len(taught),
            "unanswered": sum(done.manifest.facts["unanswered"].values()),
            "again": second_run(recipe),
        }


@functools.cache
def endpoint() -> dict[str, Any]:
    """An endpoint that fails and one that does not: the same labels, distilled; asked again."""
    paths = [str(DATA / name / "*.jsonl.gz") for name in ("en_books", "en_gov_news")]
    found: dict[str, Any] = {}
    digests = {}
    for kind, faults in (("plain", ""), ("failing", "all")):
        with tempfile.TemporaryDirectory() as name, serving(faults) as port:
            settings = {
                "model": "long-words",
                "documents": ENDPOINT_DOCUMENTS,
                "execution": {
                    "url": f"http://127.0.0.1:{port}/v1",
                    "requests_at_once": 16,
                    "wait_first_seconds": 0.05,
                    "wait_longest_seconds": 1.0,
                    "malformed_tries": 3,
                    "read_seconds": 2.0,
                },
            }
            recipe = recipe_of(Path(name), paths, settings)
            done = annotate.annotate(recipe)["quality"]
            digests[kind] = done.manifest.files_digest
            found[kind] = counts(port) | {
                "documents": done.manifest.facts["documents"],
                "answered": done.manifest.facts["answered"],
            }
            found["again"] = second_run(recipe)
            found["requests_at_the_server_after"] = counts(port)["requests"]
            found["agreement"] = agreement_of(recipe)
    found["same_labels"] = digests["plain"] == digests["failing"]
    return found


@contextlib.contextmanager
def serving(faults: str) -> Iterator[int]:
    """The port of an endpoint of its own process."""
    command = [sys.executable, "-m", "benchmarks.annotator_server", "--faults", faults]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def counts(port: int) -> dict[str, Any]:
    """What the endpoint has seen."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/counts") as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def train_encoder(directory: Path, rows: list[dict[str, Any]]) -> None:
    """A BERT of two layers and its WordPiece, learnt from `rows` alone, saved."""
    import tokenizers
    import torch
    import transformers

    directory.mkdir(parents=True)
    texts = [row["text"] for row in rows]
    pieces = tokenizers.BertWordPieceTokenizer(lowercase=True)
    pieces.train_from_iterator(texts, vocab_size=_VOCABULARY, show_progress=False)
    pieces.save_model(str(directory))
    tokenizer = transformers.BertTokenizerFast(str(directory / "vocab.txt"))
    tokenizer.save_pretrained(directory)
    names = ("spam", "ham")
    torch.manual_seed(1)
    config = transformers.BertConfig(
        vocab_size=pieces.get_vocab_size(),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=_TOKENS,
        id2label=dict(enumerate(names)),
        label2id={name: number for number, name in enumerate(names)},
    )
    model = transformers.BertForSequenceClassification(config).train()
    encoded = tokenizer(
        texts, truncation=True, max_length=_TOKENS, padding="max_length", return_tensors="pt"
    )
    labels = torch.tensor([names.index(row["label"]) for row in rows])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(_EPOCHS):
        for chosen in torch.randperm(len(rows)).split(_BATCH):
            loss = model(
                input_ids=encoded["input_ids"][chosen],
                attention_mask=encoded["attention_mask"][chosen],
                labels=labels[chosen],
            ).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.save_pretrained(directory)


def _labelled() -> list[dict[str, Any]]:
    paths = sorted((DATA / "q_spamassassin").glob("*.jsonl.gz"))
    if not paths:
        raise FileNotFoundError("q_spamassassin lies in shared/data beside the repository")
    rows = []
    for path in paths:
        with gzip.open(path, "rb") as lines:
            rows += [json.loads(line) for line in lines]
    return rows


def _half(text: str) -> int:
    """0 or 1, by the letters alone, so that no mail stands in both halves."""
    letters = "".join(filter(str.isalpha, text.lower()))
    return xxhash.xxh3_64_intdigest(letters.encode()) % 2


def _answers(recipe: Recipe) -> list[dict[str, Any]]:
    from dataprep.models.annotation_files import HELD_OUT, TRAINING, part, rows_of
    from launch.manifest import read_manifest

    directory = annotate.annotations_directory(recipe.run.root, "quality")
    manifest = read_manifest(directory, "annotations", 1)
    return [
        row for name in (TRAINING, HELD_OUT) for row in rows_of(part(manifest, directory, name))
    ]


def encoder_agreement() -> tuple[Any, str, bool]:
    """Cohen's kappa and the like between encoder and fastText, on unseen documents."""
    found = {key: value for key, value in encoder().items() if key != "again"}
    return found, "reported", found["agreement"]["kappa"] is not None and not found["unanswered"]


def endpoint_agreement() -> tuple[Any, str, bool]:
    """The same between endpoint and fastText."""
    found = endpoint()["agreement"]
    return found, "reported", found["kappa"] is not None


def endpoint_faults() -> tuple[Any, str, bool]:
    """Whether failures lose a document or change a label."""
    found = endpoint()
    failing = found["failing"]
    holds = (
        found["same_labels"]
        and failing["answered"] == failing["documents"] == ENDPOINT_DOCUMENTS
        and {*FAULTS} <= {*failing["seen"]}
    )
    value = {key: found[key] for key in ("plain", "failing", "same_labels")}
    return value, "no document lost, every failure seen", holds


def cache_second_run() -> tuple[Any, int, bool]:
    """Percent of answers that the cache has when the same is annotated again."""
    asked = endpoint()
    unchanged = asked["requests_at_the_server_after"] == asked["failing"]["requests"]
    value = {"endpoint": asked["again"], "encoder": encoder()["again"]}
    hits = min(part["cache_hits_percent"] for part in value.values())
    return value, 100, hits == 100 and unchanged


def figures() -> Iterator[tuple[str, Callable[[], tuple[Any, Any, bool | None]]]]:
    """Names and computations of all figures."""
    yield "annotator_encoder_agreement", encoder_agreement
    yield "annotator_endpoint_agreement", endpoint_agreement
    yield "annotator_endpoint_faults", endpoint_faults
    yield "annotator_cache_second_run", cache_second_run
