"""Which headers hold a key, how wrong ones are answered, and where the gateway refuses to start."""

import asyncio
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar, WebSocket, get, websocket
from pydantic import SecretStr

from blocks.errors import LimitReached, NotAllowed
from blocks.keys import STATIC, KeyRing
from blocks.settings import Settings, settings
from blocks.store import LocalFiles, open_store
from deployments.gateway.__main__ import main
from deployments.gateway.web.auth import OPEN, LiveKeys, NoKey, Slowdown, check_exposure, check_routes, needs, presented
from tests.deployments.gateway.gateways import SharedGateway
from tests.processes import HTTP, until

READ = "/v1/models"
GOOD = "9d1f6c0ab27e48d3957b1c2e6f804a5d"


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-api-key", b"k" * 40)],
        [(b"authorization", b"Bearer " + b"k" * 40)],
        [(b"authorization", b"bEARER   " + b"k" * 40)],
        [(b"x-api-key", b"k" * 40), (b"authorization", b"Bearer " + b"k" * 40)],
        [(b"x-api-key", b"k" * 40), (b"authorization", b"Basic dXNlcjpwYXNz")],  # a proxy's own login
        [(b"x-forwarded-for", b"1.2.3.4"), (b"x-api-key", b"k" * 40)],
    ],
)
def test_one_key_in_either_header_is_found(headers: list[tuple[bytes, bytes]]) -> None:
    assert presented(headers) == "k" * 40


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-api-key", b"a" * 40), (b"x-api-key", b"a" * 40)],
        [(b"x-api-key", b"a" * 40), (b"x-api-key", b"b" * 40)],
        [(b"x-api-key", b"a" * 40), (b"authorization", b"Bearer " + b"b" * 40)],
        [(b"authorization", b"Bearer a"), (b"authorization", b"Bearer a")],
        [(b"authorization", b"Bearer a"), (b"authorization", b"Basic a")],
        [(b"x-api-key", b"")],
        [(b"x-api-key", b"a, a")],
        [(b"x-api-key", "ключ".encode())],
        [(b"x-api-key", b"a\x00b")],
        [(b"x-api-key", b"\xff\xfe")],
        [(b"x-api-key", b"a" * 513)],
    ],
)
def test_several_keys_or_none_by_its_form_are_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(NotAllowed) as refusal:
        presented(headers)
    assert not isinstance(refusal.value, NoKey)


@pytest.mark.parametrize("headers", [[], [(b"authorization", b"Basic a")], [(b"cookie", b"x-api-key=a")]])
def test_no_key_is_no_attempt(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(NoKey):
        presented(headers)


def test_wrong_keys_wait_longer_each_time_up_to_a_bound_and_each_address_for_itself() -> None:
    slowdown = Slowdown()
    delays = [slowdown.delay_s("10.0.0.1") for _ in range(50)]
    assert delays[:3] == [0.1, 0.2, 0.4]
    assert delays == sorted(delays)
    assert max(delays) == Slowdown.LONGEST_S
    assert slowdown.delay_s("10.0.0.2") == Slowdown.FIRST_S


def test_only_so_many_addresses_are_remembered() -> None:
    slowdown = Slowdown()
    for number in range(Slowdown.ADDRESSES + 100):
        slowdown.delay_s(str(number))
    assert len(slowdown._failures) == Slowdown.ADDRESSES


async def test_only_so_many_refusals_wait_and_the_others_are_told_to_come_later() -> None:
    slowdown = Slowdown()
    answers = await asyncio.gather(
        *(slowdown.wrong_key(str(number), None, "wrong") for number in range(Slowdown.WAITING + 10)),
        return_exceptions=True,
    )
    assert [isinstance(answer, LimitReached) for answer in answers].count(True) == 10
    await slowdown.wrong_key("later", None, "wrong")  # those that waited have gone


async def test_a_handler_that_does_not_say_what_it_needs_stops_the_start() -> None:
    @get("/open", opt=OPEN, sync_to_thread=False)
    def open_to_all() -> str:
        return ""

    @get("/read", opt=needs("read"), sync_to_thread=False)
    def reading() -> str:
        return ""

    @get("/forgotten", sync_to_thread=False)
    def forgotten() -> str:
        return ""

    @websocket("/socket")
    async def socketed(socket: WebSocket[Any, Any, Any]) -> None: ...

    check_routes(Litestar([open_to_all, reading], openapi_config=None))
    with pytest.raises(NotAllowed, match="/forgotten"):
        check_routes(Litestar([open_to_all, forgotten], openapi_config=None))
    with pytest.raises(NotAllowed, match="/socket"):
        check_routes(Litestar([open_to_all, socketed], openapi_config=None))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_needs_no_key(host: str) -> None:
    check_exposure(Settings(api_host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5"])
@pytest.mark.parametrize(
    "static", [None, "x" * 40, "your-secret-api-key-goes-here-0000", "change_me_in_production_min_32_chars"]
)
def test_other_addresses_need_a_key_that_is_no_placeholder(host: str, static: str | None) -> None:
    with pytest.raises(NotAllowed):
        check_exposure(Settings(api_host=host, secret_api_key=SecretStr(static) if static else None))


def test_other_addresses_are_fine_with_a_real_key_of_either_kind_until_it_is_revoked() -> None:
    check_exposure(Settings(api_host="0.0.0.0", secret_api_key=SecretStr(GOOD)))
    ring = KeyRing(open_store())
    _, key = ring.create("Ann", ["read"])
    check_exposure(Settings(api_host="0.0.0.0"))
    ring.revoke(key.key_id)
    with pytest.raises(NotAllowed):
        check_exposure(Settings(api_host="0.0.0.0"))


TOO_SHORT = {"SECRET_API_KEY": "much-too-short-9c41"}


@pytest.mark.parametrize(
    ("environment", "code"),
    [
        ({"API_HOST": "0.0.0.0"}, 3),
        ({"API_HOST": "0.0.0.0", "SECRET_API_KEY": "change-me-change-me-change-me-change-me"}, 3),
        (TOO_SHORT, 2),
    ],
)
def test_a_refused_start_says_why_in_two_lines_without_the_key(
    environment: dict[str, str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == code
    is_refused_in_two_lines(capsys.readouterr().err, environment)


def test_the_process_of_a_refused_start_ends() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "deployments.gateway"],
        env=os.environ | TOO_SHORT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 2
    is_refused_in_two_lines(run.stderr, TOO_SHORT)


def is_refused_in_two_lines(said: str, environment: dict[str, str]) -> None:
    assert [line.split(":")[0] for line in said.splitlines()] == ["error", "fix"]
    assert environment.get("SECRET_API_KEY", "nothing") not in said


def status(gateway: SharedGateway, secret: str) -> int:
    return gateway.client(secret).get(READ).status_code


def test_a_key_made_while_the_gateway_runs_works_until_it_is_revoked(shared_gateway: SharedGateway) -> None:
    secret, key = shared_gateway.key("read")
    assert status(shared_gateway, secret) == 200
    bearer = HTTP.get(shared_gateway.url + READ, headers={"authorization": f"Bearer {secret}"})
    assert bearer.status_code == 200
    newer, _ = shared_gateway.keys.rotate(key.key_id, grace_s=3600)
    until(lambda: status(shared_gateway, newer) == 200)
    assert status(shared_gateway, secret) == 200
    shared_gateway.keys.revoke(key.key_id)
    until(lambda: status(shared_gateway, secret) == 401)
    assert status(shared_gateway, newer) == 401


class CountingFiles(LocalFiles):
    """A store that counts how often its keys are read."""

    reads = 0

    def read_version(self, key: str) -> tuple[bytes, str] | None:
        self.reads += 1
        return super().read_version(key)


async def test_requests_and_cookies_share_one_reading_of_the_keys(tmp_path: Path) -> None:
    files = CountingFiles(tmp_path / "store")
    ring = KeyRing(files, SecretStr(GOOD))
    secret, made = KeyRing(LocalFiles(tmp_path / "store")).create("somebody", ["read"])
    keys = LiveKeys(ring)
    assert await keys.check(secret) == made
    assert {key.key_id for _ in range(20) for key in await keys.known()} == {made.key_id, STATIC}
    assert files.reads == 1


def test_a_missing_scope_is_named(shared_gateway: SharedGateway) -> None:
    secret, _ = shared_gateway.key("submit")
    answer = shared_gateway.client(secret).get(READ)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "NOT_ALLOWED"
    assert answer.json()["error"]["details"]["scope"] == "read"


def test_refusals_are_logged_with_the_address_and_never_with_the_secret(shared_gateway: SharedGateway) -> None:
    secret, key = shared_gateway.key("read")
    wrong = secret[:-4] + ("AAAA" if not secret.endswith("AAAA") else "BBBB")
    answer = shared_gateway.client(wrong).get(READ, headers={"X-Forwarded-For": "10.9.8.7"})
    shared_gateway.client("some-other-secret-that-is-no-key-of-ours").get(READ)
    lines = (shared_gateway.logs / "c500.jsonl").read_text().splitlines()
    refused = [event for event in map(json.loads, lines) if event["event"] == "api key refused"]
    assert [(event["address"], event["key_id"]) for event in refused][-2:] == [
        ("127.0.0.1", key.key_id),
        ("127.0.0.1", None),
    ]
    said = answer.text + "\n".join(lines) + (shared_gateway.logs / "gateway.log").read_text()
    assert wrong.split("_", 2)[2][:10] not in said
    assert "some-other-secret" not in said


def test_a_right_key_passes_while_others_guess_from_its_address(shared_gateway: SharedGateway) -> None:
    with ThreadPoolExecutor(100) as pool:
        guesses = [pool.submit(status, shared_gateway, f"guess-{number:040d}") for number in range(100)]
        right = [status(shared_gateway, shared_gateway.secret) for _ in range(5)]
    assert right == [200] * 5
    assert {guess.result() for guess in guesses} <= {401, 429}


def test_each_request_is_logged_with_the_id_of_its_key_and_no_secret(shared_gateway: SharedGateway) -> None:
    secret, key = shared_gateway.key("read")
    with shared_gateway.client(secret) as client:
        client.get("/v1/status/3f0c0d1e-6a55-4c52-9a53-6f6a1c8f0f11", params={"wait": "0", "hidden": "query"})
        client.get("/health/live")

    def lines() -> list[dict[str, Any]]:
        logged = (shared_gateway.logs / "c500.jsonl").read_text().splitlines()
        return [
            line
            for line in map(json.loads, logged)
            if (line.get("event"), line.get("key_id")) == ("request", key.key_id)
        ]

    until(lambda: any(line["path"].startswith("/v1/status/3f0c") for line in lines()))
    line = next(line for line in lines() if line["path"].startswith("/v1/status/3f0c"))
    assert (line["event"], line["method"], line["status"], line["whole"]) == ("request", "GET", 404, True)
    assert line["sent_bytes"] > 0
    whole_log = (shared_gateway.logs / "c500.jsonl").read_text()
    assert secret not in whole_log
    assert "hidden" not in whole_log
    assert '"/health/live"' not in whole_log
