"""Requests a minute and bytes a day: never passed, and not forgotten."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from blocks.errors import LimitReached
from blocks.keys import ApiKey
from blocks.store.local import LocalFiles
from deployments.gateway.intake.quotas import Quotas
from tests.deployments.gateway.gateways import SharedGateway

READ = "/v1/models"


def key(requests_per_min: int | None = None, bytes_per_day: int | None = None) -> ApiKey:
    return ApiKey(
        key_id="a" * 12,
        name="Ann",
        scopes=("submit",),
        requests_per_min=requests_per_min,
        bytes_per_day=bytes_per_day,
        created_at=datetime.now(UTC),
    )


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "store")


async def send(quotas: Quotas, client: ApiKey, pieces: list[int], declared: int | None = None) -> None:
    async with quotas.upload(client, declared) as spend:
        for piece in pieces:
            spend(piece)
            await asyncio.sleep(0)


def test_requests_beyond_the_limit_are_told_when_to_come_again(files: LocalFiles) -> None:
    quotas, client = Quotas(files), key(requests_per_min=6)
    for _ in range(6):
        quotas.request(client)
    with pytest.raises(LimitReached) as refusal:
        quotas.request(client)
    assert 0 < refusal.value.details["retry_after_s"] <= 10
    for _ in range(100):
        quotas.request(key())


async def test_bytes_of_a_day_are_counted_piece_by_piece(files: LocalFiles) -> None:
    quotas, client = Quotas(files), key(bytes_per_day=100)
    await send(quotas, client, [30, 30])
    with pytest.raises(LimitReached) as refusal:
        await send(quotas, client, [30, 11])
    assert 0 < refusal.value.details["retry_after_s"] <= 86_400
    with pytest.raises(LimitReached):
        await send(quotas, client, [])  # used up: refused before the first byte


async def test_an_announced_length_that_does_not_fit_is_refused_before_the_first_byte(files: LocalFiles) -> None:
    quotas, client = Quotas(files), key(bytes_per_day=100)
    with pytest.raises(LimitReached):
        await send(quotas, client, [1], declared=101)
    await send(quotas, client, [100], declared=100)


async def test_what_was_sent_is_remembered_after_a_restart_and_by_other_gateways(files: LocalFiles) -> None:
    first, second, client = Quotas(files), Quotas(files), key(bytes_per_day=100)
    await send(first, client, [60])
    await send(second, client, [40])
    for quotas in (first, second, Quotas(files)):
        with pytest.raises(LimitReached):
            await send(quotas, client, [1])


async def test_a_failed_upload_counts_with_what_came(files: LocalFiles) -> None:
    quotas, client = Quotas(files), key(bytes_per_day=100)
    with suppress(RuntimeError):
        async with quotas.upload(client) as spend:
            spend(70)
            raise RuntimeError("the client went away")
    with pytest.raises(LimitReached):
        await send(quotas, client, [31])


async def test_uploads_side_by_side_share_one_quota(files: LocalFiles) -> None:
    quotas, client = Quotas(files), key(bytes_per_day=1000)
    done = await asyncio.gather(*(send(quotas, client, [10] * 10) for _ in range(20)), return_exceptions=True)
    assert sum(one is None for one in done) <= 10
    assert all(one is None or isinstance(one, LimitReached) for one in done)
    account = next(iter(quotas._accounts.values()))
    assert account.in_hand_bytes == 0
    assert 1000 <= account.stored_bytes <= 1000 + 20 * 10  # each may pass the limit by its last piece


async def test_an_upload_that_ends_while_another_goes_on_is_not_forgotten(files: LocalFiles) -> None:
    quotas, client = Quotas(files), key(bytes_per_day=100)
    async with quotas.upload(client) as spend:
        await send(quotas, client, [60])
        spend(40)
        with pytest.raises(LimitReached):
            spend(1)


async def test_yesterday_does_not_count_and_last_month_is_removed(files: LocalFiles) -> None:
    client, now = key(bytes_per_day=100), datetime.now(UTC)
    for days in (1, 40):
        day = (now - timedelta(days=days)).date().isoformat()
        files.put_bytes(f"gateway/usage/{client.key_id}/{day}.json", b'{"uploaded_bytes": 100}')
    await send(Quotas(files), client, [100])
    left = [name.rsplit("/", 1)[1] for name in files.list("gateway/usage/")]
    assert left == [f"{(now - timedelta(days=days)).date().isoformat()}.json" for days in (1, 0)]


def test_the_gateway_answers_429_with_retry_after(shared_gateway: SharedGateway) -> None:
    secret, _ = shared_gateway.key("read", requests_per_min=30)
    client = shared_gateway.client(secret)
    answers: list[httpx.Response] = [client.get(READ) for _ in range(40)]
    assert {answer.status_code for answer in answers} == {200, 429}
    refused = answers[-1]
    assert refused.json()["error"]["code"] == "LIMIT_REACHED"
    assert int(refused.headers["retry-after"]) >= 1
    assert shared_gateway.client().get(READ).status_code == 200
