"""What people are told of tasks says how they go on."""

import pytest

from tasks.sessions.fleet_plan import FleetPlan, PlanLimit
from tasks.sessions.fleet_report import FleetReport, JobLine, fleet_markdown, plan_markdown
from tasks.sessions.outcome import Outcome
from tasks.sessions.report import result_markdown
from tasks.sessions.result import AgentResult

SESSION = "01234567-89ab-cdef-0123-456789abcdef"
PLAN = FleetPlan(jobs=1, asked=None, slots=1, limits=(PlanLimit(name="x", sessions=1, how="1"),), servers=())


def result(outcome: Outcome, **fields: str) -> AgentResult:
    return AgentResult.model_validate(
        {"task_id": "t", "server": "fake", "session_id": SESSION, "outcome": outcome, **fields}
    )


@pytest.mark.parametrize(
    ("one", "option"),
    [
        (result(Outcome(kind="needs_input", question="Which?")), "--answer"),
        (result(Outcome(kind="silent_stop"), stopped_by="max_silent"), "--again"),
        (result(Outcome(kind="incomplete", missing="- no output.csv")), "--again"),
    ],
)
def test_a_task_that_is_not_done_tells_what_goes_on_with_it(one: AgentResult, option: str) -> None:
    assert f"`{option}`" in result_markdown(one)


def test_a_task_that_is_done_tells_no_option() -> None:
    assert "--" not in result_markdown(result(Outcome(kind="done")))


def test_a_job_of_a_fleet_is_told_with_the_id_that_other_commands_take() -> None:
    line = JobLine(name="a", outcome="done", told="done", session_id=SESSION)
    assert SESSION in fleet_markdown(FleetReport(fleet_id="f", plan=PLAN, jobs=(line,), done=1))


def test_a_plan_says_how_many_at_once_and_what_was_asked_for() -> None:
    assert "sessions at once: **1** (asked for: as many as can)" in plan_markdown(PLAN)
