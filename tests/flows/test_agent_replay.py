"""An agent that is killed at any moment goes on: effects once, decisions as they were, books as the provider's."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blocks.accounts.open import open_pool
from blocks.audit.places import open_audit
from blocks.settings import settings
from blocks.store import open_store
from blocks.store.files import Files
from blocks.store.local import LocalFiles
from tasks.agents.definition import AgentLimits
from tasks.agents.purse import purse_of
from tasks.agents.runs import RUNS
from tests.fakes.forked import Forks, forks_of
from tests.fakes.llm.agent_model import agent_model

TURNS = (
    [("read_file", {"path": "notes.txt"})],
    [("append_line", {"text": "one"})],
    [("append_line", {"text": "two"}), ("append_line", {"text": "three"})],
    "All is written.",
)
MODEL_CALLS, TOOL_CALLS, APPENDS = 4, 4, 3
RUN = "00000000000000cc"

AGENT = """
description: Writes lines.
role: You write lines.
tools: [read_file, append_line]
"""

POLICY = """
rules:
  - id: lines
    verdict: allow
    tools: [append_line]
    reason: they may be written
"""

SMALL = [("model-after", 2), ("step-before", 3), ("effect-after", 3), ("step-after", 2)]
"""In the small form: killed with an answer that is not stored; before a tool; with an effect that is not known to have
happened; and with a result that is stored."""

ALL = [
    *((f"model-{when}", number) for when in ("before", "after") for number in range(1, MODEL_CALLS + 1)),
    *((f"step-{when}", number) for when in ("before", "after") for number in range(1, TOOL_CALLS + 1)),
    *((f"effect-{when}", number) for when in ("before", "after") for number in range(1, TOOL_CALLS + 1)),
]

POINTS = [
    pytest.param(*point, id=f"{point[0]}-{point[1]}", marks=() if point in SMALL else pytest.mark.soak) for point in ALL
]


@pytest.fixture(scope="module")
def runner(running_prefect_server: str) -> Iterator[Forks]:
    """Runs agents in forks of one process, so that each begins at once."""
    with forks_of("tests.flows.run_agent", PREFECT_API_URL=running_prefect_server) as forks:
        yield forks


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a workspace, an agent and its rules."""
    for name in ("workspace", "definitions"):
        (tmp_path / name).mkdir()
    (tmp_path / "workspace" / "notes.txt").write_text("The pump is well.\n")
    (tmp_path / "definitions" / "writer.yaml").write_text(AGENT)
    (tmp_path / "policy.yaml").write_text(POLICY)
    monkeypatch.setenv("AGENTS_DIR", str(tmp_path / "definitions"))
    monkeypatch.setenv("POLICY_FILE", str(tmp_path / "policy.yaml"))
    settings.cache_clear()
    return tmp_path


def attempt(
    runner: Forks, place: Path, *, kill: list[Any] | None = None, environment: dict[str, str] | None = None
) -> dict[str, Any]:
    options = {"workspace": str(place / "workspace"), "user": "ann", "attended": False}
    variables = dict(os.environ) | (environment or {})
    return runner.run(goal="Write.", agent="writer", options=options, run_id=RUN, environment=variables, kill=kill)


def lines(place: Path) -> list[str]:
    return (place / "workspace" / "effects.txt").read_text().split()


def said(files: Files) -> list[dict[str, Any]]:
    """The run's conversation without what differs from attempt to attempt."""
    messages = json.loads(files.read_bytes(f"{RUNS}/{RUN}/messages.json"))
    return [_plain(message) for message in messages]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        varying = {"timestamp", "run_id", "conversation_id", "tool_call_id", "id"}
        return {name: _plain(inner) for name, inner in value.items() if name not in varying}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


async def spent_usd() -> float:
    """What the limiter says that the run has cost."""
    async with open_pool() as pool:
        [money, _] = await pool.limiter.standing(purse_of(RUN, AgentLimits()))
        return (money.settled + money.held) / 1e9


def decided() -> list[tuple[str | None, str | None, str | None]]:
    """What was decided of each call, in order."""
    entries = (record.entry for record in open_audit(settings().agents_home).read(RUN))
    return [(entry.tool, entry.decision, entry.rule) for entry in entries if entry.phase == "decided"]


def unkilled(runner: Forks, place: Path) -> list[dict[str, Any]]:
    """The conversation of the same run that nobody kills, which leaves nothing else behind."""
    environment = {"AGENTS_HOME": str(place / "other"), "AUDIO_DIR": str(place / "other-store")}
    with agent_model(place / "other-accounts.yaml", *TURNS):
        environment["ACCOUNTS_FILE"] = str(place / "other-accounts.yaml")
        attempt(runner, place, environment=environment)
    (place / "workspace" / "effects.txt").unlink()
    return said(LocalFiles(place / "other-store"))


@pytest.mark.parametrize(("moment", "number"), POINTS)
def test_a_killed_run_goes_on(runner: Forks, place: Path, moment: str, number: int) -> None:
    with agent_model(place / "accounts.yaml", *TURNS) as model:
        assert attempt(runner, place, kill=[moment, number]) == {"signal": 9}
        ended = attempt(runner, place)
        asked, charged_usd = len(model.script.asked), model.charged_usd
    assert ended["result"]["status"] == "done", ended
    assert ended["result"]["output"] == "All is written."
    in_doubt = moment.startswith("effect") and number > 1  # the first tool only reads
    written = ["one", "two", "three"]
    if moment == "effect-before" and in_doubt:  # nobody knows that it had not begun: it is not done again
        del written[number - 2]
    assert lines(place) == written
    assert asked == MODEL_CALLS + (moment == "model-after")  # an answer that was not stored is asked for again
    assert asyncio.run(spent_usd()) == pytest.approx(charged_usd)
    assert [tool for tool, verdict, _ in decided() if verdict == "allow"] == ["read_file", *["append_line"] * APPENDS]
    told = [one for one in ended["result"]["notices"] if "nobody knows whether append_line happened" in one]
    assert len(told) == in_doubt
    if in_doubt:
        assert "c500 effects settle" in told[0]
        assert json.dumps(said(open_store())).count('"IN_DOUBT"') == 1
    else:
        assert said(open_store()) == unkilled(runner, place)
