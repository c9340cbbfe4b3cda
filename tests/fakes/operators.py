"""Those who get messages of operations, at a local HTTP address; and things that answer badly, for sources of facts."""

import json
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.fakes.serving import serve


class Operators:
    """Gets messages as Apprise's `json://` sends them.

    Attributes:
        messages: Subject and body of each, in order.
    """

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            part = await receive()
            body += part.get("body", b"")
            if not part.get("more_body"):
                break
        told = json.loads(body)
        self.messages.append((told["title"], told["message"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@contextmanager
def operators(folder: Path) -> Generator[tuple[Operators, Path]]:
    """Operators, and the channels file that leads to them."""
    listening = Operators()
    with serve(listening) as url:
        file = folder / "channels.yaml"
        channel = url.replace("http://", "json://")
        file.write_text(f"levels: [{{name: ops, channels: ['{channel}/'], acknowledge_within_s: 60}}]\n")
        yield listening, file


class Answering:
    """An HTTP server that answers everything with the same bytes."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": self.body})


def series(*values: float, first: float, step: float = 60, **labels: str) -> bytes:
    """What Prometheus answers to a range query: one series."""
    samples = [[first + number * step, str(value)] for number, value in enumerate(values)]
    result = [{"metric": labels, "values": samples}]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()


@contextmanager
def hanging() -> Generator[str]:
    """A server that takes connections and never says anything."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def take() -> None:
            with suppress(OSError):
                while True:
                    taken.append(listener.accept()[0])

        threading.Thread(target=take, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for one in taken:
                one.close()
