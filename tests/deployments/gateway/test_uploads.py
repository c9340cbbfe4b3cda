"""Uploads over real HTTP and raw sockets: limits kept while they stream, nothing left behind, nobody held up."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.conftest import ROOT
from tests.deployments.gateway.gateways import Gateway, start_gateway
from tests.deployments.gateway.submitting import leftovers, recording, submit, uploads
from tests.processes import until

BOUNDARY = "----boundary"
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def error(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    return response.json()["error"]


def part(name: str, content: bytes, head: str = "") -> bytes:
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{head}\r\n\r\n'.encode() + content + b"\r\n"


def file_part(content: bytes = b"RIFF", filename: str = "a.wav") -> bytes:
    return part("file", content, f'; filename="{filename}"')


END = f"--{BOUNDARY}--\r\n".encode()
FEATURES = part("features", b"raw_transcript")


class Raw:
    """A client of its own kind: it sends what it is told, byte by byte."""

    def __init__(self, gateway: Gateway, head: str) -> None:
        url = httpx.URL(gateway.url)
        self.socket = socket.create_connection((url.host, url.port or 80), timeout=60)
        key = f"X-API-Key: {gateway.secret}\r\nHost: {url.host}\r\n"
        self.send(f"POST /v1/process HTTP/1.1\r\n{key}{head}\r\n\r\n".encode())

    def send(self, content: bytes) -> None:
        self.socket.sendall(content)

    def answer(self) -> bytes:
        """All that comes until the gateway closes or says no more for a moment."""
        came = b""
        while b"\r\n\r\n" not in came and (chunk := self.socket.recv(65536)):
            came += chunk
        return came


def form_head(length: int | None = None) -> str:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n{size}"


def test_too_much_is_refused_while_it_streams(submitting: Gateway, store_path: Path) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield file_part()[:-2]
        while sent < 200_000_000:
            sent += 1 << 20
            yield bytes(1 << 20)

    with submitting.client() as client:
        fault = error(client.post("/v1/process", content=endless(), headers=MULTIPART), 413)
    assert fault["code"] == "FILE_TOO_LARGE"
    assert fault["details"]["max_size_mb"] == 5
    assert fault["details"]["file_size_mb"] > 5
    assert fault["details"]["filename"] == "a.wav"
    assert uploads(store_path) == []


def test_an_announced_size_is_refused_before_it_comes(submitting: Gateway) -> None:
    client = Raw(submitting, form_head(1_000_000_000))
    client.send(file_part())
    answer = client.answer()
    assert b" 413 " in answer.split(b"\r\n")[0]
    client.socket.close()


def test_a_size_at_the_limit_is_taken(submitting: Gateway) -> None:
    with submitting.client() as client:
        assert submit(client, bytes(5_000_000)).status_code == 202
        error(submit(client, bytes(5_000_001)), 413)


def test_other_files_are_refused_with_what_is_taken(submitting: Gateway) -> None:
    with submitting.client() as client:
        files = {"file": ("notes.pdf", b"%PDF", "application/pdf")}
        fault = error(client.post("/v1/process", data={"features": "raw_transcript"}, files=files), 415)
    assert fault["code"] == "UNSUPPORTED_FORMAT"
    details = fault["details"]
    assert (details["filename"], details["extension"], details["mime_type"]) == ("notes.pdf", ".pdf", "application/pdf")
    assert ".wav" in details["allowed_extensions"]
    assert "audio/mpeg" in details["allowed_mime_types"]


@pytest.mark.parametrize(
    ("filename", "kept"),
    [
        ("../../etc/passwd.wav", "passwd.wav"),
        ("C:\\calls\\a.wav", "a.wav"),
        ("..", "recording"),
        ("a%00b?.wav", "a_00b_.wav"),
        ("x\x01\x7fy\u202egpj.wav", "x__y_gpj.wav"),
        ("a" * 3000 + ".wav", "a" * 120 + ".wav"),
        ("họp sáng.mp3", "họp sáng.mp3"),
        (b"caf\xe9.wav", "caf_.wav"),
    ],
)
def test_names_are_made_safe(submitting: Gateway, store_path: Path, filename: str | bytes, kept: str) -> None:
    name = filename if isinstance(filename, bytes) else filename.encode()
    body = FEATURES + file_part(filename="@").replace(b"@", name) + END
    with submitting.client() as client:
        answer = client.post("/v1/process", content=body, headers=MULTIPART)
    assert answer.status_code == 202, answer.text
    assert [key.split("/", 2)[2] for key in uploads(store_path)] == [kept]


def test_an_extended_name_is_understood(submitting: Gateway, store_path: Path) -> None:
    body = FEATURES + part("file", b"RIFF", "; filename=x; filename*=UTF-8''h%E1%BB%8Dp.wav") + END
    with submitting.client() as client:
        assert client.post("/v1/process", content=body, headers=MULTIPART).status_code == 202
    assert uploads(store_path)[0].endswith("/họp.wav")


MALFORMED = {
    "empty body": b"",
    "no multipart": b"hello",
    "nothing": END,
    "no file": FEATURES + END,
    "empty file": FEATURES + file_part(b"") + END,
    "two files": FEATURES + file_part() + file_part() + END,
    "file under another name": FEATURES + part("audio", b"RIFF", '; filename="a.wav"') + END,
    "file without a name": FEATURES + part("file", b"RIFF") + END,
    "cut off in the file": FEATURES + file_part()[:-2],
    "cut off in the head": FEATURES + file_part()[:30],
    "cut off before the end": FEATURES + file_part() + END[:-4],
    "10,000 parts": b"".join(part(f"f{number}", b"x") for number in range(10_000)) + file_part() + END,
    "10,000 files": file_part() * 10_000 + END,
    "long field": part("hints", b"x" * 100_000) + file_part() + END,
    "field that is no UTF-8": part("hints", b"\xff\xfe") + FEATURES + file_part() + END,
    "head without end": f"--{BOUNDARY}\r\nX: ".encode() + b"x" * 1_000_000,
    "1,000 heads": f"--{BOUNDARY}\r\n".encode() + b"X-Y: z\r\n" * 1000 + b"\r\n" + END,
    "no disposition": f"--{BOUNDARY}\r\nContent-Type: a/b\r\n\r\nRIFF\r\n".encode() + END,
    "part with a wrong length": part("file", b"RIFF", '; filename="a.wav"\r\nContent-Length: 2') + END,
    "random": bytes(range(256)) * 5000,
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_form_is_refused(submitting: Gateway, store_path: Path, body: bytes) -> None:
    with submitting.client() as client:
        fault = error(client.post("/v1/process", content=body, headers=MULTIPART), 422)
    assert fault["code"] == "VALIDATION_ERROR"
    assert uploads(store_path) == []


WITHOUT_BOUNDARY = ("", "; boundary=", "; boundary=" + "b" * 1000)


@pytest.mark.parametrize(
    "content_type",
    ["", "\xff", "text/plain", "application/json", *(f"multipart/form-data{end}" for end in WITHOUT_BOUNDARY)],
)
def test_what_is_no_form_is_refused(submitting: Gateway, content_type: str) -> None:
    body = FEATURES + file_part() + END
    with submitting.client() as client:
        headers = {b"Content-Type": content_type.encode("latin-1")}
        assert error(client.post("/v1/process", content=body, headers=headers), 422)["code"] == "VALIDATION_ERROR"


def test_a_preamble_without_end_is_refused(submitting: Gateway) -> None:
    with submitting.client() as client:
        content = (b"\r\n" * 500_000 for _ in range(20))
        error(client.post("/v1/process", content=content, headers=MULTIPART), 413)


@pytest.mark.parametrize("length", [10_000, None], ids=["short of its length", "chunked without end"])
def test_a_client_that_stops_sending_gets_408(submitting: Gateway, store_path: Path, length: int | None) -> None:
    client = Raw(submitting, form_head(length))
    content = FEATURES + file_part()
    client.send(content if length else f"{len(content):x}\r\n".encode() + content + b"\r\n")
    assert b" 408 " in client.answer().split(b"\r\n")[0]
    client.socket.close()
    assert uploads(store_path) == []


def test_a_client_that_sends_a_byte_now_and_then_gets_408(submitting: Gateway) -> None:
    client = Raw(submitting, form_head(10_000))
    client.socket.settimeout(0.2)
    answer = b""
    deadline = time.monotonic() + 30
    while not answer:
        assert time.monotonic() < deadline, "the gateway waits for ever"
        client.send(b"-")
        try:
            answer = client.socket.recv(65536)
        except TimeoutError:
            continue
    assert b" 408 " in answer.split(b"\r\n")[0]
    client.socket.close()


def test_the_file_of_a_client_that_goes_away_goes_too(submitting: Gateway, store_path: Path) -> None:
    client = Raw(submitting, form_head(4_000_000))
    client.send(FEATURES + file_part(bytes(1_000_000)))
    until(lambda: leftovers(store_path))
    client.socket.close()
    until(lambda: not leftovers(store_path), 20)
    assert uploads(store_path) == []


def test_others_are_served_while_uploads_are_in_hand(submitting: Gateway, store_path: Path) -> None:
    waiting = [Raw(submitting, form_head(4_000_000)) for _ in range(20)]
    for client in waiting:
        client.send(FEATURES + file_part(bytes(1_000_000)))
    with submitting.client() as client:
        assert submit(client, recording("quick")).status_code == 202
    for client in waiting:
        client.socket.close()
    until(lambda: not leftovers(store_path), 20)


class Restarted:
    """A gateway with a store of its own that takes large files, and can be killed and started again."""

    def __init__(self, prefect_url: str, folder: Path) -> None:
        self._prefect_url, self._folder = prefect_url, folder
        self.store = folder / "store"
        self.start()

    def start(self) -> None:
        self.now = start_gateway(
            self._prefect_url,
            log=self._folder / "log",
            PYTHONPATH=str(ROOT),
            AUDIO_DIR=str(self.store),
            LOG_DIR=str(self._folder / "logs"),
            MAX_FILE_SIZE_MB="500",
        )


@pytest.fixture(scope="module")
def restarted(deployed: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restarted]:
    made = Restarted(deployed, tmp_path_factory.mktemp("restarted"))
    yield made
    made.now.stop()


def test_a_killed_gateway_leaves_a_file_that_the_next_one_removes(restarted: Restarted) -> None:
    client = Raw(restarted.now, form_head(4_000_000))
    client.send(FEATURES + file_part(bytes(1_000_000)))
    until(lambda: leftovers(restarted.store))
    restarted.now.process.kill()
    restarted.now.process.wait()
    client.socket.close()
    assert leftovers(restarted.store)
    restarted.start()
    assert leftovers(restarted.store) == []


@pytest.mark.parametrize("megabytes", [100, pytest.param(500, marks=pytest.mark.soak)])
def test_memory_stays_flat_under_a_large_upload(restarted: Restarted, megabytes: int) -> None:
    process = psutil.Process(restarted.now.process.pid)
    highest = 0

    def large() -> Iterator[bytes]:
        nonlocal highest
        yield FEATURES + file_part(b"")[:-2]
        for number in range(megabytes):
            yield number.to_bytes(4, "big") * 250_000
            highest = max(highest, process.memory_info().rss)
        yield b"\r\n" + END

    with restarted.now.client() as client:
        assert submit(client).status_code == 202  # everything that loads on the first upload is there
        before = process.memory_info().rss
        assert client.post("/v1/process", content=large(), headers=MULTIPART, timeout=300).status_code == 202
    assert highest - before < 50_000_000, f"{(highest - before) / 1e6:.0f} MB more"
