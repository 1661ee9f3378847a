"""An endpoint in OpenAI's form, asked about many texts, some at once, through every failure.

Asked again, after a wait that doubles and is varied by the question's digest: what answers 408,
425, 429 or 5xx, breaks off, stays silent or cannot be read. `Retry-After` (RFC 9110, 10.2.3) holds
for all requests. Not asked again: 400, 413 and 422, which speak of one text; that one stays
unanswered. Any other status stops everything in one line: the next text would meet it too.

aiohttp rather than requests, because one deadline then covers all of a request: name, connection,
each byte of header and body. A server that sends a byte a second meets no limit of requests.
The key is sent in one header and taken out of whatever a server says.
"""

import asyncio
import datetime
import os
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import orjson
import xxhash

from dataprep.config_annotator import Annotator, AnnotatorExecution
from dataprep.models.annotation_answers import MalformedError, read_endpoint
from dataprep.models.answer_cache import AnswerCache
from launch.errors import UserError

_AGAIN = (408, 425, 429)
_OF_ONE_TEXT = (400, 413, 422)
_BLOCK_BYTES = 1 << 16
_SHOWN_CHARACTERS = 200
_KEY_SHOWN = "<KEY>"


@dataclass(frozen=True)
class Question:
    """A request's body, and its digest (`annotation_answers.key_of`)."""

    key: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What came of a question: `content` is what was said, `reason` why it is no answer.

    Both are there if something was said that cannot be read. `num_requests` counts what was sent.
    """

    key: str
    content: str | None
    reason: str | None
    num_requests: int


class _FailedError(Exception):
    """A request that may be made again; the message is the reason."""

    def __init__(self, reason: str, wait_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds


class _RefusedError(Exception):
    """A request that is refused for its text."""


class _UnreadableError(Exception):
    """An answer that cannot be read; `content` is what was said, if anything."""

    def __init__(self, reason: str, content: str | None = None) -> None:
        super().__init__(reason)
        self.content = content


@dataclass
class _Gate:
    """When requests may go out again; moved by Retry-After."""

    opens: float = 0.0

    async def passed(self) -> None:
        loop = asyncio.get_running_loop()
        while (seconds := self.opens - loop.time()) > 0:
            await asyncio.sleep(seconds)


@dataclass(frozen=True)
class _Asker:
    session: aiohttp.ClientSession
    annotator: Annotator
    where: str
    key: str | None
    seed: int
    gate: _Gate

    @property
    def execution(self) -> AnnotatorExecution:
        return self.annotator.execution


def endpoint_key(execution: AnnotatorExecution, where: str) -> str | None:
    """The key from the environment. Raises UserError, which never shows it, for one that is not
    there or cannot be sent."""
    name = execution.key_variable
    if name is None:
        return None
    place = f"{where}.annotator.execution.key_variable"
    key = os.environ.get(name, "").strip()
    if not key:
        raise UserError(
            place, f"nothing in the environment variable {name}", "the key", "export it"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UserError(place, f"characters in {name} that no header may hold", "printable ASCII")
    return key


async def ask(
    questions: Sequence[Question], annotator: Annotator, where: str, seed: int, cache: AnswerCache
) -> AsyncIterator[Outcome]:
    """The outcome of each question, as soon as it is there and, if something was said, in `cache`.

    Raises UserError for what the next question would meet too: a key that is refused, a model or
    an address that is not there, a certificate that does not hold, a wait beyond the recipe's.
    """
    execution = annotator.execution
    key = endpoint_key(execution, where)
    timeout = aiohttp.ClientTimeout(
        total=execution.total_seconds,
        sock_connect=execution.connect_seconds,
        sock_read=execution.read_seconds,
    )
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    waiting = iter(questions)
    outcomes: asyncio.Queue[Outcome] = asyncio.Queue(execution.requests_at_once)
    async with aiohttp.ClientSession(
        timeout=timeout,
        headers=headers,
        connector=aiohttp.TCPConnector(limit=execution.requests_at_once),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    ) as session:
        asker = _Asker(session, annotator, where, key, seed, _Gate())

        async def work() -> None:
            for question in waiting:
                outcome = await _outcome(asker, question)
                if outcome.content is not None:
                    # On the disk before anything can stop this.
                    cache.add([(outcome.key, outcome.content)])
                await outcomes.put(outcome)

        num_workers = min(execution.requests_at_once, len(questions))
        workers = [asyncio.create_task(work()) for _ in range(num_workers)]
        try:
            for _ in questions:
                yield await _next(outcomes, workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)


async def _next(outcomes: "asyncio.Queue[Outcome]", workers: "list[asyncio.Task[None]]") -> Outcome:
    """The next outcome; what a worker raised, if that comes first."""
    getting = asyncio.create_task(outcomes.get())
    try:
        while True:
            running: set[asyncio.Task[Any]] = {task for task in workers if not task.done()}
            await asyncio.wait({getting, *running}, return_when=asyncio.FIRST_COMPLETED)
            # What was answered comes first: it was paid for.
            if getting.done():
                return getting.result()
            for worker in workers:
                if worker.done():
                    worker.result()
    finally:
        getting.cancel()


async def _outcome(asker: _Asker, question: Question) -> Outcome:
    execution = asker.execution
    content, reason, unreadable = None, "", 0
    for number in range(1, execution.tries + 1):
        wait_seconds = None
        await asker.gate.passed()
        try:
            return Outcome(question.key, await _request(asker, question), None, number)
        except _RefusedError as error:
            return Outcome(question.key, None, str(error), number)
        except _UnreadableError as error:
            content, reason, unreadable = error.content, str(error), unreadable + 1
            if unreadable >= execution.malformed_tries:
                return Outcome(question.key, content, reason, number)
        except _FailedError as error:
            content, reason, wait_seconds = None, str(error), error.wait_seconds
        if wait_seconds is not None:
            _hold(asker, wait_seconds)
        elif number < execution.tries:
            await asyncio.sleep(backoff_seconds(execution, question.key, number, asker.seed))
    return Outcome(question.key, content, f"{reason}, {execution.tries} times", execution.tries)


def backoff_seconds(execution: AnnotatorExecution, key: str, number: int, seed: int) -> float:
    """The wait after try `number` (from 1): doubled each time, times 0.5 to 1.5 by key and seed."""
    draw = xxhash.xxh3_64_intdigest(f"{key} {number} {seed}".encode()) / 2.0**64
    longest = execution.wait_longest_seconds
    doubled = execution.wait_first_seconds * 2.0 ** min(number - 1, 60)
    return min(longest, min(longest, doubled) * (0.5 + draw))


def _hold(asker: _Asker, seconds: float) -> None:
    longest = asker.execution.retry_after_seconds_max
    if seconds > longest:
        raise UserError(
            asker.execution.url, f"Retry-After of {seconds:.0f} s", f"at most {longest:.0f} s",
            "start again then: the same command goes on from the answers that are there",
        )  # fmt: skip
    opens = asyncio.get_running_loop().time() + seconds
    asker.gate.opens = max(asker.gate.opens, opens)


async def _request(asker: _Asker, question: Question) -> str:
    """What the endpoint says to one request, if it can be read."""
    url = asker.execution.url.rstrip("/") + "/chat/completions"
    try:
        async with asker.session.post(url, json=question.body, allow_redirects=False) as response:
            body = await _bounded(response, asker.execution.answer_bytes_max)
            status, headers = response.status, response.headers
    except TimeoutError:
        raise _FailedError("no answer in time") from None
    except (aiohttp.ClientSSLError, ssl.SSLError) as error:
        # The error's text is OpenSSL's; that of the request would show its headers.
        raise UserError(
            asker.execution.url, f"a failure of TLS ({type(error).__name__})",
            "a certificate that holds for this host",
            "SSL_CERT_FILE names the certificates of an authority of your own",
        ) from None  # fmt: skip
    except aiohttp.ClientConnectorError:
        raise _FailedError("no connection") from None
    except (aiohttp.ClientError, OSError) as error:
        raise _FailedError(f"the connection broke off ({type(error).__name__})") from None
    if status == 200:
        return _said(asker, body, headers)
    if status in _OF_ONE_TEXT:
        raise _RefusedError(f"HTTP {status}")
    if status in _AGAIN or status >= 500:
        raise _FailedError(f"HTTP {status}", retry_after_seconds(headers.get("Retry-After")))
    raise UserError(
        url, f"HTTP {status}{_shown(asker, body)}", "200",
        "401 and 403: the key; 404: the address or the model; 3xx: redirects are not followed",
    )  # fmt: skip


async def _bounded(response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    pieces = bytearray()
    while piece := await response.content.read(_BLOCK_BYTES):
        pieces += piece
        if len(pieces) > bytes_max:
            response.close()
            raise _UnreadableError("an answer that is too long")
    return bytes(pieces)


def _said(asker: _Asker, body: bytes, headers: Any) -> str:
    if headers.get("Content-Encoding", "identity") != "identity":
        raise _UnreadableError("an encoding that was not asked for")
    try:
        content = orjson.loads(body)["choices"][0]["message"]["content"]
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError):
        raise _UnreadableError("no completion in OpenAI's form") from None
    if not isinstance(content, str):
        raise _UnreadableError("a completion without text")
    content = _without_key(asker, content)
    try:
        read_endpoint(content, asker.annotator)
    except MalformedError as error:
        raise _UnreadableError(str(error), content) from None
    return content


def _shown(asker: _Asker, body: bytes) -> str:
    """The beginning of what a server says of an error, for one line of a terminal."""
    said = " ".join(_without_key(asker, body.decode("utf-8", "replace")).split())
    said = "".join(character if character.isprintable() else "?" for character in said)
    return f" ({said[:_SHOWN_CHARACTERS]})" if said else ""


def _without_key(asker: _Asker, said: str) -> str:
    return said if asker.key is None else said.replace(asker.key, _KEY_SHOWN)


def retry_after_seconds(value: str | None) -> float | None:
    """Seconds of a header Retry-After, a number or a date; None where it says nothing."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    with suppress(ValueError, TypeError):
        then = parsedate_to_datetime(value)
        if then.tzinfo is None:
            then = then.replace(tzinfo=datetime.UTC)
        return max(0.0, (then - datetime.datetime.now(datetime.UTC)).total_seconds())
    return None
