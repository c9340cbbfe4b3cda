"""`c500 stop`: agents are stopped at once, and go on when the stop is cleared."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from click.testing import Result
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound
from redis import Redis
from typer.testing import CliRunner

import deployments.cli.stop
from blocks.approvals import login_name
from blocks.errors import BadInput, StoreFailed
from blocks.settings import settings
from blocks.switches import FileSwitches, Switch, open_switches
from deployments.cli import app
from deployments.service.prefect_file import AGENT_POOL
from tests.processes import free_port

assert deployments.cli.stop


def stop(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["stop", *arguments])


def files() -> FileSwitches:
    return FileSwitches(settings().agents_home / "switches")


def test_all_agents_are_stopped_and_it_is_kept_who_did_it_when_and_why() -> None:
    begun = datetime.now(UTC)
    told = stop("--all", "--reason", "it deploys again and again")
    assert told.exit_code == 0, told.output
    [switch] = files().list()
    assert (switch.scope, switch.by, switch.reason) == ("all", login_name(), "it deploys again and again")
    assert switch.at
    assert begun <= switch.at <= datetime.now(UTC)
    assert told.stdout.startswith(f"all agents stopped by {login_name()} at ")


@pytest.mark.parametrize(("option", "scope"), [("--agent", "agent"), ("--run", "run")])
def test_one_agent_or_run_is_stopped_and_goes_on_again(option: str, scope: str) -> None:
    stop(option, "operator")
    assert [(one.scope, one.name) for one in files().list()] == [(scope, "operator")]
    cleared = stop("--clear", option, "operator")
    assert cleared.stdout.startswith(f"cleared: {scope} operator stopped by ")
    assert files().list() == ()
    assert "it was not set" in stop("--clear", option, "operator").stderr


def test_an_agent_that_there_is_not_is_stopped_and_said_to_be_unknown() -> None:
    told = stop("--agent", "opertaor")
    assert "there is no agent opertaor here; there are " in told.stderr
    assert "operator" in told.stderr
    assert [one.name for one in files().list()] == ["opertaor"]
    assert "no agent" not in stop("--agent", "operator").stderr


def test_stops_are_listed_for_people_and_for_programs() -> None:
    assert "no stop is set" in stop("--list").stderr
    assert json.loads(stop("--list", "--json").stdout) == []
    files().set(Switch(scope="run", name="r1", by="ann", reason="why\x1b[31m"))
    (settings().agents_home / "switches" / "all").touch()
    lines = stop("--list").stdout.splitlines()
    assert lines[0].startswith("all agents stopped by ")
    assert lines[1].endswith(r": why\x1b[31m")
    assert [one["scope"] for one in json.loads(stop("--list", "--json").stdout)] == ["all", "run"]


def test_json_is_json_alone() -> None:
    assert json.loads(stop("--agent", "operator", "--json").stdout)["name"] == "operator"
    assert json.loads(stop("--clear", "--agent", "operator", "--json").stdout)["name"] == "operator"
    assert json.loads(stop("--clear", "--agent", "operator", "--json").stdout) is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "not said what to stop"),
        (("--clear",), "not said what to stop"),
        (("--all", "--run", "r1"), "two things"),
        (("--agent", "a", "--run", "r1"), "two things"),
        (("--agent", "../all"), "no agent can be named"),
        (("--run", ""), "no run can be named"),
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[str, ...], said: str) -> None:
    refused = stop(*arguments).exception
    assert isinstance(refused, BadInput)
    assert said in refused.message
    assert files().list() == ()


def test_a_stop_goes_to_the_redis_that_machines_share(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Redis.from_url(redis_url).flushdb()
    monkeypatch.setenv("SWITCHES_URL", redis_url)
    settings.cache_clear()
    stop("--run", "r1")
    assert Redis.from_url(redis_url).exists("kill_switch:run:r1")
    assert [one.name for one in open_switches(redis_url, settings().agents_home / "switches").list()] == ["r1"]
    stop("--clear", "--run", "r1")
    assert not Redis.from_url(redis_url).keys("kill_switch:*")


def test_a_stop_that_reaches_this_machine_only_fails_and_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHES_URL", f"redis://127.0.0.1:{free_port()}/0")
    settings.cache_clear()
    failed = stop("--all")
    assert isinstance(failed.exception, StoreFailed)
    assert "this machine only" in failed.exception.message
    assert [one.scope for one in files().list()] == ["all"]


async def _make_pool() -> None:
    async with get_client() as client:
        try:
            await client.read_work_pool(AGENT_POOL)
        except ObjectNotFound:
            await client.create_work_pool(WorkPoolCreate(name=AGENT_POOL, type="process"))
        await client.update_work_pool(AGENT_POOL, WorkPoolUpdate(is_paused=False))


async def _pause(paused: bool) -> None:
    async with get_client() as client:
        await client.update_work_pool(AGENT_POOL, WorkPoolUpdate(is_paused=paused))


async def _is_paused() -> bool:
    async with get_client() as client:
        return (await client.read_work_pool(AGENT_POOL)).is_paused


@pytest.fixture
def pool(prefect_api: str) -> Iterator[None]:
    """The work pool of agents, on a server, not paused."""
    asyncio.run(_make_pool())
    yield
    asyncio.run(_pause(False))


def test_the_stop_of_all_pauses_the_pool_of_agents_until_it_is_cleared(pool: None) -> None:
    stop("--all")
    assert asyncio.run(_is_paused())
    assert files().list()[0].paused == (AGENT_POOL,)
    stop("--all", "--reason", "again")
    assert [(one.reason, one.paused) for one in files().list()] == [("again", (AGENT_POOL,))]
    stop("--clear", "--all")
    assert not asyncio.run(_is_paused())


def test_a_pool_that_somebody_else_paused_stays_paused(pool: None) -> None:
    asyncio.run(_pause(True))
    stop("--all")
    stop("--clear", "--all")
    assert asyncio.run(_is_paused())


def test_the_stop_of_one_agent_pauses_nothing(pool: None) -> None:
    stop("--agent", "operator")
    assert not asyncio.run(_is_paused())


def test_a_prefect_server_that_does_not_answer_is_told_of_and_hinders_no_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{free_port()}/api")
    told = stop("--all")
    assert told.exit_code == 0
    assert "work pool agents is not paused: no Prefect server answers" in told.stderr
    assert [one.scope for one in files().list()] == ["all"]
    files().set(files().list()[0].model_copy(update={"paused": (AGENT_POOL,)}))
    assert "prefect work-pool resume agents" in stop("--clear", "--all").stderr
    assert files().list() == ()
