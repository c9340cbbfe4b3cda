"""Servers on loopback: one that nobody may reach, and one with the attacker's pages."""

import json
import socket
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.redteam.parts import Page

READ_S = 0.05


class Canary:
    """A port that is never answered: whoever connects waits in the kernel's queue and is counted at the end."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.place = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def visits(self) -> list[bytes]:
        """What each that has connected sent first."""
        found: list[bytes] = []
        with suppress(BlockingIOError):
            while True:
                visitor, _ = self._socket.accept()
                with visitor:
                    visitor.settimeout(READ_S)
                    try:
                        found.append(visitor.recv(4096))
                    except TimeoutError:
                        found.append(b"")
        return found

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


@dataclass
class Served:
    """A web server.

    Attributes:
        place: Its `host:port`.
        pages: What it answers, by path; without a query.
        asked: Lines of the requests, as `GET /path?query`.
    """

    place: str
    pages: dict[str, Page] = field(default_factory=dict[str, Page])
    asked: list[str] = field(default_factory=list[str])


@contextmanager
def serving() -> Generator[Served]:
    """A web server for the block; pages may be added while it runs."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            served.asked.append(f"{self.command} {self.path}")
            page = served.pages.get(self.path.partition("?")[0], Page(status=404))
            content = page.body.encode()
            self.send_response(page.status)
            if page.location is not None:
                self.send_header("Location", page.location)
            if page.encoding is not None:
                self.send_header("Content-Encoding", page.encoding)
            self.send_header("Content-Type", page.kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = _answer

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is written."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Served(f"127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def prometheus_page(series: Sequence[Mapping[str, str]]) -> Page:
    """The answer of a Prometheus to any query."""
    result = [{"metric": dict(labels), "value": [1_790_000_000, "1"]} for labels in series]
    told = {"status": "success", "data": {"resultType": "vector", "result": result}}
    return Page(body=json.dumps(told), kind="application/json")
