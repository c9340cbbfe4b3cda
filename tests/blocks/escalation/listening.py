"""A real HTTP server that people's messages come to."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Inbox:
    """What came.

    Attributes:
        address: `host:port`.
        messages: The bodies, in the order in which they came.
        paths: Where they came to, likewise.
        refuse: Whether messages are answered with 500.
    """

    address: str
    messages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    paths: list[str] = field(default_factory=list[str])
    refuse: bool = False

    @property
    def url(self) -> str:
        """As a channel of Apprise."""
        return f"json://{self.address}/first"


@contextmanager
def inbox() -> Iterator[Inbox]:
    """A server on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.messages.append(json.loads(body))
            found.paths.append(self.path)
            self.send_response(500 if found.refuse else 200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Inbox(f"127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
