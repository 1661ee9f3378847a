"""An endpoint in OpenAI's form on this machine, with failures on purpose: for figures and tests.

    python -m benchmarks.annotator_server [--faults all] [--never malformed]

It prints its port. A text's score follows from its own words alone, 0 to 5, so that a run through
failures can be compared with one without. Which requests fail, and how, follows from the text and
from how often it was asked about: with `--faults NAMES` (comma-separated, or `all`) about half of
the texts fail once or twice before they are answered; `--never NAME` fails one text in 16 always.
`GET /counts` answers with what it has seen.
"""

import hashlib
import json
import re
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated, Any

import typer

FAULTS = ("500", "503", "429", "stall", "cut", "reset", "malformed", "no_json", "no_choices")
STALL_SECONDS = 30.0
_TEXT = re.compile(r"<<<\n(.*)\n>>>", re.DOTALL)
_WORDS = re.compile(r"[a-z]+")


def score_of(text: str) -> int:
    """0 to 5 by the share of long words: a rule that words alone decide."""
    words = _WORDS.findall(text.lower())
    if not words:
        return 0
    share = sum(len(word) >= 8 for word in words) / len(words)
    return min(5, int(share * 24))


class Endpoint(ThreadingHTTPServer):
    """Counts what it is asked; `key`, if set, must come as the bearer's token."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(
        self,
        faults: tuple[str, ...] = (),
        never: str | None = None,
        key: str | None = None,
        port: int = 0,
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.faults, self.never, self.key = faults, never, key
        self.guard = threading.Lock()
        self.asked: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self.at_once = 0
        self.at_once_max = 0
        self.delay_seconds = 0.0
        self.stopped = threading.Event()

    @property
    def url(self) -> str:
        """What a recipe names."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def counts(self) -> dict[str, Any]:
        """Requests, texts, failures by kind, and the most requests at once."""
        with self.guard:
            return {
                "requests": sum(self.asked.values()),
                "texts": len(self.asked),
                "at_once_max": self.at_once_max,
                "seen": dict(self.seen),
            }

    def fault_of(self, text: str, number: int) -> str | None:
        """How the request about `text` fails, being its `number`-th (from 0); None: it does not."""
        digest = hashlib.sha256(text.encode()).digest()
        if self.never is not None and digest[0] % 16 == 0:
            return self.never
        if not self.faults or digest[1] % 2 or number > digest[2] % 2:
            return None
        return self.faults[(digest[3] + number) % len(self.faults)]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are what is tested; nothing to say."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Endpoint

    def log_message(self, format: str, *arguments: Any) -> None:
        """Silent."""

    def do_GET(self) -> None:
        self._send(200, json.dumps(self.server.counts()))

    def do_POST(self) -> None:
        server = self.server
        with server.guard:
            server.at_once += 1
            server.at_once_max = max(server.at_once_max, server.at_once)
        try:
            self.server.stopped.wait(server.delay_seconds)
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        finally:
            with server.guard:
                server.at_once -= 1

    def _answer(self, body: dict[str, Any]) -> None:
        server = self.server
        content = body["messages"][0]["content"]
        match = _TEXT.search(content)
        text = match.group(1) if match else content
        with server.guard:
            number = server.asked[text]
            server.asked[text] += 1
            fault = server.fault_of(text, number)
            server.seen[fault or "answered"] += 1
        sent = self.headers.get("Authorization", "")
        if server.key is not None and sent != f"Bearer {server.key}":
            self._send(401, json.dumps({"error": {"message": f"wrong key: {sent}"}}))
        elif self.path != "/v1/chat/completions":
            self._send(404, "{}")
        elif fault is None:
            # It repeats the key, as some do in their errors.
            self._say(f"As {sent} asks: long words were counted.\nScore: {score_of(text)}")
        else:
            self._fail(fault)

    def _fail(self, fault: str) -> None:
        if fault == "429":
            self._send(429, "slow down", {"Retry-After": "0"})
        elif fault.isdigit():
            self._send(int(fault), "no")
        elif fault == "stall":
            # The client goes away before: it does not count as one that waits.
            with self.server.guard:
                self.server.at_once -= 1
            self.server.stopped.wait(STALL_SECONDS)
            with self.server.guard:
                self.server.at_once += 1
            self.close_connection = True
        elif fault == "drip":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not self.server.stopped.wait(0.05):
                self.wfile.write(b"x")
        elif fault == "cut":
            self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"choices": [{"mes')
            self.close_connection = True
        elif fault == "reset":
            self.close_connection = True
        elif fault == "malformed":
            self._say("I would rather not say.")
        elif fault == "out_of_range":
            self._say("Score: 77")
        elif fault == "no_json":
            self._send(200, "<html>busy</html>")
        elif fault == "no_choices":
            self._send(200, json.dumps({"choices": []}))
        elif fault == "long":
            self._say("x" * 3_000_000)
        elif fault == "redirect":
            self._send(302, "", {"Location": "http://127.0.0.1:9/"})
        else:
            raise AssertionError(fault)

    def _say(self, content: str) -> None:
        message = {"role": "assistant", "content": content}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        self._send(200, json.dumps({"object": "chat.completion", "choices": [choice]}))

    def _send(self, status: int, body: str, headers: dict[str, str] | None = None) -> None:
        content = body.encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main(
    faults: Annotated[str, typer.Option(help="Names of failures, or `all`.")] = "",
    never: Annotated[str | None, typer.Option(help="A failure of one text in 16.")] = None,
) -> None:
    """Serve until the process is ended."""
    chosen = FAULTS if faults == "all" else tuple(filter(None, faults.split(",")))
    server = Endpoint(chosen, never)
    print(server.server_address[1], flush=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    typer.run(main)
