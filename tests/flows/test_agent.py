"""An agent at work in a flow: tools, rules, people, limits, stops, sessions."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest

from blocks.agent_metrics import AgentMetrics
from blocks.approvals import open_approvals
from blocks.audit.places import open_audit
from blocks.errors import BadInput, Conflict, NotFound, Stopped
from blocks.progress import in_thread
from blocks.settings import settings
from blocks.switches import Switch, open_switches
from deployments.simulator.asked import Asked
from flows import run_agent
from tasks.agents.capabilities import switches_folder
from tasks.agents.result import AgentOptions, AgentResult
from tests.fakes.deployed import until
from tests.fakes.llm.agent_model import agent_model, calls, results_in

pytestmark = pytest.mark.usefixtures("prefect_api")


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


async def act(workspace: Path, goal: str = "Look after the pump.", **options: Any) -> AgentResult:
    run_id = options.pop("run_id", None)
    agent = options.pop("agent", "operator")
    fields = {"workspace": str(workspace), "user": "ann", "attended": False} | options
    return await run_agent(goal, agent, AgentOptions(**fields), run_id=run_id)


async def test_an_agent_reads_writes_and_says_what_it_did(accounts: Path, workspace: Path) -> None:
    turns = (
        [("read_file", {"path": "notes.txt"})],
        [("write_file", {"path": "report.txt", "content": "71 degrees\n"})],
        "The report is written.",
    )
    with agent_model(accounts, *turns) as model:
        result = await act(workspace)
        charged_usd = model.charged_usd
    assert (result.status, result.output) == ("done", "The report is written.")
    assert (workspace / "report.txt").read_text() == "71 degrees\n"
    assert "71 degrees" in results_in(model.script.asked[-1])[0]
    assert (result.usage.steps, result.usage.actions) == (3, 2)
    assert result.usage.cost_usd == pytest.approx(charged_usd)


def audit(run_id: str) -> list[Any]:
    """What was written down of a run."""
    return [one.entry for one in open_audit(settings().agents_home).read(run_id)]


def phases(run_id: str) -> list[str]:
    return [entry.phase for entry in audit(run_id)]


async def test_what_the_rules_deny_is_told_to_the_model_and_written_down(accounts: Path, workspace: Path) -> None:
    turns = ([("run_command", {"argv": ["cat", "/etc/shadow"]})], "I may not read that.")
    with agent_model(accounts, *turns) as model:
        result = await act(workspace)
        [told] = results_in(model.script.asked[-1])
    assert result.status == "done"
    assert "refused" in told
    assert len(result.refused) == 1
    [decided] = [one for one in audit(result.run_id) if one.phase == "decided"]
    assert decided.decision in ("deny", "forbid")
    assert decided.rule
    assert "started" not in phases(result.run_id)


async def test_a_path_out_of_the_workspace_is_refused(accounts: Path, workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("the launch code")
    (workspace / "link.txt").symlink_to(tmp_path / "secret.txt")
    turns = ([("read_file", {"path": "link.txt"})], [("read_file", {"path": "../secret.txt"})], "No way out.")
    with agent_model(accounts, *turns) as model:
        await act(workspace)
        prompts = "\n".join(model.script.prompts)
    assert "launch code" not in prompts


RISKY = [("run_command", {"argv": ["touch", "made.txt"]})]


async def answered(verdict: Literal["approve", "deny"], **more: Any) -> None:
    """Answer the first question that is asked."""
    approvals = open_approvals()

    async def is_asked() -> bool:
        return bool(await in_thread(approvals.pending))

    await until(is_asked)
    [waiting] = approvals.pending()
    approvals.vote(waiting.request.approval_id, by="ben", verdict=verdict, channel="cli", now=datetime.now(UTC), **more)


async def test_a_person_is_asked_and_agrees(accounts: Path, workspace: Path) -> None:
    with agent_model(accounts, RISKY, "Made.") as model:
        result, _ = await asyncio.gather(act(workspace, attended=True), answered("approve"))
        told = results_in(model.script.asked[-1])
    assert result.status == "done", result
    assert (workspace / "made.txt").exists(), told
    assert phases(result.run_id).count("asked") == 1
    [answer] = [one for one in audit(result.run_id) if one.phase == "answered" and one.outcome == "approved"]
    assert answer.approvers == ("ben",)


async def test_a_person_refuses_and_says_why(accounts: Path, workspace: Path) -> None:
    with agent_model(accounts, RISKY, "Then not.") as model:
        result, _ = await asyncio.gather(act(workspace, attended=True), answered("deny", reason="not today"))
        [told] = results_in(model.script.asked[-1])
    assert "not today" in told
    assert not (workspace / "made.txt").exists()
    assert result.status == "done"


async def test_a_person_changes_the_arguments(accounts: Path, workspace: Path) -> None:
    with agent_model(accounts, RISKY, "Made.") as model:
        changed = {"argv": ["touch", "other.txt"]}
        await asyncio.gather(act(workspace, attended=True), answered("approve", arguments=changed))
        [told] = results_in(model.script.asked[-1])
    assert (workspace / "other.txt").exists()
    assert not (workspace / "made.txt").exists()
    assert "changed the arguments" in told


async def test_nobody_to_ask_is_a_refusal(accounts: Path, workspace: Path) -> None:
    with agent_model(accounts, RISKY, "Then not."):
        result = await act(workspace, attended=False)
    assert len(result.refused) == 1
    assert not (workspace / "made.txt").exists()


async def test_a_question_that_nobody_answers_in_time_is_a_refusal(accounts: Path, workspace: Path) -> None:
    with agent_model(accounts, RISKY, "Then not."):
        result = await act(workspace, attended=True, approval_s=1)
    assert len(result.refused) == 1
    assert result.usage.waited_s >= 1


async def test_a_stop_ends_the_run_and_the_cleared_run_goes_on(accounts: Path, workspace: Path) -> None:
    switches = open_switches("", switches_folder(settings()))

    def stop(asked: Asked) -> Any:
        if not results_in(asked)[1:]:
            switches.set(Switch(scope="agent", name="operator", by="ann", reason="maintenance"))
        return calls(("write_file", {"path": "b.txt", "content": "b"}))

    turns = ([("write_file", {"path": "a.txt", "content": "a"})], stop, "Both are written.")
    with agent_model(accounts, *turns) as model:
        with pytest.raises(Stopped, match="maintenance"):
            await act(workspace, run_id="00000000000000aa")
        assert not (workspace / "b.txt").exists()
        switches.clear("agent", "operator")
        before = len(model.script.asked)
        result = await act(workspace, run_id="00000000000000aa")
        again = len(model.script.asked) - before
    assert result.status == "done"
    assert (workspace / "b.txt").exists()
    assert again <= 2  # what was answered before is not asked again
    assert "stopped" in phases(result.run_id)


async def test_a_run_that_goes_round_in_circles_ends(accounts: Path, workspace: Path) -> None:
    with agent_model(accounts, [("read_file", {"path": "notes.txt"})]) as model:
        result = await act(workspace)
        asked = len(model.script.asked)
    assert result.status == "limited"
    assert result.trouble is not None
    assert result.trouble.code == "GUARD_TRIPPED"
    assert asked < 12


async def test_a_budget_ends_the_run_before_it_is_passed(accounts: Path, workspace: Path) -> None:
    with agent_model(accounts, *[[("list_files", {"path": f"{n}"})] for n in range(50)]) as model:
        result = await act(workspace, budget_usd=0.05)
        charged_usd = model.charged_usd
    assert result.status == "limited"
    assert result.trouble is not None
    assert result.trouble.code == "BUDGET_EXCEEDED"
    assert 0 < charged_usd <= 0.05


async def test_a_dry_run_changes_nothing_and_says_what_it_would(accounts: Path, workspace: Path) -> None:
    turns = ([("read_file", {"path": "notes.txt"}), ("write_file", {"path": "a.txt", "content": "a"})], "Planned.")
    with agent_model(accounts, *turns) as model:
        result = await act(workspace, dry_run=True)
        read, planned = results_in(model.script.asked[-1])
    assert result.dry_run
    assert "71 degrees" in read
    assert "dry_run" in planned
    assert not (workspace / "a.txt").exists()


async def test_a_session_goes_on_where_the_last_run_ended(accounts: Path, workspace: Path) -> None:
    with agent_model(accounts, "My name is Eve.", "You are Ann.") as model:
        await act(workspace, "Who are you?", session="talk")
        result = await act(workspace, "And who am I?", session="talk")
        messages = model.script.asked[-1].body["messages"]
    assert result.output == "You are Ann."
    assert [one["content"] for one in messages if one["role"] == "assistant"] == ["My name is Eve."]


async def test_a_secret_in_a_file_reaches_neither_model_nor_audit_nor_results(
    accounts: Path, workspace: Path, tmp_path: Path
) -> None:
    secret = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    (workspace / "config.txt").write_text(f"deploy with {secret}\n")
    with agent_model(accounts, [("read_file", {"path": "config.txt"})], f"It is {secret}.") as model:
        result = await act(workspace)
        prompts = "\n".join(model.script.prompts)
    assert secret not in prompts
    assert secret not in result.output
    kept = [path for path in (tmp_path / "agents").rglob("*") if path.is_file()]
    found = [path for path in kept if "audit" in path.parts and secret.encode() in path.read_bytes()]
    assert not found


async def test_two_runs_do_not_share_a_run_id(accounts: Path, workspace: Path) -> None:
    with agent_model(accounts, "Done.") as model:
        first = await act(workspace, run_id="00000000000000ab")
        second = await act(workspace, run_id="00000000000000ab")
        assert len(model.script.asked) == 1
    assert first == second


async def test_the_goal_of_a_run_must_be_there(accounts: Path, workspace: Path) -> None:
    with agent_model(accounts, "Done."), pytest.raises(BadInput, match="no goal"):
        await act(workspace, " ")


async def test_an_unknown_profile_is_refused_before_anything_is_asked(accounts: Path, workspace: Path) -> None:
    with agent_model(accounts, "Done.") as model:
        with pytest.raises(NotFound, match="nonsense"):
            await act(workspace, profile="nonsense")
        assert not model.script.asked


async def test_what_a_run_did_is_counted_once(accounts: Path, workspace: Path) -> None:
    turns = ([("read_file", {"path": "notes.txt"})], [("read_file", {"path": "../x"})], "Done.")
    with agent_model(accounts, *turns):
        result = await act(workspace)
    counted = AgentMetrics(settings().agents_home / "metrics").read()
    assert [one.total for one in counted["c500_agent_steps_total"]] == [3]
    assert [(one.labels, one.total) for one in counted["c500_agent_requests_total"]] == [(("operator", "done"), 1)]
    tokens = {one.labels[2]: one.total for one in counted["c500_agent_tokens_total"]}
    assert tokens["input"] == result.usage.prompt_tokens
    decided = {one.labels[0]: one.total for one in counted["c500_agent_guard_decisions_total"]}
    assert decided == {"allow": 1, "deny": 1}


async def test_a_question_asked_under_other_rules_is_withdrawn(
    accounts: Path, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a run that was stopped while a person was asked, and rules that were changed since
    async def stopped() -> None:
        await until(lambda: in_thread(lambda: bool(open_approvals().pending())))
        switches.set(Switch(scope="agent", name="operator", by="ann", reason="wait"))

    switches = open_switches("", switches_folder(settings()))
    run_id = "00000000000000ac"
    with agent_model(accounts, RISKY, "Made."):
        with pytest.raises(Stopped):
            await asyncio.gather(act(workspace, attended=True, run_id=run_id), stopped())
        [old] = open_approvals().pending()
        switches.clear("agent", "operator")
        (tmp_path / "policy.yaml").write_text(
            "rules:\n  - {id: mine, verdict: ask, tools: [run_command], reason: I want to see it}\n"
        )
        monkeypatch.setenv("POLICY_FILE", str(tmp_path / "policy.yaml"))
        settings.cache_clear()
        # When the run goes on, and the new question is answered

        async def answered_anew() -> None:
            def is_new() -> bool:
                return any(one.request.approval_id != old.request.approval_id for one in open_approvals().pending())

            await until(lambda: in_thread(is_new))
            await answered("approve")

        result, _ = await asyncio.gather(act(workspace, attended=True, run_id=run_id), answered_anew())
    # Then only that one was open, and both are in the audit
    assert result.status == "done"
    assert phases(run_id).count("asked") == 2
    with pytest.raises(Conflict):
        open_approvals().vote(
            old.request.approval_id, by="ben", verdict="approve", channel="cli", now=datetime.now(UTC)
        )


async def test_a_run_that_spent_its_budget_goes_on_with_a_larger_one(accounts: Path, workspace: Path) -> None:
    run_id = "00000000000000ad"
    with agent_model(accounts, [("read_file", {"path": "notes.txt"})], "Done."):
        first = await act(workspace, run_id=run_id, budget_usd=0.01)
        second = await act(workspace, run_id=run_id, budget_usd=1.0)
    assert (first.status, second.status) == ("limited", "done")
    assert first.trouble is not None
    assert "$" in first.trouble.message
