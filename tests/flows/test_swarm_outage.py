"""A swarm whose accounts do not answer says so, outlives a short outage, and ends when nobody comes back."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from blocks.accounts.account import Account
from blocks.errors import EngineUnavailable
from blocks.settings import settings
from deployments.simulator.behaviour import Behaviour
from deployments.simulator.serve import InProcess, simulate
from flows import swarm
from tasks.swarm.pace import pace
from tasks.swarm.report import SwarmReport
from tasks.swarm.tally import Tally, watcher
from tests.flows.swarming import PROMPT, SCHEMA, account, failures, four, lines, write_accounts, write_rows
from tests.processes import eventually

Serve = Callable[..., InProcess]


@pytest.fixture
def serve(prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a simulator of four accounts that behave so."""
    monkeypatch.setenv("LIMITER_URL", "memory://")
    with ExitStack() as open_:

        def start(**how: Any) -> InProcess:
            sim = open_.enter_context(simulate(four(), Behaviour(**how)))
            write_accounts(tmp_path / "accounts.yaml", four(), sim)
            return sim

        yield start


class Nobody:
    """Where nobody listens."""

    def base_url(self, _: str) -> str:
        return "http://127.0.0.1:1/v1"


async def asked(tmp_path: Path, source: Any, **fields: Any) -> SwarmReport:
    """A swarm with the usual question."""
    wanted = {"prompt": PROMPT, "output": str(tmp_path / "out.jsonl"), "schema": SCHEMA, "model": "m", **fields}
    return await swarm(str(source) if isinstance(source, Path) else source, **wanted)


def be_patient(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setenv("SWARM_OUTAGE_S", str(seconds))
    settings.cache_clear()


async def test_unreachable_accounts_are_told_at_once_and_end_it(
    prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts: list[Account] = [account("alpha"), account("beta")]
    monkeypatch.setenv("LIMITER_URL", "memory://")
    write_accounts(tmp_path / "accounts.yaml", accounts, Nobody())
    be_patient(monkeypatch, 1.5)
    told: list[str] = []

    def watch(tally: Tally) -> None:
        told.append(pace(tally))

    token = watcher.set(watch)
    try:
        async with asyncio.timeout(60):
            with pytest.raises(EngineUnavailable) as ended:
                await asked(tmp_path, write_rows(tmp_path / "rows.jsonl", 250))
    finally:
        watcher.reset(token)
    assert "0 of 250 rows are answered" in ended.value.message
    assert "alpha/m, beta/m no answer: " in ended.value.message
    assert ended.value.details["accounts"] == ["alpha", "beta"]
    assert failures(tmp_path / "out.jsonl") == []
    said = next(line for line in told if "no account answers for" in line)
    assert " 0 in flight, 100 waiting; " in said


async def test_refused_keys_end_it_without_a_deadline(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(keys=("other",))
    be_patient(monkeypatch, 1)
    async with asyncio.timeout(60):
        with pytest.raises(EngineUnavailable, match="0 of 2 rows"):
            await asked(tmp_path, ["a", "b"])


@pytest.mark.parametrize("concurrency", [1, 20])
async def test_a_short_outage_ends_no_swarm_and_fails_no_row(serve: Serve, tmp_path: Path, concurrency: int) -> None:
    sim = serve(faults={"error": 1.0}, error_status=503)
    running = asyncio.create_task(asked(tmp_path, [f"row {at}" for at in range(30)], concurrency=concurrency))
    await eventually(lambda: running.done() or sim.books()["total"]["requests"] > 13)
    sim.change(faults={})
    report = await running
    assert (report.answered, report.failed) == (30, 0)
    assert len(lines(report.output)) == 30
