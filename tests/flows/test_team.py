"""A team of real agents in real flows, whose model is simulated."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
)

from blocks.errors import BadInput, EngineFailed, NotFound
from blocks.progress import in_thread
from blocks.settings import settings
from blocks.store import open_store
from blocks.switches import Switch, open_switches
from flows.team import run_team
from tasks.agents.capabilities import switches_folder
from tasks.agents.team.begin import specialist_id
from tasks.agents.team.handoff import HandBack, HandOffs
from tasks.agents.team.plan import TeamPlan
from tasks.agents.team.result import TeamResult
from tests.fakes.llm.agent_model import AgentModel
from tests.flows.teaming import RUN, options, phases, task, team_model, write_agents

pytestmark = pytest.mark.usefixtures("prefect_api")

WRITE = [("write_file", {"path": "report.txt", "content": "71 degrees\n"})]


@pytest.fixture(autouse=True)
def agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AGENTS_DIR", str(write_agents(tmp_path / "definitions")))
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture
def accounts(tmp_path: Path) -> Path:
    """Where the settings look for accounts."""
    return tmp_path / "accounts.yaml"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "notes.txt").write_text("The pump is at 71 degrees.\n")
    return folder


def plan_of(*tasks: dict[str, Any]) -> TeamPlan:
    return TeamPlan.model_validate({"tasks": tasks})


def states(result: TeamResult) -> dict[str, str]:
    return {one.task_id: one.state for one in result.outcomes}


async def test_a_goal_is_shared_out_done_by_agents_and_put_together(accounts: Path, workspace: Path) -> None:
    plan = {
        "tasks": [
            task("measure"),
            task(
                "write", "measure", agent="mender", writes=["report.txt"], intent={"verb": "write", "object": "report"}
            ),
        ]
    }
    by_role = {
        "plan": [plan],
        "measure": [[("read_file", {"path": "notes.txt"})], "It has 71 degrees."],
        "write": [WRITE, "The report is written."],
    }
    with team_model(accounts, by_role) as (says, model):
        result = await run_team("Report on the pump.", options=options(workspace=str(workspace)), run_id=RUN)
        charged_usd = model.charged_usd
        again = await run_team(run_id=RUN)
    assert result.status == "done"
    assert (workspace / "report.txt").read_text() == "71 degrees\n"
    assert [(one.text, one.sources) for one in result.answer.findings] == [
        ("It has 71 degrees.", ("measure",)),
        ("The report is written.", ("write",)),
    ]
    assert says.asked == ["plan", "measure", "measure", "write", "write", "merge"]
    assert "It has 71 degrees." in says.prompt("write")
    assert "- mender: Changes things." in says.prompt("plan")
    assert result.usage.cost_usd == pytest.approx(charged_usd)
    assert result.usage.steps == 6
    assert again == result
    assert [(one.sender, one.to, one.kind) for one in result.messages] == [
        ("coordinator", "looker", "task"),
        ("looker", "coordinator", "result"),
        ("coordinator", "mender", "task"),
        ("mender", "coordinator", "result"),
    ]
    assert phases(RUN) == ["run_started", "plan", *(["message"] * 4), "run_ended"]
    shown = await artifact(f"team-{RUN}")
    assert shown.count("✓ done") == 2
    assert "It has 71 degrees. [measure]" in await artifact(f"team-result-{RUN}")


async def artifact(key: str) -> str:
    """The latest of this key."""
    async with get_client() as client:
        found = await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    return str(max(found, key=lambda one: one.created or datetime.min.replace(tzinfo=UTC)).data)


async def test_a_plan_that_cannot_be_carried_out_is_sent_back_once_with_its_problem(accounts: Path) -> None:
    wrong = {"tasks": [task("a", "b", agent="stranger")]}
    with team_model(accounts, {"plan": [wrong, {"tasks": [task("a")]}]}) as (says, _):
        result = await run_team("Look.", options=options(), run_id=RUN)
    assert result.status == "done"
    assert says.asked == ["plan", "plan", "a", "merge"]
    assert "a depends on b, which the plan does not have" in says.prompt("plan")
    assert "the team has mender, looker" in says.prompt("plan")


async def test_a_plan_that_stays_wrong_ends_the_run_and_the_run_can_be_tried_again(accounts: Path) -> None:
    circle = {"tasks": [task("a", "b"), task("b", "a")]}
    with team_model(accounts, {"plan": [circle, circle, {"tasks": [task("a")]}]}) as (says, _):
        with pytest.raises(EngineFailed, match="a → b → a"):
            await run_team("Look.", options=options(), run_id=RUN)
        assert (await run_team(run_id=RUN)).status == "done"
    assert says.asked == ["plan", "plan", "plan", "a", "merge"]
    assert phases(RUN)[:2] == ["run_started", "run_ended"]


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"plan": plan_of(task("a", agent="stranger"))}, BadInput),
        ({"goal": " "}, BadInput),
        ({"agent": "looker"}, BadInput),
        ({"agent": "nobody"}, NotFound),
        ({"run_id": "../escape"}, BadInput),
        ({"options": options(profile="no-such")}, NotFound),
    ],
)
async def test_what_cannot_work_is_refused_before_any_model_is_asked(
    accounts: Path, asked: dict[str, Any], error: type[Exception]
) -> None:
    with team_model(accounts, {}) as (says, _), pytest.raises(error):
        await run_team(**{"goal": "Look.", "options": options(), **asked})
    assert not says.asked


async def test_a_refused_or_failed_task_costs_only_what_depends_on_it(accounts: Path) -> None:
    plan = plan_of(task("a"), task("b", "a"), task("c"))
    hopeless = [("no_such_tool", {})]
    with team_model(accounts, {"a": [hopeless]}) as (says, _):
        result = await run_team("Look.", plan=plan, options=options(), run_id=RUN)
    assert states(result) == {"a": "failed", "b": "skipped", "c": "done"}
    assert result.status == "partial"
    assert result.trouble is not None
    assert [(one.task_id, one.what.split(":")[0]) for one in result.answer.missing] == [
        ("a", "failed"),
        ("b", "skipped"),
    ]
    assert "There is no result of: a, b." in says.prompt("merge")


async def test_a_team_that_is_stopped_stops_its_agents_and_goes_on_when_the_switch_is_cleared(accounts: Path) -> None:
    plan = plan_of(task("a"), task("b", "a"))
    switches = open_switches("", switches_folder(settings()))
    with team_model(accounts, {}, held="a") as (says, _):
        going = asyncio.create_task(run_team("Look.", plan=plan, options=options(), run_id=RUN))
        await in_thread(says.arrived.wait, 60)
        switches.set(Switch(scope="run", name=RUN, by="ann", at=datetime.now(UTC), reason="too loud"))
        stopped = await going
        assert stopped.status == "stopped"
        assert states(stopped) == {"a": "stopped", "b": "stopped"}
        assert "too loud" in stopped.answer.missing[0].what
        assert [one.name for one in switches.list()] == [RUN]
        assert "merge" not in says.asked
        says.opened.set()
        switches.clear("run", RUN)
        assert (await run_team(run_id=RUN)).status == "done"


async def test_what_an_agent_hands_to_a_person_goes_on_with_the_answer(accounts: Path, workspace: Path) -> None:
    plan = plan_of(task("ask", agent="mender"), task("after", "ask"))
    asks = [("hand_off", {"why": "Only you know.", "question": "Which pump?", "done": ["I looked."]})]
    by_role = {"ask": [WRITE, asks, lambda asked: f"Then {asked.last}"]}
    with team_model(accounts, by_role) as (says, _):
        first = await run_team("Look.", plan=plan, options=options(workspace=str(workspace)), run_id=RUN)
        assert (first.status, states(first)) == ("limited", {"ask": "handed_off", "after": "skipped"})
        assert first.trouble is not None
        assert first.trouble.code == "HANDED_OFF"
        handoffs = HandOffs(open_store())
        [waiting] = handoffs.waiting()
        assert (waiting.question, waiting.done, waiting.user) == ("Which pump?", ("I looked.",), "ann")
        assert waiting.run_id == specialist_id(RUN, "ask")
        assert await run_team(run_id=RUN) == first
        (workspace / "report.txt").write_text("changed by hand")
        handoffs.answer(HandBack(handoff_id=waiting.handoff_id, by="bob", answer="The left one.", at=datetime.now(UTC)))
        second = await run_team(run_id=RUN)
    assert second.status == "done"
    assert "The left one." in second.outcomes[0].output
    assert "The left one." in says.prompt("after")
    assert (workspace / "report.txt").read_text() == "changed by hand"
    assert says.asked.count("ask") == 3
    assert phases(waiting.run_id).count("handoff") == 2
    assert [one.kind for one in second.messages if one.task_id.startswith("ask")] == [
        "task",
        "handoff",
        "handback",
        "result",
    ]


async def test_the_deadline_ends_an_agent_that_hangs(accounts: Path) -> None:
    with team_model(accounts, {}, held="a") as (says, _):
        result = await run_team("Look.", plan=plan_of(task("a")), options=options(deadline_s=4), run_id=RUN)
        says.opened.set()
    assert states(result) == {"a": "limited"}
    assert result.trouble is not None
    assert result.trouble.code == "TIMED_OUT"
    async with get_client() as client:
        own = await client.read_flow_runs(flow_run_filter=FlowRunFilter(name={"any_": ["coordinator: Look."]}))
        children = await client.read_flow_runs(
            flow_run_filter=FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run.id for run in own]))
        )
    assert children
    assert not [run.name for run in children if run.state is not None and not run.state.is_final()]


async def test_four_agents_on_one_rate_limit_make_no_call_too_many(accounts: Path) -> None:
    names = ("logs", "metrics", "code", "hosts")
    by_role: dict[str, list[Any]] = {name: [[("read_file", {"path": "notes.txt"})], f"{name}: ok"] for name in names}
    with team_model(accounts, by_role) as (_, model):
        limited_to(accounts, model, {"concurrency": 1})
        result = await run_team("Why is it slow?", plan=plan_of(*map(task, names)), options=options(), run_id=RUN)
        books = model.running.books()["total"]
    assert result.status == "done"
    assert books["charged"]["calls"] == 9
    assert books["too_many"] == 0


def limited_to(accounts: Path, model: AgentModel, quota: dict[str, Any]) -> None:
    """Give the account a limit, in its file and at its provider, which answers slowly enough to be at it."""
    file = yaml.safe_load(accounts.read_text())
    file["accounts"][0]["quota"] = quota
    accounts.write_text(yaml.safe_dump(file))
    model.running.change(quota=quota, latency={"mean_ms": 20})


async def test_two_teams_with_one_intent_make_the_change_once(accounts: Path, workspace: Path) -> None:
    change = {"verb": "write", "object": "report.txt", "shared": True}
    plan = plan_of(task("write", agent="mender", writes=["report.txt"], intent=change))
    by_role = {"write": [WRITE, "The report is written."]}
    with team_model(accounts, by_role) as (says, _):
        results = await asyncio.gather(
            *(
                run_team("Report.", plan=plan, options=options(workspace=str(workspace)), run_id=f"{RUN}-{n}")
                for n in range(2)
            )
        )
    assert sorted(states(one)["write"] for one in results) == ["done", "reused"]
    assert {one.status for one in results} == {"done"}
    assert says.asked.count("write") == 2
