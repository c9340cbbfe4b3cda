"""Recordings at http(s) addresses: streaming, redirections, private networks, failing servers."""

import datetime
import gzip
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from blocks.errors import BadAudio, BadInput, EngineUnavailable, NotAllowed, NotFound, TimedOut, TooLarge
from blocks.pinned_http import trusted_certificates
from tasks.audio import fetch as fetch_module
from tasks.audio.fetch import Fetched, fetch
from tests.fakes.serving import serve
from tests.processes import free_port

CONTENT = bytes(range(256)) * 4000
MB = 1_000_000
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Site:
    """A web site; `seen` holds host and path of each request."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Send) -> None:
        path, headers = scope["path"], dict(scope["headers"])
        self.seen.append((headers[b"host"].decode(), path))
        if path.startswith("/to/"):
            return await self._answer(send, 302, b"", location=scope["query_string"])
        if path.startswith("/status/"):
            return await self._answer(send, int(path.rsplit("/", 1)[1]), b"sorry")
        if path == "/packed.wav":
            return await self._answer(send, 200, gzip.compress(CONTENT), content_encoding=b"gzip")
        if path == "/notpacked.wav":
            return await self._answer(send, 200, CONTENT, content_encoding=b"gzip")
        if path == "/endless.wav":
            return await self._endless(send)
        return await self._answer(send, 200, b"" if path == "/empty.wav" else CONTENT)

    async def _answer(self, send: Send, status: int, body: bytes, **headers: bytes) -> None:
        pairs = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": body})

    async def _endless(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def url(site: Site) -> Iterator[str]:
    """The site's base URL on this machine."""
    with serve(site) as url:
        yield url


@pytest.fixture
def get(tmp_path: Path) -> Callable[..., Awaitable[Fetched]]:
    """Fetch with this machine's addresses allowed."""

    async def get(source: str, max_bytes: int = 10 * MB, allow_private: bool = True) -> Fetched:
        return await fetch(source, tmp_path / "target", max_bytes=max_bytes, allow_private=allow_private)

    return get


async def test_a_recording_is_streamed_and_named(url: str, get: Any, tmp_path: Path) -> None:
    fetched = await get(f"{url}/calls/Cu%E1%BB%99c%20g%E1%BB%8Di%0A%221%22.wav?token=abc#t=10")
    assert fetched.name == 'Cuộc gọi\n"1".wav'
    assert fetched.size_bytes == len(CONTENT)
    assert (tmp_path / "target").read_bytes() == CONTENT


async def test_a_packed_answer_is_unpacked_once(url: str, get: Any, tmp_path: Path) -> None:
    await get(f"{url}/packed.wav")
    assert (tmp_path / "target").read_bytes() == CONTENT
    with pytest.raises(EngineUnavailable):
        await get(f"{url}/notpacked.wav")


async def test_the_limit_holds_while_streaming(url: str, get: Any, tmp_path: Path) -> None:
    for path in ("endless.wav", "sound.wav"):
        with pytest.raises(TooLarge):
            await get(f"{url}/{path}", max_bytes=MB)
        assert (tmp_path / "target").stat().st_size <= MB


async def test_an_empty_answer_is_refused(url: str, get: Any) -> None:
    with pytest.raises(BadAudio, match="empty"):
        await get(f"{url}/empty.wav")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, NotFound),
        (410, NotFound),
        (401, BadInput),
        (403, BadInput),
        (204, BadInput),
        (304, BadInput),
        (429, EngineUnavailable),
        (500, EngineUnavailable),
        (503, EngineUnavailable),
    ],
)
async def test_each_status_has_its_error(url: str, get: Any, status: int, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        await get(f"{url}/status/{status}")
    assert type(caught.value) is error


async def test_secrets_of_an_address_stay_out_of_errors(url: str, get: Any) -> None:
    address = url.replace("://", "://user:pa55word@") + "/status/404?X-Amz-Signature=5ecret"
    with pytest.raises(NotFound) as caught:
        await get(address)
    assert "pa55word" not in str(caught.value)
    assert "5ecret" not in str(caught.value)


async def test_redirections_are_followed_up_to_five(url: str, get: Any) -> None:
    assert (await get(f"{url}/to/?{url}/sound.wav")).size_bytes == len(CONTENT)
    assert (await get(f"{url}/to/?/relative.wav")).size_bytes == len(CONTENT)
    with pytest.raises(BadInput, match="more than 5"):
        await get(f"{url}/to/again?again?again")


@pytest.mark.parametrize("place", ["file:///etc/passwd", "s3://bucket/key", "gopher://x/", "http://"])
async def test_redirections_lead_to_web_addresses_only(url: str, get: Any, place: str) -> None:
    with pytest.raises(BadInput):
        await get(f"{url}/to/?{place}")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"])
async def test_this_machine_is_not_reached_under_any_name(get: Any, url: str, site: Site, host: str) -> None:
    port = url.rsplit(":", 1)[1]
    with pytest.raises(NotAllowed, match="private"):
        await get(f"http://{host}:{port}/sound.wav", allow_private=False)
    assert site.seen == []


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Addresses of made-up names; each look-up takes the first, as long as there is more than one line."""
    known: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in known:
            return real(host, port, *args, **kwargs)
        line = known[host].pop(0) if len(known[host]) > 1 else known[host][0]
        return [entry for address in line.split() for entry in real(address, port, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


async def test_one_private_address_among_public_ones_is_enough_to_refuse(get: Any, names: Any) -> None:
    names["mixed.example"] = ["8.8.8.8 10.0.0.1"]
    with pytest.raises(NotAllowed):
        await get("http://mixed.example/a.wav", allow_private=False)


async def test_a_redirection_into_a_private_network_is_refused(
    get: Any, names: Any, url: str, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The only public machine at hand is this one: its address counts as public here, 127.0.0.2 does not.
    monkeypatch.setattr("blocks.web_address.is_public", lambda address: address == "127.0.0.1")
    port = url.rsplit(":", 1)[1]
    names["public.example"], names["inside.example"] = ["127.0.0.1"], ["127.0.0.2"]
    with pytest.raises(NotAllowed, match=r"inside\.example"):
        await get(f"http://public.example:{port}/to/?http://inside.example:{port}/x", allow_private=False)
    assert [path for _, path in site.seen] == ["/to/"]


async def test_a_name_that_changes_its_address_gains_nothing(get: Any, names: Any, url: str, site: Site) -> None:
    port = url.rsplit(":", 1)[1]
    names["rebound.example"] = ["127.0.0.1", "192.0.2.1"]
    assert (await get(f"http://rebound.example:{port}/sound.wav")).size_bytes == len(CONTENT)
    assert site.seen == [(f"rebound.example:{port}", "/sound.wav")]
    assert names["rebound.example"] == ["192.0.2.1"], "looked up once, connected to what was checked"


async def test_the_next_address_is_tried_when_one_does_not_answer(get: Any, names: Any, url: str) -> None:
    port = url.rsplit(":", 1)[1]
    names["double.example"] = ["::1 127.0.0.1"]
    assert (await get(f"http://double.example:{port}/sound.wav")).size_bytes == len(CONTENT)


async def test_unreachable_servers_are_worth_another_try(get: Any, unused_port: int) -> None:
    for source in (f"http://127.0.0.1:{unused_port}/a.wav", "http://no-such-host.invalid/a.wav"):
        with pytest.raises(EngineUnavailable) as caught:
            await get(source)
        assert caught.value.transient


@pytest.fixture
def unused_port() -> int:
    """A port nobody listens on."""
    return free_port()


@pytest.mark.parametrize(
    "bad", ["http://", "http://:80/x", "http://h:99999/x", "http://[::1/x", f"http://{'a' * 70}.x/"]
)
async def test_addresses_that_make_no_sense_are_refused(get: Any, bad: str) -> None:
    with pytest.raises(BadInput):
        await get(bad)


class Stubborn(BaseHTTPRequestHandler):
    """`/cut` promises more than it sends; anything else sends a byte, then nothing until `release` is set."""

    release: threading.Event

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"x")
        if self.path != "/cut":
            self.wfile.flush()
            self.release.wait(60)

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def stubborn() -> Iterator[ThreadingHTTPServer]:
    """A server that does not finish its answers."""
    Stubborn.release = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stubborn)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    Stubborn.release.set()
    server.shutdown()
    server.server_close()
    thread.join()


async def test_a_length_over_the_limit_is_refused_before_the_content(get: Any, stubborn: ThreadingHTTPServer) -> None:
    with pytest.raises(TooLarge):
        await get(f"http://127.0.0.1:{stubborn.server_port}/never-ends", max_bytes=999)


async def test_an_answer_that_breaks_off_is_worth_another_try(get: Any, stubborn: ThreadingHTTPServer) -> None:
    with pytest.raises(EngineUnavailable):
        await get(f"http://127.0.0.1:{stubborn.server_port}/cut")


async def test_a_server_that_dawdles_is_given_up(
    get: Any, stubborn: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_module, "LONGEST_FETCH_S", 0.2)
    with pytest.raises(TimedOut):
        await get(f"http://127.0.0.1:{stubborn.server_port}/slow")


def certificate(folder: Path, name: str) -> Path:
    """A self-signed certificate for a name, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / f"{name}.pem"
    path.write_bytes(private + made.public_bytes(encoding))
    return path


async def test_tls_is_checked_against_the_name_though_the_address_is_pinned(
    get: Any, names: Any, stubborn: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path, "recordings.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    monkeypatch.setattr("tasks.audio.fetch_http.trusted_certificates", trusted_certificates.__wrapped__)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    asked_for: list[str | None] = []
    context.sni_callback = lambda sock, name, ctx: asked_for.append(name)
    stubborn.socket = context.wrap_socket(stubborn.socket, server_side=True)
    names["recordings.example"] = names["impostor.example"] = ["127.0.0.1"]
    with pytest.raises(TooLarge):  # the headers came, so the handshake was accepted
        await get(f"https://recordings.example:{stubborn.server_port}/cut", max_bytes=999)
    with pytest.raises(EngineUnavailable, match=r"(?i)certificate"):
        await get(f"https://impostor.example:{stubborn.server_port}/cut", max_bytes=999)
    assert asked_for == ["recordings.example", "impostor.example"]
