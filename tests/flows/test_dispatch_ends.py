"""Requests that time, money, length or the accounts end: a typed end, and what was made is kept."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from blocks.accounts.account import Price, Quota
from blocks.errors import BudgetExceeded, EngineUnavailable, TimedOut, TooLarge, Unsupported
from deployments.simulator.asked import Asked
from flows import dispatch_request
from tasks.dispatch.plan import Plan
from tasks.dispatch.result import DispatchResult
from tests.fakes.llm.team import Held, judge, member, planned, task, team
from tests.flows.dispatching import PAIR, REQUEST, SIX, options, stored

SLACK_S = 60.0
"""For storing and showing what there is after the deadline, on a very busy machine: who hangs takes longer."""


@pytest.fixture
def accounts_file(prefect_api: str, tmp_path: Path) -> Path:
    """Where the settings look for accounts; the flow's server runs."""
    return tmp_path / "accounts.yaml"


def reasons(result: DispatchResult) -> dict[str, str]:
    """Codes of the sub-tasks without a result."""
    return {one.id: one.trouble.code for one in result.failed if one.trouble}


async def within(deadline_s: float, **given: Any) -> DispatchResult:
    """Make the request; it must end by itself, however it ends."""
    async with asyncio.timeout(deadline_s + SLACK_S):
        return await dispatch_request(REQUEST, options(deadline_s=deadline_s, **given))


async def test_at_the_deadline_what_is_finished_is_merged_and_kept(accounts_file: Path) -> None:
    async with team(accounts_file, {"plan": SIX}, gate=Held("rent")):
        result = await within(10)
    assert result.status == "partial"
    assert reasons(result) == {"rent": "TIMED_OUT", "costs": "SKIPPED", "proposal": "SKIPPED"}
    assert [one.sources for one in result.statements] == [("demand",), ("staff",), ("rivals",)]
    assert result.trouble is not None
    assert result.trouble.code == "TIMED_OUT"
    assert stored() == result


async def test_a_request_whose_deadline_passes_before_it_is_planned_has_timed_out(accounts_file: Path) -> None:
    async with team(accounts_file, {"plan": PAIR}, gate=Held("plan")):
        with pytest.raises(TimedOut):
            await within(2)
    assert stored().status == "failed"


async def test_accounts_that_refuse_their_keys_end_the_request_at_once(accounts_file: Path) -> None:
    async with team(accounts_file, {"plan": PAIR}, keys=("secret",)):
        with pytest.raises(EngineUnavailable, match="key") as failure:
            await within(20)
    assert "accounts check" in failure.value.fix
    assert stored().status == "failed"


async def test_accounts_that_run_out_of_money_leave_what_was_made(accounts_file: Path) -> None:
    async def poor(role: str) -> None:
        if role == "costs":
            models.simulator.change(faults={"out_of_quota": 1.0})

    two = (member("one"), member("two"))
    async with team(accounts_file, {"plan": SIX}, accounts=two, gate=poor) as models:
        result = await within(30)
    assert result.status == "partial"
    assert reasons(result) == {"costs": "ENGINE_UNAVAILABLE", "proposal": "SKIPPED"}
    assert {one.id for one in result.results if one.output} == {"rent", "demand", "staff", "rivals"}
    assert (result.answer, result.merged_by) == (None, None)
    assert stored() == result


async def test_a_limit_that_leaves_no_room_before_the_deadline_says_so(accounts_file: Path) -> None:
    day = (member("only").model_copy(update={"quota": Quota(rpd=3)}),)
    async with team(accounts_file, {"plan": SIX}, accounts=day) as models:
        result = await within(20)
    assert len(models.answered) == 3
    assert set(reasons(result).values()) == {"LIMIT_REACHED", "SKIPPED"}
    assert len([one for one in result.results if one.output]) == 2


WIDE = planned(*(task(f"part-{number}") for number in range(8)))
LONG = {f"part-{number}": f"{number} " * 1500 for number in range(8)}
"""Results of about 750 tokens: with `DEAR`, 6 of 1000 cents each."""
DEAR = (member("only", price=Price(input_usd=0.1, output_usd=8)),)


def one_sentence(asked: Asked) -> dict[str, Any]:
    """A short merge, with a source that there is."""
    found = re.findall(r'<result [0-9a-f]+ of="([^"]+)">', asked.prompt)
    return {"statements": [{"text": "All parts are numbers.", "sources": found[:1]}]}


async def test_a_budget_is_never_passed_and_a_larger_one_goes_on(accounts_file: Path) -> None:
    async with team(accounts_file, {"plan": WIDE, **LONG, "merge": one_sentence}, accounts=DEAR) as models:
        result = await within(60, budget_usd=0.05)
        spent_usd = models.total()["cost_units"] / 1e9
        more = await within(60, budget_usd=1.0)
    assert result.status == "partial"
    assert set(reasons(result).values()) == {"BUDGET_EXCEEDED"}
    assert 0 < len(result.failed) < 8
    assert result.cost_usd == pytest.approx(spent_usd)
    assert spent_usd <= 0.05
    assert result.answer is not None  # a part of the budget is kept for merging
    assert result.evaluation is not None
    assert more.status == "complete"
    assert models.count("plan") == 1
    assert [models.count(name) for name in LONG] == [1] * 8


async def test_a_model_without_a_price_is_not_used_under_a_budget(accounts_file: Path) -> None:
    async with team(accounts_file, {"plan": PAIR}, accounts=(member("only", price=None),)) as models:
        with pytest.raises(BudgetExceeded, match="price of only-model is unknown"):
            await within(20, budget_usd=1.0)
        assert not models.arrived
        assert (await within(20)).cost_usd is None


async def test_a_request_too_long_for_every_model_says_by_how_much(accounts_file: Path) -> None:
    small = (member("only", context_tokens=3000),)
    async with team(accounts_file, {"plan": PAIR}, accounts=small):
        with pytest.raises(TooLarge) as failure:
            await dispatch_request("word " * 4000, options())
    assert failure.value.details["over_tokens"] > 0


async def test_results_that_do_not_fit_are_left_out_whole_and_said_so(accounts_file: Path) -> None:
    plan = planned(task("long", priority=2), task("short", priority=9), task("both", "long", "short"))
    says = {"plan": plan, "long": "lorem ipsum " * 1100, "short": "In short: 42."}
    small = (member("only", context_tokens=5000, max_output_tokens=4000),)
    async with team(accounts_file, says, accounts=small) as models:
        result = await within(30)
    prompt = models.prompt("both")
    assert "In short: 42." in prompt
    assert "lorem ipsum" not in prompt
    assert "the results of long" in prompt
    [both] = [one for one in result.results if one.id == "both"]
    assert [notice.code for notice in both.notices] == ["results_left_out"]
    assert result.status == "partial"  # the merge could not quote it either


async def test_a_sub_task_too_long_for_every_model_fails_alone(accounts_file: Path) -> None:
    plan = Plan.model_validate(planned(task("wide", instruction="word " * 4000), task("rent")))
    small = (member("only", context_tokens=6000),)
    async with team(accounts_file, {}, accounts=small):
        result = await dispatch_request(REQUEST, options(), plan=plan)
    assert reasons(result) == {"wide": "FILE_TOO_LARGE"}
    assert result.status == "partial"


async def test_labels_choose_the_accounts(accounts_file: Path) -> None:
    two = (member("cheap").model_copy(update={"labels": ("team",)}), member("dear"))
    async with team(accounts_file, {"plan": PAIR}, accounts=two) as models:
        await within(30, labels=("team",))
        assert models.used() == {"cheap"}
        with pytest.raises(Unsupported, match="nobody"):
            await dispatch_request("Another one.", options(labels=("nobody",)))


async def test_a_deadline_in_a_round_of_improvement_keeps_the_answer_before_and_goes_on_there(
    accounts_file: Path,
) -> None:
    again = Held("never")

    async def second(role: str) -> None:
        if role == "costs" and models.count("costs") > 1:  # done again
            await again.opened.wait()

    says = {"plan": PAIR, "costs": ["5,000", "6,000"], "evaluate": judge(0.4, costs="More")}
    async with team(accounts_file, says, gate=second) as models:
        result = await within(12, rounds=1)
        again.opened.set()
        models.says["evaluate"] = judge(0.95)
        more = await within(30, rounds=1)
    assert result.status == "partial"
    assert result.trouble is not None
    assert result.trouble.code == "TIMED_OUT"
    assert result.evaluation is not None
    assert result.evaluation.mean == 0.4
    assert [one.kept for one in result.rounds] == [True, False]
    assert more.status == "complete"
    assert [(one.score, one.kept) for one in more.rounds] == [(0.4, False), (0.95, True)]
    assert models.count("plan") == 1


async def test_a_cancelled_request_leaves_nothing_running(accounts_file: Path) -> None:
    async with team(accounts_file, {"plan": SIX}, gate=Held("rent")) as models:
        running = asyncio.create_task(dispatch_request(REQUEST, options()))
        await models.until("rent", "demand", "staff", "rivals")
        others = {one for one in asyncio.all_tasks() if "in_order" in str(one) or "perform" in str(one)}
        assert others
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert all(one.done() for one in others)
