"""What a recipe says about annotators, whose answers become labels: frozen, no heavy import."""

import ipaddress
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from launch.config import Model
from launch.errors import UserError

PLACEHOLDER = "{text}"
# Keys of a request that other keys of the recipe decide, or that would change what an answer is.
_OWN_PARAMETERS = ("model", "messages", "temperature", "max_tokens", "stream", "n")


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class AnnotatorExecution(Model):
    """Table `[dataprep.quality.annotator.execution]`: how it is asked; outside every digest."""

    url: str = "http://127.0.0.1:8000/v1"
    """Address of the endpoint; requests go to URL/chat/completions."""
    key_variable: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")
    """Environment variable that holds the endpoint's key; unset: none is sent."""
    plain_http: bool = False
    """Whether http may leave this machine: texts and key can be read on the way."""
    cache: str | None = None
    """Directory of the answers, which several recipes may share; unset: ROOT/annotations/cache."""
    requests_at_once: int = Field(8, ge=1, le=1024)
    """Requests that are on their way at once."""
    tries: int = Field(6, ge=1, le=100)
    """Requests for one document, at most, where the endpoint fails."""
    malformed_tries: int = Field(2, ge=1, le=100)
    """Requests for one document, at most, where answers come but cannot be read."""
    wait_first_seconds: float = Field(1.0, ge=0.0, le=3600.0)
    """Wait before the second try, seconds; doubled for each later one, and varied by a half."""
    wait_longest_seconds: float = Field(60.0, ge=0.0, le=3600.0)
    """Longest such wait, seconds."""
    retry_after_seconds_max: float = Field(600.0, ge=0.0)
    """Longest Retry-After of the endpoint that is waited for, seconds; a longer one stops."""
    connect_seconds: float = Field(10.0, gt=0.0)
    """Time for a connection, seconds."""
    read_seconds: float = Field(120.0, gt=0.0)
    """Longest silence of an endpoint that has a request, seconds."""
    total_seconds: float = Field(300.0, gt=0.0)
    """Time for a request and its answer, seconds."""
    answer_bytes_max: int = Field(1_048_576, ge=256)
    """Longest answer that is read, bytes."""
    batch_size: int = Field(16, ge=1, le=4096)
    """Texts that an encoder sees at once."""
    device: str = Field("cpu", pattern=r"^(cpu|cuda(:[0-9]+)?)$")
    """Where an encoder runs: cpu, cuda or cuda:NUMBER."""

    @model_validator(mode="after")
    def _check_url(self) -> Self:
        where = "annotator.execution.url"
        parts = urlsplit(self.url)
        # The address is not shown where it may hold a secret.
        if parts.username is not None or parts.password is not None:
            raise UserError(where, "a user or password in it", "none: key_variable names the key")
        if parts.query or parts.fragment:
            raise UserError(where, "a '?' or '#' in it", "none: key_variable names the key")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(where, f"'{self.url}'", "https://HOST/v1, say")
        if parts.scheme == "http" and not self.plain_http and not is_loopback(parts.hostname):
            hint = "plain_http = true allows it: the texts and the key can be read on the way"
            raise UserError(where, f"'{self.url}'", "https beyond this machine", hint)
        return self


class Annotator(Model):
    """Table `[dataprep.quality.annotator]`: who labels a sample that the classifier learns from."""

    documents: int = Field(1000, ge=1, le=10_000_000)
    """Documents that are drawn and labelled."""
    held_out_fraction: float = Field(0.2, gt=0.0, lt=1.0)
    """Share of them that is never learnt from, and on which agreement is measured, 0 to 1."""
    model: str | None = Field(None, min_length=1)
    """Name of the endpoint's model; this, or `encoder`."""
    encoder: str | None = Field(None, min_length=1)
    """Directory of a Hugging Face model for sequence classification, with its tokenizer."""
    prompt: str | None = Field(None, max_length=65_536)
    """What the endpoint is asked; `{text}` stands for the text. Unset, for quality: our own."""
    prompt_file: str | None = None
    """File that holds the prompt."""
    characters_max: int = Field(4000, ge=16, le=1_000_000)
    """Length at which an endpoint's text is cut, characters."""
    tokens_max: int = Field(512, ge=8, le=1_000_000)
    """Length at which an encoder's text is cut, tokens of its tokenizer."""
    answer_tokens_max: int = Field(256, ge=1)
    """Longest answer that is asked for (`max_tokens`), tokens."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """More of the request, such as response_format = {type = "json_object"}."""
    pattern: str = Field(r"(?si).*score:[ *]*(?P<answer>-?[0-9]+(?:\.[0-9]+)?)", max_length=1000)
    """RE2 expression whose group `answer` is the score or the class in what the endpoint says."""
    json_path: str | None = None
    """Field of the answer, a JSON object, that is read instead; `a.b` is b inside a."""
    classes: tuple[str, ...] = ()
    """Answers that are classes; empty: answers are scores. An encoder's are those of its config."""
    positive: tuple[str, ...] = ()
    """Classes that mean positive."""
    score_min: float = 0.0
    """Smallest score."""
    score_max: float = 5.0
    """Largest score."""
    positive_min: float = 3.0
    """Score from which a document is positive."""
    unanswered_share_max: float = Field(0.05, ge=0.0, le=1.0)
    """Share of documents without an answer above which it stops, 0 to 1."""
    execution: AnnotatorExecution = AnnotatorExecution()
    """How it is asked."""

    @property
    def kind(self) -> Literal["endpoint", "encoder"]:
        """What answers."""
        return "endpoint" if self.encoder is None else "encoder"

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if (self.model is None) == (self.encoder is None):
            raise ValueError("one of model (an endpoint's) and encoder (a directory) must be set")
        if self.prompt is not None and self.prompt_file is not None:
            raise ValueError("prompt and prompt_file must not both be set")
        if self.prompt is not None and self.prompt.count(PLACEHOLDER) != 1:
            raise ValueError(f"prompt must hold {PLACEHOLDER} once")
        for name in _OWN_PARAMETERS:
            if name in self.parameters:
                raise ValueError(f"parameters must not hold '{name}'")
        return self

    @model_validator(mode="after")
    def _check_answers(self) -> Self:
        if self.json_path is None and "(?P<answer>" not in self.pattern:
            raise ValueError("pattern must have a group (?P<answer>...)")
        if self.classes and not set(self.positive) & set(self.classes):
            raise ValueError("positive must name some of classes")
        if set(self.positive) - set(self.classes) and self.kind == "endpoint":
            raise ValueError("positive must name some of classes")
        if not self.score_min <= self.positive_min <= self.score_max:
            raise ValueError("positive_min must lie between score_min and score_max")
        return self


def described(annotator: Annotator) -> dict[str, Any]:
    """What of the table decides a result, as JSON types: all of it but how it is asked."""
    table = annotator.model_dump(mode="json")
    table.pop("execution")
    return table


def without_execution(dataprep: dict[str, Any]) -> dict[str, Any]:
    """The dumped table `[dataprep]` without what only says how annotators are asked, in place."""
    for name in ("quality", "toxicity"):
        annotator = (dataprep.get(name) or {}).get("annotator")
        if annotator:
            annotator.pop("execution", None)
    return dataprep


def prompt_of(annotator: Annotator, default: str | None, where: str) -> str:
    """The prompt: the recipe's, that of its file, or `default`.

    Raises UserError for a file that is not there or without the placeholder.
    """
    if annotator.prompt is not None:
        return annotator.prompt
    if annotator.prompt_file is None:
        if default is None:
            raise UserError(f"{where}.annotator.prompt", "nothing", "a prompt, or a prompt_file")
        return default
    place = f"{where}.annotator.prompt_file"
    try:
        text = Path(annotator.prompt_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        got = f"'{annotator.prompt_file}' ({type(error).__name__})"
        raise UserError(place, got, "a text file") from None
    if text.count(PLACEHOLDER) != 1:
        raise UserError(place, f"{text.count(PLACEHOLDER)} times {PLACEHOLDER}", "once")
    return text
