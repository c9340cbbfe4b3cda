"""Thousands of broken, hostile and random requests: no 5xx, no file left, memory flat, the gateway alive."""

import gzip
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from math import ceil
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis.config import SchemathesisConfig

from blocks.accounts.account import TIERS, Account
from deployments.simulator.serve import simulate
from tests.conftest import ROOT
from tests.deployments.gateway.gateways import Gateway, start_gateway
from tests.deployments.gateway.submitting import ask, clear, job_runs, leftovers, recording, submit, uploads

BOUNDARY = b"fuzz"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY.decode()}"}
MEMORY_BYTES = 50_000_000


@dataclass
class Fuzz:
    """A gateway under fire, and what it answered.

    Attributes:
        gateway: It.
        client: A client with a key for everything.
        answers: Number of answers by status; 0 where the gateway closed without one.
    """

    gateway: Gateway
    client: httpx.Client
    answers: Counter[int] = field(default_factory=Counter[int])

    @property
    def address(self) -> tuple[str, int]:
        url = httpx.URL(self.gateway.url)
        return url.host, url.port or 80

    @property
    def key(self) -> dict[str, str]:
        return {"X-API-Key": self.gateway.secret}

    def saw(self, status: int, what: Any) -> None:
        self.answers[status] += 1
        assert status < 500, f"{status} for {what!r:.2000}"

    def post(self, body: bytes, headers: dict[str, str], path: str = "/v1/process") -> None:
        try:
            self.saw(self.client.post(path, content=body, headers=headers).status_code, (headers, body))
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            self.saw(0, body)

    def raw(self, request: bytes) -> None:
        """Send bytes as they are, and read the first line of the answer."""
        with socket.create_connection(self.address, timeout=60) as line:
            try:
                line.sendall(request)
                head = line.recv(4096).split(b"\r\n")[0].split()
            except (ConnectionError, BrokenPipeError):
                head = []
            self.saw(int(head[1]) if len(head) > 1 and head[1].isdigit() else 0, request)


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[Path]:
    """An accounts file that leads to a simulated provider."""
    model = {"price": {"input_usd": 1, "output_usd": 4}, "tiers": list(TIERS)}
    content: dict[str, Any] = {"name": "one", "provider": "openai", "key": "none", "models": {"small": model}}
    with simulate([Account.model_validate(content)]) as simulator:
        content["base_url"] = simulator.base_url("one")
        path = tmp_path / "accounts.yaml"
        path.write_text(yaml.safe_dump({"accounts": [content]}))
        yield path


@pytest.fixture
def fuzz(deployed: str, tmp_path: Path, accounts: Path) -> Iterator[Fuzz]:
    gateway = start_gateway(
        deployed,
        log=tmp_path / "gateway.log",
        PYTHONPATH=str(ROOT),
        AUDIO_DIR=str(tmp_path / "store"),
        LLM_TEMPLATES_DIR=str(tmp_path / "templates"),
        ACCOUNTS_FILE=str(accounts),
        CLIENT_IDLE_S="0.3",
        MAX_FILE_SIZE_MB="2",
        MAX_QUEUE_DEPTH="100000",
    )
    with gateway.client() as client:
        yield Fuzz(gateway, client)
    gateway.stop()
    ask(deployed, clear)


@pytest.mark.parametrize("requests", [200, pytest.param(10_000, marks=pytest.mark.soak)])
def test_nothing_brings_it_down(fuzz: Fuzz, deployed: str, tmp_path: Path, requests: int) -> None:
    process = psutil.Process(fuzz.gateway.process.pid)
    chance = random.Random(requests)
    from_schema(fuzz, requests // 4)
    mutations(fuzz, requests // 2, chance)
    warm = process.memory_info().rss
    from_schema(fuzz, requests // 4)
    mutations(fuzz, requests, chance)
    grown = process.memory_info().rss - warm
    print(f"{fuzz.answers.total()} answers {dict(sorted(fuzz.answers.items()))}, {grown / 1e6:.1f} MB more")
    assert grown < MEMORY_BYTES
    assert submit(fuzz.client, recording("alive")).status_code == 202
    store = tmp_path / "store"
    assert leftovers(store) == []
    wanted = {run.parameters["source"] for run in ask(deployed, job_runs)}
    assert {f"store://{key}" for key in uploads(store)} <= wanted, "an upload without a job was left"


def test_generated_keys_are_refused(fuzz: Fuzz) -> None:
    """Few: a wrong key is answered after two seconds, see test_auth.py."""
    schema = schemathesis.openapi.from_url(f"{fuzz.gateway.url}/docs/openapi.json", headers=fuzz.key)
    run_cases(fuzz, schema["/v1/process_text"]["POST"], 5, {})
    assert fuzz.answers.keys() == {401}


def from_schema(fuzz: Fuzz, requests: int) -> None:
    """Cases that schemathesis makes from our OpenAPI, valid and not, for all operations in turn."""
    # Without generated keys, see `test_generated_keys_are_refused`.
    config = SchemathesisConfig.from_dict({"generation": {"mode": "all", "with-security-parameters": False}})
    address = f"{fuzz.gateway.url}/docs/openapi.json"
    schema = schemathesis.openapi.from_url(address, headers=fuzz.key, config=config)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 10
    for operation in operations:
        run_cases(fuzz, operation, ceil(requests / len(operations)), fuzz.key)


def run_cases(fuzz: Fuzz, operation: Any, cases: int, headers: dict[str, str]) -> None:
    @given(case=operation.as_strategy())
    @hypothesis_settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def call(case: Any) -> None:
        try:
            answer = case.call(headers=headers, timeout=60)
        except Exception as error:  # noqa: BLE001 - a case that the client itself cannot send
            assert "Connection refused" not in str(error)
            return
        fuzz.saw(answer.status_code, f"{case.method} {case.formatted_path} {case.query} {case.body!r:.500}")

    call()


def mutations(fuzz: Fuzz, requests: int, chance: random.Random) -> None:
    """Forms and requests that no library would send, until so many were answered in all."""
    kinds: list[Callable[[Fuzz, random.Random], None]] = [
        mutated,
        mutated,
        mutated,
        hostile_name,
        random_bytes,
        many_parts,
        lying_length,
        chunked_without_end,
        wrong_head,
        squeezed,
        odd_json,
    ]
    for kind in cycle(kinds):
        if fuzz.answers.total() >= requests:
            return
        kind(fuzz, chance)


def form(content: bytes = b"RIFF", name: bytes = b"a.wav", **fields: bytes) -> bytes:
    parts = [b'form-data; name="%s"\r\n\r\n%s' % (key.encode(), value) for key, value in fields.items()]
    parts.append(b'form-data; name="file"; filename="%s"\r\n\r\n%s' % (name, content))
    heads = (b"--" + BOUNDARY + b"\r\nContent-Disposition: " + part + b"\r\n" for part in parts)
    return b"".join(heads) + b"--" + BOUNDARY + b"--\r\n"


def noise(chance: random.Random, most: int = 200) -> bytes:
    return chance.randbytes(chance.randrange(most))


def mutated(fuzz: Fuzz, chance: random.Random) -> None:
    """A good form with something cut out, doubled, swapped or put in."""
    body = form(noise(chance), features=b"raw_transcript", language=b"vi")
    for _ in range(chance.randrange(1, 4)):
        first, second = sorted(chance.randrange(len(body) + 1) for _ in range(2))
        middle = chance.choice([b"", body[first:second] * 2, noise(chance), b"\r\n", b"\r\n--" + BOUNDARY, b'"'])
        body = body[:first] + middle + body[second:]
    fuzz.post(body, FORM)


NAMES = [b"../../etc/passwd.wav", b"/etc/x.wav", b"..", b"con.wav", b"a\x00.wav", b"\xff\xfe.wav"]
NAMES += [b"x" * 4000 + b".wav", b"store://x.wav", b"%2e%2e%2fa.wav", b"a;b=.wav", b".scratch/a.wav", b"\\\\a\\b.wav"]
NAMES += ["\u202e\u0301.wav".encode(), b'"', b"\\"]


def hostile_name(fuzz: Fuzz, chance: random.Random) -> None:
    name = chance.choice([*NAMES, noise(chance, 60).replace(b"\r", b"").replace(b"\n", b"")])
    fuzz.post(form(noise(chance), name, features=b"raw_transcript"), FORM)


def random_bytes(fuzz: Fuzz, chance: random.Random) -> None:
    kinds = [FORM, {"Content-Type": "multipart/form-data"}, {"Content-Type": "text/plain"}, {}]
    fuzz.post(noise(chance, 20_000), chance.choice(kinds))


def many_parts(fuzz: Fuzz, chance: random.Random) -> None:
    part = b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="x"\r\n\r\ny\r\n'
    fuzz.post(part * chance.choice([65, 10_000]) + form(), FORM)


def head(fuzz: Fuzz, *lines: bytes) -> bytes:
    key = b"X-API-Key: " + fuzz.gateway.secret.encode()
    kind = b"Content-Type: multipart/form-data; boundary=" + BOUNDARY
    return b"\r\n".join((b"POST /v1/process HTTP/1.1", b"Host: x", key, kind, *lines)) + b"\r\n\r\n"


def lying_length(fuzz: Fuzz, chance: random.Random) -> None:
    """Too short, too long, no number, or two of them."""
    body = form(noise(chance), features=b"raw_transcript")
    length = chance.choice([len(body) - 5, len(body) + 50, 10**12, 0])
    lines = chance.choice(
        [
            [b"Content-Length: %d" % length],
            [b"Content-Length: -1"],
            [b"Content-Length: 5, 6"],
            [b"Content-Length: %d" % length, b"Content-Length: 7"],
            [b"Content-Length: %d" % length, b"Transfer-Encoding: chunked"],
        ]
    )
    fuzz.raw(head(fuzz, *lines) + body)


def chunked_without_end(fuzz: Fuzz, chance: random.Random) -> None:
    body = form(noise(chance), features=b"raw_transcript")
    chunk = b"%x\r\n%s\r\n" % (len(body), body)
    rest = chance.choice([b"", b"ffffffffffffffffff\r\n", b"zz\r\n", b"5\r\nab", b"0\r\nX: y"])
    fuzz.raw(head(fuzz, b"Transfer-Encoding: chunked") + chunk + rest)


def wrong_head(fuzz: Fuzz, chance: random.Random) -> None:
    odd = [b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET /\x00 HTTP/1.1\r\n\r\n"]
    odd += [b"X" * 100_000 + b"\r\n\r\n", head(fuzz, b"X: " + b"y" * 70_000), b"POST /v1/process HTTP/1.1\r\n\r\n"]
    odd += [b"GET //..%2f.. HTTP/1.1\r\nHost: x\r\n\r\n", b"POST * HTTP/1.1\r\nHost: x\r\n\r\n"]
    fuzz.raw(chance.choice([*odd, noise(chance) + b"\r\n\r\n"]))


def squeezed(fuzz: Fuzz, chance: random.Random) -> None:
    """What would be huge if somebody unpacked it."""
    bomb = gzip.compress(bytes(20_000_000))
    if chance.random() < 0.5:
        fuzz.post(form(bomb, b"a.flac", features=b"raw_transcript"), FORM)
    else:
        fuzz.post(bomb, {**FORM, "Content-Encoding": "gzip"})


def odd_json(fuzz: Fuzz, chance: random.Random) -> None:
    odd = [b'{"text": "\\ud800", "features": []}', b"[" * 50_000, b'{"text": 1e999}', b"\xff"]
    odd += [b'{"text": "a", "features": [[]]}', b'{"text": "a", "text": {}}']
    odd += [b'{"text": "\\u0000", "features": ["raw_transcript"], "hints": ["\\u0000"]}', b"null", b'{"a": ' * 900]
    path = chance.choice(["/v1/process_text", "/v1/templates"])
    fuzz.post(chance.choice([*odd, noise(chance)]), {"Content-Type": "application/json"}, path)
