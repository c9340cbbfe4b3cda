"""What a team's run came to, and whether it can go on."""

from pathlib import Path
from typing import Any

import pytest

from blocks.errors import Conflict, Stopped, StoreFailed
from blocks.store import LocalFiles
from tasks.agents.result import AgentTrouble, AgentUsage
from tasks.agents.team.aggregate import Answered, unmerged
from tasks.agents.team.conclude import is_final, result_of, status_of
from tasks.agents.team.execute import do_tasks
from tasks.agents.team.handoff import HandBack, HandOff, HandOffs
from tasks.agents.team.planning import caller_of
from tasks.agents.team.report import team_markdown
from tasks.agents.team.result import Contradiction, Finding, TaskOutcome, TeamAnswer, TeamResult, TeamStatus
from tasks.agents.team.team_store import TeamStore, team_ids
from tests.tasks.agents.team.making import (
    RESTART,
    STARTED,
    Specialists,
    begun_of,
    costing,
    plan_of,
    result,
    task,
    work_of,
)


def outcome(state: Any, name: str = "a", **more: Any) -> TaskOutcome:
    return TaskOutcome(task_id=name, agent="worker", state=state, **more)


@pytest.mark.parametrize(
    ("states", "by", "expected"),
    [
        (("done", "reused"), "model", "done"),
        (("done",), "rule", "partial"),
        (("done", "failed", "skipped"), "model", "partial"),
        (("done", "limited"), "model", "limited"),
        (("handed_off", "skipped"), "rule", "limited"),
        (("done", "failed", "stopped"), "model", "stopped"),
        (("failed", "skipped"), "rule", "failed"),
    ],
)
def test_the_status_goes_by_what_kept_tasks_from_their_goal(
    states: tuple[Any, ...], by: Any, expected: TeamStatus
) -> None:
    assert status_of([outcome(state) for state in states], TeamAnswer(by=by)) == expected


async def test_the_result_has_what_all_of_it_took_and_what_kept_it(tmp_path: Path) -> None:
    async def spends(agents: Specialists, run_id: str) -> Any:
        return result(run_id, usage=costing(0.25))

    agents = Specialists({"a": spends, "b": Conflict("another does it", fix="wait")})
    work = work_of(tmp_path, plan_of(task("a"), task("b")), agents)
    await do_tasks(work)
    answer = Answered(answer=TeamAnswer(), usage=costing(0.5))
    made = await result_of(work, answer, AgentUsage(cost_usd=0.125, steps=1))
    assert (made.usage.cost_usd, made.usage.steps) == (0.875, 1)
    assert made.trouble is not None
    assert made.trouble.message == "another does it"
    assert made.status == "partial"


async def test_a_team_that_was_stopped_while_it_put_results_together_is_stopped(tmp_path: Path) -> None:
    work = work_of(tmp_path, plan_of(task("a")), Specialists())
    await do_tasks(work)
    work.stopped = Stopped("run t1 stopped by ann", fix="clear it")
    made = await result_of(work, unmerged(work.outcomes.values()), AgentUsage())
    assert made.status == "stopped"
    assert made.trouble is not None
    assert made.trouble.message == "run t1 stopped by ann"


def ended(status: TeamStatus, *outcomes: TaskOutcome, answer: TeamAnswer | None = None) -> TeamResult:
    return TeamResult(
        run_id="t1",
        agent="coordinator",
        goal="Make the site fast.",
        status=status,
        answer=answer or TeamAnswer(),
        outcomes=outcomes,
        plan=plan_of(*(task(one.task_id) for one in outcomes)),
        ended_at=STARTED,
    )


def test_a_run_goes_on_that_was_stopped_or_whose_handoff_is_answered(tmp_path: Path) -> None:
    handoffs = HandOffs(LocalFiles(tmp_path))
    fields = {"run_id": "r", "agent": "w", "user": "ann", "goal": "g", "why": "w", "question": "q", "at": STARTED}
    handoffs.give(HandOff(handoff_id="r-1", **fields))
    waits = ended("limited", outcome("handed_off", handoff_id="r-1"))
    assert is_final(ended("done", outcome("done")), handoffs)
    assert is_final(ended("failed", outcome("failed")), handoffs)
    assert not is_final(ended("stopped", outcome("stopped")), handoffs)
    assert is_final(waits, handoffs)
    handoffs.answer(HandBack(handoff_id="r-1", by="bob", answer="Yes.", at=STARTED))
    assert not is_final(waits, handoffs)


def test_people_read_sources_contradictions_gaps_and_where_tasks_stand() -> None:
    answer = TeamAnswer(
        findings=(Finding(text="Rent is 5.", sources=("a",)),),
        contradictions=(
            Contradiction(about="staff", sides=(Finding(text="4", sources=("a",)), Finding(text="9", sources=("b",)))),
        ),
    )
    trouble = AgentTrouble(code="X", message="no | way\nout", fix="f")
    shown = team_markdown(ended("partial", outcome("done"), outcome("failed", "b", trouble=trouble), answer=answer))
    assert "Rent is 5. [a]" in shown
    assert "- 9 [b]" in shown
    assert "✗ failed: no \\| way out" in shown


def test_only_one_process_has_a_run(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    again = pytest.raises(Conflict, match="another process does the team run t1")
    with TeamStore(files, "t1").alone(), TeamStore(files, "t2").alone(), again, TeamStore(files, "t1").alone():
        pass
    with TeamStore(files, "t1").alone():
        pass


def test_records_are_found_again_and_damaged_ones_told(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    store = TeamStore(files, "t1")
    assert store.begun() is None
    begun = begun_of(budget_usd=2.0)
    assert store.begin(begun) == TeamStore(files, "t1").begun() == begun
    with pytest.raises(Conflict):
        store.begin(begun)
    assert team_ids(files) == ["t1"]
    files.put_bytes("agents/teams/t1/begun.json", b"{}")
    with pytest.raises(StoreFailed, match="begun of team t1 is damaged"):
        store.begun()


def test_the_coordinator_pays_out_of_its_own_share() -> None:
    purse = caller_of(begun_of(budget_usd=1.0), 10).purse
    assert (purse[0].key, purse[0].amount) == ("agent/t1/usd", 200_000_000)
    assert caller_of(begun_of(), -1).deadline_s == 0.001


def test_a_task_with_an_intent_shows_it() -> None:
    made = ended("done", outcome("done")).model_copy(update={"plan": plan_of(task("a", intent=RESTART))})
    assert "restart service web on host-3" in team_markdown(made)


async def test_a_secret_in_the_goal_is_not_kept_with_the_result(tmp_path: Path) -> None:
    secret = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    begun = begun_of().model_copy(update={"goal": f"Deploy with {secret}."})
    plan = plan_of(task("a", goal=f"Use {secret}."), task("b"))
    broken = Conflict(f"{secret} is refused", fix="use another")
    work = work_of(tmp_path, plan, Specialists({"b": broken}), begun)
    await do_tasks(work)
    answer = Answered(answer=TeamAnswer(findings=(Finding(text=f"It is {secret}.", sources=("a",)),)))
    kept = await result_of(work, answer, AgentUsage())
    assert secret not in kept.model_dump_json()
    assert [one.id for one in kept.plan.tasks] == ["a", "b"]
    assert kept.answer.findings[0].sources == ("a",)


async def test_what_a_dry_run_would_change_is_listed_for_each_task(tmp_path: Path) -> None:
    async def plans(_agents: Specialists, run_id: str) -> Any:
        return result(run_id, dry_run=True, would_change=("write_file: --- a/x\n+++ b/x\n+<b>",), notices=("no calc",))

    work = work_of(tmp_path, plan_of(task("a")), Specialists({"a": plans}))
    await do_tasks(work)
    page = team_markdown(await result_of(work, unmerged(work.outcomes.values()), AgentUsage()))
    assert "## What would be changed\n\n- **a** write_file: --- a/x\n\n      +++ b/x\n      +&lt;b>" in page
    assert "- **a** no calc" in page
