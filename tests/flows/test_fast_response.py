"""Fast responses as flows and as a command."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterType
from typer.testing import CliRunner

from blocks.accounts.file import read_accounts
from blocks.errors import BadInput, EngineFailed
from blocks.store import open_store
from deployments.cli.fast_response import commands
from deployments.simulator.rehearsal import behaviour_of, read_behaviour
from deployments.simulator.serve import InProcess, simulate
from flows.fast_response import KEPT, fast_response, fast_response_load
from tasks.fast_response.asked import LoadOptions, ReplyOptions
from tests.conftest import ROOT
from tests.flows.swarming import write_accounts

DEMO_FOLDER = ROOT / "deployments" / "demo" / "fast_response"
DEMO = DEMO_FOLDER / "turns.jsonl"
SLOW = {"measure": "total", "percent": 95, "below_ms": 60_000}
COMMAND = "import deployments.cli.fast_response; from deployments.cli import main; main()"


@pytest.fixture
def sim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InProcess]:
    """A simulated vLLM server, which the settings lead to."""
    monkeypatch.setenv("LIMITER_URL", "memory://")
    accounts = read_accounts(DEMO_FOLDER / "accounts.yaml").accounts
    behaviour = {**read_behaviour(DEMO_FOLDER / "behaviour.yaml"), "latency": {}, "token_ms": 0}
    with simulate(accounts, behaviour_of(behaviour)) as one:
        write_accounts(tmp_path / "accounts.yaml", accounts, one)
        yield one


async def shown() -> str:
    """The Markdown artifacts that there are."""
    async with get_client() as client:
        found = await client.read_artifacts(artifact_filter=ArtifactFilter(type=ArtifactFilterType(any_=["markdown"])))
    return "\n".join(str(one.data) for one in found)


def kept(name: str) -> list[dict[str, object]]:
    """The reports of that name in the store."""
    files = open_store()
    return [json.loads(files.read_bytes(key)) for key in files.list(f"{KEPT}/") if key.endswith(name)]


async def test_every_turn_of_a_file_gets_its_reply(sim: InProcess, prefect_api: str) -> None:
    found = await fast_response(str(DEMO), ReplyOptions(model="fast"))
    wrong = {one.turn: one.faults for one in found.replies if not one.is_usable}
    assert wrong == {"neg-2": ("vietnamese", "foreign"), "fal-1": ("too_long",)}
    assert {one.reply for one in found.replies if one.intent == "silence"} == {"Take your time, friend."}
    assert {group.intent for group in found.quality.by_intent} >= {"silence", "fallback"}
    assert "23 of 25 replies can be spoken" in await shown()
    assert len(kept("replies.json")) == 1


async def test_a_missed_goal_fails_the_run_and_the_report_is_kept(sim: InProcess, prefect_api: str) -> None:
    load = {"model": "fast", "requests": 20, "warmup": 1, "concurrency": 2, "rate_per_s": 200, "min_usable_share": 1}
    asked = LoadOptions.model_validate({**load, "goals": [SLOW]})
    with pytest.raises(EngineFailed, match=r"usable replies at least 100\.0%") as raised:
        await fast_response_load(str(DEMO), asked)
    assert len(raised.value.details["missed"]) == 2
    [report] = kept("load.json")
    assert report["ok"] is False
    files = open_store()
    [calls] = [files.read_bytes(key).splitlines() for key in files.list(f"{KEPT}/") if key.endswith("calls.jsonl")]
    assert len(calls) == 40
    page = await shown()
    assert "closed, 2 callers" in page and "open, 200 a second" in page
    assert "n/a" in page  # p99 of 20 requests
    report = await fast_response_load(str(DEMO), asked, fail_on_miss=False)
    assert not report.ok


def c500(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `c500 fast-response`."""
    command = [sys.executable, "-c", COMMAND, "fast-response", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_command_replies_and_measures(sim: InProcess, prefect_server: str) -> None:
    one = c500("reply", "--said", "Hmm, I don't know.", "--after", "“Ngôi sao” là gì?", "--model", "fast", "--json")
    assert one.returncode == 0, one.stderr
    assert json.loads(one.stdout)["replies"][0]["reply"] == "Okay, let's see!"
    goals = ("--goal", "total:p50:60000", "--goal", "ttft:p95:0.001")
    missed = c500("load", str(DEMO), *goals, "--requests", "20", "--warmup", "1", "--model", "fast")
    assert missed.returncode == 1, missed.stderr
    assert "16 callers" in missed.stdout and "goals missed" in missed.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("load", str(DEMO), "--concurrency", "17"), "only wait for each other"),
        (("load", str(DEMO), "--goal", "p95<300"), "--goal is 'p95<300'"),
        (("load", str(DEMO), "--rate", "0"), "--rate"),
        (("load", str(DEMO), "--model", "nobodys"), "no account has model 'nobodys'"),
        (("load", "/no/such.jsonl"), "there is no file"),
        (("reply",), "either a file of turns or --said"),
        (("reply", "--said", "Hi", "--form", "round"), "--form"),
    ],
)
def test_what_is_wrong_is_told_before_anything_starts(sim: InProcess, arguments: tuple[str, ...], says: str) -> None:
    ended = CliRunner().invoke(commands, arguments)
    assert isinstance(ended.exception, BadInput)
    assert says in ended.exception.message
    assert sim.books()["total"]["requests"] == 0
