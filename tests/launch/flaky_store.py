"""An object store that fails on purpose: moto's S3 server behind a proxy, both on loopback.

    python flaky_store.py SHARE_REFUSED SHARE_DROPPED SEED

prints the proxy's port. Of the requests it answers a share with 503 and breaks off a share, before
the request has reached the store, after it has, or in the middle of the answer.
"""

import http.client
import logging
import random
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from moto.server import ThreadedMotoServer

_HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}


class Proxy(ThreadingHTTPServer):
    """Forwards to the store at `store_port`, unless a draw says otherwise."""

    daemon_threads = True

    def __init__(self, store_port: int, refused: float, dropped: float, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.store_port, self.refused, self.dropped = store_port, refused, dropped
        self.draws = random.Random(seed)
        self.draws_lock = threading.Lock()

    def draw(self) -> str:
        """What becomes of the next request."""
        with self.draws_lock:
            number, way = self.draws.random(), self.draws.random()
        if number < self.refused:
            return "refuse"
        if number < self.refused + self.dropped:
            return "drop before" if way < 0.3 else "drop after" if way < 0.6 else "drop within"
        return "forward"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has given up is no news."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Proxy

    def answer(self) -> None:
        body = self.body()
        fate = self.server.draw()
        if fate == "refuse":
            content = b"<Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>"
            self.reply(503, [("Content-Type", "application/xml")], content)
            return
        if fate == "drop before":
            self.close_connection = True
            return
        store = http.client.HTTPConnection("127.0.0.1", self.server.store_port, timeout=60)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP_BY_HOP}
        headers["Content-Length"] = str(len(body))
        store.request(self.command, self.path, body, headers)
        answer = store.getresponse()
        content = answer.read()
        fields = [(k, v) for k, v in answer.getheaders() if k.lower() not in _HOP_BY_HOP]
        length = int(answer.getheader("Content-Length") or len(content))
        store.close()
        if fate == "drop after":
            self.close_connection = True
            return
        self.reply(answer.status, fields, content, length, cut=fate == "drop within")

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def reply(
        self,
        status: int,
        fields: list[tuple[str, str]],
        content: bytes,
        length: int | None = None,
        cut: bool = False,
    ) -> None:
        self.send_response_only(status)
        for key, value in fields:
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self.close_connection = True

    def log_message(self, format: str, *values: object) -> None:
        """Nothing is logged."""

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer


def main(refused: float, dropped: float, seed: int) -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    store = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    store.start()
    _, store_port = store.get_host_and_port()
    proxy = Proxy(store_port, refused, dropped, seed)
    print(proxy.server_address[1], store_port, flush=True)
    proxy.serve_forever()


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
