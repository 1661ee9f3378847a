"""The verb `annotate`: a sample of the documents, asked about, becomes labels of a classifier.

    sample     the recipe's own documents, personal data removed                 (annotation_sample)
    ask        an endpoint or an encoder about those that the cache does not hold
    write      ROOT/annotations/NAME: training, held out, unanswered; manifest.json last

Every document of the sample ends in exactly one of the three files. Answers are kept as they come,
so that whatever stops this, the same command goes on from there; and what the recipe makes of an
answer (pattern, positive_min) can change without a new request.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataprep.config_annotator import Annotator, described, prompt_of, without_execution
from dataprep.digest_cache import digest_cache
from dataprep.models import annotator_encoder, annotator_endpoint
from dataprep.models.annotation_answers import (
    QUALITY_PROMPT,
    Answer,
    MalformedError,
    check_pattern,
    key_of,
    read_encoder,
    read_endpoint,
    request_body,
)
from dataprep.models.annotation_files import KIND, VERSION, write
from dataprep.models.annotation_sample import Sampled, sampled
from dataprep.models.annotator_endpoint import Question
from dataprep.models.answer_cache import AnswerCache
from dataprep.models.classifier import NAMES, Name
from dataprep.reading import read
from launch.errors import UserError
from launch.lock import lock
from launch.log import get_logger, timed
from launch.manifest import FILE_NAME, Input, Manifest, digest_json, read_manifest
from launch.progress import progress

if TYPE_CHECKING:
    from launch.recipe import Recipe

# Tables of `dataprep` that only concern what comes after the sample.
_LATER_TABLES = (
    "exact", "near_duplicates", "indexes", "spans", "substrings", "survivors", "quality",
    "toxicity", "valid_fraction", "quarantine_share_max", "output",
)  # fmt: skip
_CHARACTERS_PER_TOKEN = 4  # of English; of Chinese about 1.5


@dataclass(frozen=True)
class Annotated:
    """What the verb has done: of the sample's answers, how many were known, and what was sent.

    `manifest` is that of the annotations; `num_requests` counts what went to an endpoint, and
    `num_asked` the documents that somebody was asked about.
    """

    manifest: Manifest
    num_known: int
    num_asked: int
    num_requests: int


@dataclass(frozen=True)
class _Task:
    """One annotator of a recipe, checked: questions can be made and answers read."""

    recipe: "Recipe"
    name: Name
    annotator: Annotator
    prompt: str
    classes: tuple[str, ...]
    encoder: str | None
    """Digest of the encoder's files."""

    @property
    def where(self) -> str:
        return f"dataprep.{self.name}"

    def question(self, text: str) -> Question:
        if self.encoder is None:
            body = request_body(text, self.annotator, self.prompt)
        else:
            tokens_max = self.annotator.tokens_max
            body = {"encoder": self.encoder, "tokens_max": tokens_max, "text": text}
        return Question(key_of(body), body)

    def read(self, content: str) -> Answer:
        if self.encoder is None:
            return read_endpoint(content, self.annotator)
        return read_encoder(content, self.annotator, self.classes)


def annotations_directory(root: Path, name: Name) -> Path:
    """Where the labels that an annotator gave lie."""
    return root / "annotations" / name


def annotate(recipe: "Recipe", *, force: bool = False) -> dict[Name, Annotated]:
    """Ask every annotator that the recipe names, unless its answers are there.

    With `force` unanswered documents are asked about again; answers in the cache stay.
    Raises UserError for what the user can mend, LockedError if somebody else is at it.
    """
    tasks = _tasks(recipe)
    done = {}
    for task in tasks:
        directory = annotations_directory(recipe.run.root, task.name)
        with lock(directory):
            inputs, config = _inputs(task, directory, write=True), _config(task)
            manifest = None if force else _current(directory, inputs, config)
            if manifest is not None:
                get_logger("dataprep").info("up to date: %s", directory)
                known = sum(entry.rows or 0 for entry in manifest.files)
                done[task.name] = Annotated(manifest, known, 0, 0)
            else:
                with timed(directory, "annotate"):
                    done[task.name] = _build(task, directory, inputs, config)
    return done


def print_plan(recipe: "Recipe") -> None:
    """What would be asked, and how much of it is known, on stdout; nobody is asked."""
    for task in _tasks(recipe):
        annotator = task.annotator
        directory = annotations_directory(recipe.run.root, task.name)
        current = _current(directory, _inputs(task, directory, write=False), _config(task))
        documents = sampled(recipe, annotator.documents)
        questions = [task.question(document.text) for document in documents]
        cache = AnswerCache(_cache_directory(task), read_only=True)
        unknown = _unknown(questions, cache)
        who = f"endpoint {annotator.execution.url}, model {annotator.model}"
        if task.encoder is not None:
            who = f"encoder {annotator.encoder} on {annotator.execution.device}"
        print(f"annotate: {directory}" + (" is up to date" if current else ""))
        print(f"  annotator  {who}")
        print(f"  documents  {len(documents):,} of {annotator.documents:,} that were asked for")
        print(f"  cache      {len(questions) - len(unknown):,} of them are known")
        if task.encoder is None:
            characters = sum(len(asked.body["messages"][0]["content"]) for asked in unknown)
            said = len(unknown) * annotator.answer_tokens_max
            tokens = characters // _CHARACTERS_PER_TOKEN
            print(f"  requests   {len(unknown):,}, and more where the endpoint fails")
            print(f"  sends      {characters:,} characters, about {tokens:,} tokens of English")
            print(f"  gets       at most {said:,} tokens")
        else:
            characters = sum(len(asked.body["text"]) for asked in unknown)
            print(f"  encodes    {len(unknown):,} documents, {characters:,} characters")


def identity(annotator: Annotator, prompt: str) -> dict[str, Any]:
    """What of an annotator decides its labels, for the manifest and to compare with it."""
    table = described(annotator)
    table["prompt"] = prompt if annotator.kind == "endpoint" else None
    del table["prompt_file"]
    return table


def resolved_prompt(name: Name, annotator: Annotator) -> str:
    """What the endpoint is asked; empty for an encoder. Raises UserError."""
    if annotator.kind == "encoder":
        return ""
    return prompt_of(annotator, QUALITY_PROMPT if name == "quality" else None, f"dataprep.{name}")


def _tasks(recipe: "Recipe") -> list[_Task]:
    tasks = []
    for name in NAMES:
        table = getattr(recipe.dataprep, name)
        if table is None or table.annotator is None:
            continue
        annotator, where = table.annotator, f"dataprep.{name}"
        prompt = resolved_prompt(name, annotator)
        check_pattern(annotator, where)
        classes: tuple[str, ...] = ()
        digest = None
        if annotator.kind == "encoder":
            annotator_encoder.check_packages()
            classes = annotator_encoder.encoder_classes(annotator, where)
            digest = annotator_encoder.encoder_digest(annotator, where)
        else:
            annotator_endpoint.endpoint_key(annotator.execution, where)
        tasks.append(_Task(recipe, name, annotator, prompt, classes, digest))
    if not tasks:
        raise UserError(
            "dataprep", "no table [dataprep.quality.annotator]", "an annotator",
            "model = \"NAME\" asks an endpoint, encoder = \"DIRECTORY\" a model on this machine",
        )  # fmt: skip
    return tasks


def _config(task: _Task) -> dict[str, Any]:
    tables = task.recipe.to_dict()
    dataprep = without_execution(tables["dataprep"])
    for key in _LATER_TABLES:
        dataprep.pop(key, None)
    return {
        "seed": task.recipe.run.seed,
        "annotator": identity(task.annotator, task.prompt),
        "sources": tables["sources"],
        "dataprep": dataprep,
    }


def _inputs(task: _Task, directory: Path, *, write: bool) -> list[Input]:
    with digest_cache(directory, write=write) as cache:
        inputs = read.inputs(task.recipe.sources, Path.cwd(), cache.digest)
    if task.encoder is not None:
        inputs.append(Input("encoder", task.encoder))
    return inputs


def _current(directory: Path, inputs: list[Input], config: dict[str, Any]) -> Manifest | None:
    """The manifest that is there, if it is of this configuration. Others are replaced: answers are
    a by-product, and none of them is lost."""
    if not (directory / FILE_NAME).exists():
        return None
    manifest = read_manifest(directory, KIND, VERSION)
    same = manifest.config_digest == digest_json(config) and manifest.inputs == tuple(inputs)
    return manifest if same else None


def _cache_directory(task: _Task) -> Path:
    chosen = task.annotator.execution.cache
    return Path(chosen) if chosen else task.recipe.run.root / "annotations" / "cache"


def _build(task: _Task, directory: Path, inputs: list[Input], config: dict[str, Any]) -> Annotated:
    logger = get_logger("dataprep")
    documents = sampled(task.recipe, task.annotator.documents)
    if not documents:
        raise UserError("sources", "no document that a classifier would meet", "at least one")
    questions = [task.question(document.text) for document in documents]
    with AnswerCache(_cache_directory(task)) as cache:
        unknown = _unknown(questions, cache)
        logger.info(
            "annotate: %d documents, %d answered in the cache, %d to ask",
            len(questions), len(questions) - len(unknown), len(unknown),
        )  # fmt: skip
        start = time.monotonic()
        reasons, num_requests = _ask(task, unknown, cache, len(questions))
        _log(directory, len(unknown), num_requests, time.monotonic() - start)
        answers, unanswered = _read_all(task, documents, questions, cache, reasons)
    _check_share(task, Counter(reason for _, reason in unanswered), len(documents))
    assert len(answers) + len(unanswered) == len(documents), "every document ends somewhere"
    seed, fraction = task.recipe.run.seed, task.annotator.held_out_fraction
    manifest = write(directory, answers, unanswered, seed, fraction, config, inputs)
    return Annotated(manifest, len(questions) - len(unknown), len(unknown), num_requests)


def _unknown(questions: Sequence[Question], cache: AnswerCache) -> list[Question]:
    """What nobody has been asked, each once: long documents may begin alike."""
    different = {question.key: question for question in questions}
    return [question for key, question in different.items() if cache.get(key) is None]


def _ask(
    task: _Task, unknown: Sequence[Question], cache: AnswerCache, num_documents: int
) -> tuple[dict[str, str], int]:
    """Ask, and keep what is answered: reasons by key of what is not, and the requests sent."""
    if not unknown:
        return {}, 0
    if task.encoder is None:
        return asyncio.run(_ask_endpoint(task, unknown, cache, num_documents))
    encoder = annotator_encoder.load(task.annotator, task.where)
    pairs = [(question.key, question.body["text"]) for question in unknown]
    batch_size = task.annotator.execution.batch_size
    with progress("dataprep: annotate", len(unknown)) as advance:
        for part in annotator_encoder.answers(encoder, pairs, batch_size):
            cache.add(part)
            advance(len(part))
    return {}, 0


async def _ask_endpoint(
    task: _Task, unknown: Sequence[Question], cache: AnswerCache, num_documents: int
) -> tuple[dict[str, str], int]:
    reasons: dict[str, str] = {}
    num_requests = num_answered = 0
    seed = task.recipe.run.seed
    with progress("dataprep: annotate", len(unknown)) as advance:
        outcomes = annotator_endpoint.ask(unknown, task.annotator, task.where, seed, cache)
        async for outcome in outcomes:
            num_requests += outcome.num_requests
            if outcome.reason is None:
                num_answered += 1
            else:
                reasons[outcome.key] = outcome.reason
                _check_share(task, Counter(reasons.values()), num_documents)
                _check_any(task, num_answered, reasons)
            advance(1)
    return reasons, num_requests


def _check_share(task: _Task, unanswered: Counter[str], num_documents: int) -> None:
    """Raise UserError if more is unanswered than the recipe allows."""
    share = task.annotator.unanswered_share_max
    if unanswered.total() > share * num_documents:
        reason, num = unanswered.most_common(1)[0]
        raise UserError(
            f"{task.where}.annotator", f"{unanswered.total():,} of {num_documents:,} documents "
            f"without an answer (most often: {reason}, {num:,})", f"a share of at most {share:g}",
            "the same command goes on from the answers that are there; unanswered_share_max sets "
            "the limit",
        )  # fmt: skip


def _check_any(task: _Task, num_answered: int, reasons: dict[str, str]) -> None:
    """Raise UserError if as many documents as are asked about at once all went unanswered."""
    if num_answered == 0 and len(reasons) >= max(3, task.annotator.execution.requests_at_once):
        reason = Counter(reasons.values()).most_common(1)[0][0]
        raise UserError(
            f"{task.where}.annotator", f"no answer at all ({reason})",
            f"answers from {task.annotator.execution.url}",
        )  # fmt: skip


def _read_all(
    task: _Task,
    documents: Sequence[Sampled],
    questions: Sequence[Question],
    cache: AnswerCache,
    reasons: dict[str, str],
) -> tuple[list[tuple[Sampled, Answer]], list[tuple[Sampled, str]]]:
    answers, unanswered = [], []
    for document, question in zip(documents, questions, strict=True):
        content = cache.get(question.key)
        if content is None:
            unanswered.append((document, reasons[question.key]))
            continue
        try:
            answers.append((document, task.read(content)))
        except MalformedError as error:
            unanswered.append((document, str(error)))
    return answers, unanswered


def _log(directory: Path, num_asked: int, num_requests: int, seconds: float) -> None:
    path = directory / "logs" / "requests.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        event = {"asked": num_asked, "requests": num_requests, "seconds": round(seconds, 3)}
        stream.write(json.dumps(event) + "\n")
