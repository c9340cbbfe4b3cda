"""Secrets that are changed, or whose store is away."""

import time
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks.accounts import secrets as module
from blocks.accounts.secrets import Secrets
from blocks.errors import BadInput, EngineUnavailable
from tests.blocks.accounts.conftest import account
from tests.processes import free_port


async def test_while_prefect_is_away_the_secret_that_was_read_last_is_used(
    prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.blocks.system import Secret

    await Secret(value=" hidden\n").save("c500-kept-account", overwrite=True)
    kept, one = Secrets(tmp_path), account("one", key="prefect:c500-kept-account")
    assert await kept.secret(one) == "hidden"
    monkeypatch.setattr(module, "FRESH_S", -1.0)  # a minute has passed
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}):
        assert await kept.secret(one) == "hidden"
        with pytest.raises(EngineUnavailable, match="Prefect") as error:
            await Secrets(tmp_path).secret(one)
        assert error.value.details["field"] == "accounts.one.key"


async def test_a_refused_secret_is_new_when_another_was_seen_since_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "old")
    secrets, one = Secrets(tmp_path), account("one", key="env:KEY")
    assert await secrets.secret(one) == "old"
    sent_at = time.monotonic()
    assert not await secrets.renewed(one, sent_at)
    assert await secrets.secret(one) == "old"
    sent_at = time.monotonic()
    monkeypatch.setenv("KEY", "new")
    assert await secrets.renewed(one, sent_at)
    assert await secrets.renewed(one, sent_at)  # of a second call that was sent with the old one
    assert await secrets.secret(one) == "new"
    assert not await secrets.renewed(one, time.monotonic())
    monkeypatch.delenv("KEY")
    assert not await secrets.renewed(one, time.monotonic())


@pytest.mark.parametrize("key", ["sk-1\nsk-2", "sk-…"])
async def test_what_is_no_key_is_refused_and_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("KEY", key)
    with pytest.raises(BadInput) as error:
        await Secrets(tmp_path).secret(account("one", key="env:KEY"))
    assert "sk-" not in f"{error.value} {error.value.details}"
