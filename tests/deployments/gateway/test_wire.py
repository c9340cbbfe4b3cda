"""Bytes that are no honest HTTP: each gets a typed refusal and the end of its connection, never a second meaning."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from blocks.settings import settings
from deployments.gateway.web import wire
from tests.deployments.gateway.gateways import SharedGateway
from tests.processes import eventually, until

GET = "GET /v1/models HTTP/1.1\r\nHost: c500\r\n"
POST = "POST /v1/process_text HTTP/1.1\r\nHost: c500\r\nContent-Type: application/json\r\n"
HIDDEN = "GET /v1/hidden HTTP/1.1\r\nHost: c500\r\n\r\n"


CLOSED = 99
"""More answers than come: read until the gateway closes the line."""


def talk(gateway: SharedGateway, text: str, expected: int = 1) -> list[tuple[int, bytes]]:
    """Send bytes as they are; the answers until there are as many as expected or the gateway closes the line."""
    host, port = gateway.url.removeprefix("http://").split(":")
    came = b""
    with socket.create_connection((host, int(port)), timeout=20) as line:
        line.sendall(text.replace("$KEY", gateway.secret).encode("latin-1"))
        while len(list(answers(came))) < expected and (piece := received(line)):
            came += piece
    return list(answers(came))


def received(line: socket.socket) -> bytes:
    try:
        return line.recv(65536)
    except ConnectionResetError:
        return b""


def answers(came: bytes) -> Iterator[tuple[int, bytes]]:
    """Status and body of each whole answer."""
    while b"\r\n\r\n" in came:
        head, _, came = came.partition(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        if len(came) >= length:
            yield int(head.split()[1]), came[:length]
        came = came[length:]


REFUSED = {
    "a header that goes on in the next line": GET + "X-API-Key: $KEY\r\n \tmore\r\n\r\n",
    "a lone carriage return": GET + "X-Other: 1\rX-API-Key: $KEY\r\n\r\n",
    "a NUL in a value": GET + "X-API-Key: $KEY\0\r\n\r\n",
    "a space before the colon": GET + "X-API-Key : $KEY\r\n\r\n",
    "a key twice": GET + "X-API-Key: $KEY\r\nx-api-key: $KEY\r\n\r\n",
    "a key and a wrong one": GET + f"X-API-Key: $KEY\r\nX-API-KEY: {'0' * 40}\r\n\r\n",
    "a wrong key and a right one": GET + f"X-API-Key: {'0' * 40}\r\nX-API-Key: $KEY\r\n\r\n",
    "a key and a wrong bearer": GET + f"X-API-Key: $KEY\r\nAuthorization: Bearer {'0' * 40}\r\n\r\n",
    "two keys in one value": GET + "X-API-Key: $KEY, $KEY\r\n\r\n",
    "a key in the address": "GET /v1/models?x-api-key=$KEY HTTP/1.1\r\nHost: c500\r\n\r\n",
    "a key in a cookie": GET + "Cookie: X-API-Key=$KEY\r\n\r\n",
    "a name with an underscore": GET + "X_API_Key: $KEY\r\n\r\n",
    "a key in Latin-1": GET + "X-API-Key: \xe9\xe8\xff\r\n\r\n",
    "an overlong key": GET + f"X-API-Key: {'k' * 9000}\r\n\r\n",
    "an endless head": GET + f"X-API-Key: {'k' * 200_000}\r\n\r\n",
    "two lengths": POST + "X-API-Key: $KEY\r\nContent-Length: 2\r\nContent-Length: 40\r\n\r\n{}" + HIDDEN,
    "a length and chunks": POST
    + "X-API-Key: $KEY\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + HIDDEN,
    "chunks and a length": POST
    + "X-API-Key: $KEY\r\nTransfer-Encoding: chunked\r\nContent-Length: 300\r\n\r\n0\r\n\r\n"
    + HIDDEN,
    "an unknown encoding": POST + "X-API-Key: $KEY\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "two encodings": POST
    + "X-API-Key: $KEY\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"
    + HIDDEN,
    "a negative length": POST + "X-API-Key: $KEY\r\nContent-Length: -1\r\n\r\n{}" + HIDDEN,
    "a length with a sign": POST + "X-API-Key: $KEY\r\nContent-Length: +2\r\n\r\n{}" + HIDDEN,
    "chunk sizes that are none": POST + "X-API-Key: $KEY\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n" + HIDDEN,
    "no HTTP at all": "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "a method with a NUL": "GE\0T / HTTP/1.1\r\nHost: c500\r\n\r\n",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_smuggled_headers_and_bodies_are_refused_with_a_typed_answer(shared_gateway: SharedGateway, text: str) -> None:
    came = talk(shared_gateway, text, CLOSED if HIDDEN in text else 1)
    status, body = came[0]
    assert status in (400, 401, 408, 422), came
    error = json.loads(body)["error"]
    assert error["code"] in ("MALFORMED_REQUEST", "UNAUTHORIZED", "VALIDATION_ERROR", "CLIENT_GONE"), error
    assert shared_gateway.secret.encode() not in body
    # What lies behind the first request is never taken for one more.
    assert len(came) == 1


def test_an_upgrade_to_a_websocket_opens_no_other_way_in(shared_gateway: SharedGateway) -> None:
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: YQ==\r\n"
    assert talk(shared_gateway, GET + upgrade + "\r\n")[0][0] == 401


def test_requests_one_after_another_on_a_line_each_need_a_key(shared_gateway: SharedGateway) -> None:
    came = talk(shared_gateway, GET + "X-API-Key: $KEY\r\n\r\n" + GET + "\r\n" + GET + "X-API-Key: $KEY\r\n\r\n", 3)
    assert [status for status, _ in came] == [200, 401, 200]


async def test_a_line_without_a_whole_head_is_closed_and_one_with_a_request_in_hand_is_not() -> None:
    async def slow(scope: object, receive: object, send: object) -> None:
        await asyncio.sleep(0.6)
        await send({"type": "http.response.start", "status": 204, "headers": []})  # type: ignore[operator]
        await send({"type": "http.response.body"})  # type: ignore[operator]

    class Hurried(wire.Protocol):
        head_s = 0.2

    server = uvicorn.Server(
        uvicorn.Config(slow, port=0, http=Hurried, ws="none", lifespan="off", log_level="critical")  # type: ignore[arg-type]
    )
    serving = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, dribbling = await asyncio.open_connection("127.0.0.1", port)
    dribbling.write(b"GET / HTTP/1.1\r\nHos")
    assert await asyncio.wait_for(reader.read(), 10) == b""
    reader, whole = await asyncio.open_connection("127.0.0.1", port)
    whole.write(b"GET / HTTP/1.1\r\nHost: c500\r\n\r\n")
    assert b"204" in await asyncio.wait_for(reader.readline(), 10)
    assert await asyncio.wait_for(reader.read(), 10)  # and closed once no other request comes
    for line in (dribbling, whole):
        line.close()
    server.should_exit = True
    await serving


async def served(app: object, kind: type[wire.Protocol]) -> tuple[object, object, int]:
    """An application on a free port: its server, the task that serves, and the port."""
    config = uvicorn.Config(app, port=0, http=kind, ws="none", lifespan="off", log_level="critical")  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    return server, serving, server.servers[0].sockets[0].getsockname()[1]


async def test_a_line_on_which_a_refused_body_still_comes_stays_open() -> None:
    async def refusing(scope: object, receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 429, "headers": [(b"content-length", b"0")]})  # type: ignore[operator]
        await send({"type": "http.response.body"})  # type: ignore[operator]

    class Hurried(wire.Protocol):
        head_s = 0.2

    server, serving, port = await served(refusing, Hurried)
    reader, line = await asyncio.open_connection("127.0.0.1", port)
    line.write(b"POST / HTTP/1.1\r\nHost: c500\r\nContent-Length: 100000000\r\n\r\n")
    began = time.monotonic()
    while time.monotonic() - began < 5 * Hurried.head_s:
        line.write(bytes(10_000))
        await line.drain()
        await asyncio.sleep(0.02)
    assert b"429" in await reader.readline()
    assert not reader.at_eof()
    assert await asyncio.wait_for(reader.read(), 10)  # and is closed when no more comes
    line.close()
    server.should_exit = True  # type: ignore[attr-defined]
    await serving  # type: ignore[misc]


async def test_an_address_gets_half_of_all_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(scope: object, receive: object, send: object) -> None:
        raise AssertionError("no request was made")

    monkeypatch.setenv("MAX_CONNECTIONS", "16")
    settings.cache_clear()
    server, serving, port = await served(nothing, wire.Protocol)
    lines = [await asyncio.open_connection("127.0.0.1", port) for _ in range(9)]
    assert b" 503 " in await asyncio.wait_for(lines[8][0].readline(), 10)
    lines[0][1].close()
    for _ in range(100):
        reader, line = await asyncio.open_connection("127.0.0.1", port)
        lines.append((reader, line))
        line.write(b"no http\r\n\r\n")
        if b" 400 " in await asyncio.wait_for(reader.readline(), 10):
            break
    else:
        raise AssertionError("no place came free")
    for _, line in lines:
        line.close()
    server.should_exit = True  # type: ignore[attr-defined]
    await serving  # type: ignore[misc]


def test_without_a_prefect_server_the_gateway_says_so(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    run = subprocess.run(
        [sys.executable, "-m", "deployments.gateway"],
        env=environment | {"PREFECT_HOME": str(tmp_path), "SECRET_API_KEY": "f" * 40, "API_PORT": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 2
    assert "PREFECT_API_URL" in run.stderr
    assert "fix:" in run.stderr


def test_none_of_this_was_a_fault_of_the_gateway(shared_gateway: SharedGateway) -> None:
    talk(shared_gateway, REFUSED["no HTTP at all"])
    until(lambda: shared_gateway.client().get("/v1/models").status_code == 200)
    assert shared_gateway.process.poll() is None
    assert "Traceback" not in (shared_gateway.logs / "gateway.log").read_text()
