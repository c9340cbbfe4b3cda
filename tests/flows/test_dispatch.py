"""A request split into sub-tasks, done side by side, merged and judged."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from blocks.errors import BadInput, EngineFailed
from blocks.store import open_store
from deployments.simulator.asked import Asked
from flows import dispatch_request
from tasks.dispatch.plan import Plan
from tests.fakes.llm.team import Barrier, Held, judge, planned, scores, task, team
from tests.flows.dispatching import PAIR, REQUEST, SIX, options, stored

ALL = ["rent", "demand", "staff", "rivals", "costs", "proposal"]


@pytest.fixture
def accounts_file(prefect_api: str, tmp_path: Path) -> Path:
    """Where the settings look for accounts; the flow's server runs."""
    return tmp_path / "accounts.yaml"


async def test_a_request_is_split_done_side_by_side_merged_and_judged(accounts_file: Path) -> None:
    # The four are answered only once all four have arrived: one after the other they would never be.
    async with team(accounts_file, {"plan": SIX}, gate=Barrier("rent", "demand", "staff", "rivals")) as models:
        result = await dispatch_request(REQUEST, options(criteria=("It says yes or no.",)))
        total, used = models.total(), models.used()
    assert result.status == "complete"
    assert Counter(models.answered) == Counter(["plan", *ALL, "merge", "evaluate"])
    assert models.answered.index("costs") > max(map(models.answered.index, ("rent", "staff")))
    assert [statement.sources for statement in result.statements] == [(name,) for name in ALL]
    assert result.evaluation is not None
    assert [one.criterion for one in result.evaluation.scores] == ["It says yes or no."]
    assert used == {"openai", "claude", "gemini"}
    assert {one.account for one in result.results} <= used
    assert (result.calls, result.cost_usd) == (total["calls"], total["cost_units"] / 1e9)
    assert (result.spent.prompt_tokens, result.spent.completion_tokens) == (
        total["prompt_tokens"],
        total["completion_tokens"],
    )
    assert set(result.timings_s) == {"plan", "work", "merge", "evaluate"}


async def test_a_sub_task_sees_the_results_it_needs_and_no_others(accounts_file: Path) -> None:
    async with team(accounts_file, {"plan": SIX}) as models:
        await dispatch_request(REQUEST, options())
    prompt = models.prompt("costs")
    assert "The result of rent." in prompt
    assert "The result of staff." in prompt
    assert "The result of demand." not in prompt
    assert REQUEST in prompt


async def test_a_sub_task_begins_while_others_that_it_does_not_need_go_on(accounts_file: Path) -> None:
    held = Held("demand")
    async with team(accounts_file, {"plan": SIX}, gate=held) as models:
        running = asyncio.create_task(dispatch_request(REQUEST, options()))
        await models.until("demand", "costs")
        assert "demand" not in models.answered
        held.opened.set()
        assert (await running).status == "complete"


async def test_all_of_it_is_shown_in_prefect_and_lies_in_the_store(accounts_file: Path) -> None:
    async with team(accounts_file, {"plan": PAIR}):
        result = await dispatch_request("Show me.", options())
    async with get_client() as client:
        shown = {}
        for key in ("plan", "answer"):
            wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[f"{key}-{result.dispatch_id}"]))
            [artifact] = await client.read_artifacts(artifact_filter=wanted)
            shown[key] = str(artifact.data)
    assert shown["plan"].count("✓ done") == 2
    assert "The result of costs. [costs]" in shown["answer"]
    files = open_store()
    assert stored("Show me.") == result
    assert files.read_bytes(f"dispatches/{result.dispatch_id}/tasks/rent.md") == b"The result of rent.\n"
    assert set(result.files) == {"request.txt", "plan.json", "answer.md", "report.md"}
    assert all(files.exists(file.key) for file in result.files.values())


async def test_the_same_request_is_answered_from_the_store(accounts_file: Path) -> None:
    async with team(accounts_file, {"plan": PAIR}) as models:
        first = await dispatch_request(REQUEST, options())
        calls = len(models.answered)
        assert await dispatch_request(REQUEST, options(deadline_s=60)) == first
        assert len(models.answered) == calls
        assert (await dispatch_request(REQUEST, options(), refresh=True)).calls == calls
        assert len(models.answered) == 2 * calls
        await dispatch_request(REQUEST, options(user="bob"))
        assert len(models.answered) == 3 * calls


async def test_a_malformed_plan_is_sent_back_once_with_its_problem(accounts_file: Path) -> None:
    circle = planned(task("rent", "staff"), task("staff", "rent"))
    async with team(accounts_file, {"plan": [circle, PAIR]}) as models:
        result = await dispatch_request(REQUEST, options())
    assert result.status == "complete"
    assert models.count("plan") == 2
    assert "wait for each other in a circle: rent → staff → rent" in models.prompt("plan")


@pytest.mark.parametrize(
    ("plan", "named"),
    [
        (planned(task("rent", "staff"), task("staff", "rent")), "rent → staff → rent"),
        (planned(task("rent", "weather")), "rent depends on weather"),
        (planned(*(task(f"part-{number}") for number in range(21))), "21 sub-tasks, and at most 20"),
        ("I would rather not.", "no JSON object"),
    ],
)
async def test_a_plan_that_stays_malformed_ends_the_request(accounts_file: Path, plan: object, named: str) -> None:
    async with team(accounts_file, {"plan": plan}) as models:
        with pytest.raises(EngineFailed, match="plan cannot be carried out") as failure:
            await dispatch_request(REQUEST, options())
    assert named in str(failure.value)
    assert models.answered == ["plan", "plan"]
    kept = stored()
    assert kept.status == "failed"
    assert kept.calls == 2
    assert kept.trouble is not None
    assert named in kept.trouble.message


async def test_the_callers_own_plan_needs_no_coordinator_to_split(accounts_file: Path) -> None:
    plan = Plan.model_validate(planned(task("one"), task("two", "one")))
    async with team(accounts_file, {}) as models:
        result = await dispatch_request(REQUEST, options(), plan=plan)
    assert result.plan == plan
    assert models.answered == ["one", "two", "merge", "evaluate"]


async def test_the_callers_own_plan_is_refused_before_anything_is_asked(accounts_file: Path) -> None:
    plan = Plan.model_validate(planned(task("one", "two"), task("two", "one")))
    async with team(accounts_file, {}) as models:
        with pytest.raises(BadInput, match="one → two → one") as failure:
            await dispatch_request(REQUEST, options(), plan=plan)
    assert failure.value.details["field"] == "plan"
    assert not models.arrived


async def test_a_failed_sub_task_costs_only_what_depends_on_it(accounts_file: Path) -> None:
    async with team(accounts_file, {"plan": SIX, "rent": ""}) as models:
        result = await dispatch_request(REQUEST, options())
    assert "costs" not in models.arrived
    assert result.status == "partial"
    assert {one.id: one.status for one in result.failed} == {
        "rent": "failed",
        "costs": "skipped",
        "proposal": "skipped",
    }
    reasons = {one.id: one.trouble for one in result.failed}
    assert reasons["rent"] is not None
    assert "gave no answer" in reasons["rent"].message
    assert reasons["proposal"] is not None
    assert "costs" in reasons["proposal"].message
    assert [one.sources for one in result.statements] == [("demand",), ("staff",), ("rivals",)]
    assert stored() == result


async def test_a_partial_request_goes_on_where_it_ended(accounts_file: Path) -> None:
    async with team(accounts_file, {"plan": SIX, "rent": ["", "1,800 dollars."]}) as models:
        first = await dispatch_request(REQUEST, options())
        second = await dispatch_request(REQUEST, options())
        total = models.total()
    assert (first.status, second.status) == ("partial", "complete")
    again = Counter(models.answered[first.calls :])
    assert again == Counter(["rent", "costs", "proposal", "merge", "evaluate"])
    # Counted again: plan, demand, staff and rivals, which the first attempt had found.
    assert second.calls == 4 + again.total()
    assert first.calls + again.total() == total["calls"]


async def test_a_result_with_a_schema_is_repaired_and_typed(accounts_file: Path) -> None:
    schema = {"type": "object", "properties": {"usd": {"type": "number"}}, "required": ["usd"]}
    plan = planned(task("rent", output_schema=schema), task("costs", "rent"))
    async with team(accounts_file, {"plan": plan, "rent": [{"usd": "much"}, {"usd": 1800}]}) as models:
        result = await dispatch_request(REQUEST, options())
    assert result.results[0].value == {"usd": 1800}
    assert models.count("rent") == 2
    assert '"usd": 1800' in models.prompt("costs")


async def test_contradictions_stay_visible_and_what_has_no_source_is_dropped(accounts_file: Path) -> None:
    merged = {
        "statements": [
            {"text": "Open it.", "sources": ["proposal"]},
            {"text": "open it", "sources": ["costs"]},
            {"text": "The moon is made of cheese.", "sources": ["astronomy"]},
        ],
        "conflicts": [
            {
                "about": "Customers",
                "sides": [{"text": "400 a day.", "sources": ["demand"]}, {"text": "250.", "sources": ["rivals"]}],
            }
        ],
    }
    async with team(accounts_file, {"plan": SIX, "merge": merged}):
        result = await dispatch_request(REQUEST, options())
    [statement] = result.statements
    assert statement.sources == ("proposal", "costs")
    assert [side.sources for side in result.conflicts[0].sides] == [("demand",), ("rivals",)]
    assert result.answer is not None
    assert "cheese" not in result.answer
    assert "400 a day. [demand]" in result.answer
    assert any("astronomy" in notice.message for notice in result.notices)


async def test_an_evaluation_has_only_what_it_names_done_again(accounts_file: Path) -> None:
    says = {
        "plan": SIX,
        "proposal": ["Open.", "Open, and watch demand."],
        "evaluate": [judge(0.4, proposal="Too short"), judge(0.95)],
    }
    async with team(accounts_file, says) as models:
        result = await dispatch_request(REQUEST, options(rounds=3))
    assert Counter(models.answered) == Counter(["plan", *ALL, "proposal", *["merge", "evaluate"] * 2])
    assert "Too short" in models.prompt("proposal")
    assert "Open." in models.prompt("proposal")
    assert [(one.number, one.tasks, one.score, one.kept) for one in result.rounds] == [
        (0, tuple(ALL), 0.4, False),
        (1, ("proposal",), 0.95, True),
    ]
    assert "Open, and watch demand. [proposal]" in str(result.answer)


async def test_all_that_an_evaluation_says_of_a_sub_task_is_told_to_it(accounts_file: Path) -> None:
    def twice(asked: Asked) -> dict[str, Any]:
        named = [{"task_id": "costs", "what": what} for what in ("Name the rent", "Name the wages")]
        return {**scores(asked, 0.4), "improve": named}

    async with team(
        accounts_file, {"plan": PAIR, "costs": ["5,000", "6,000"], "evaluate": [twice, judge(1)]}
    ) as models:
        result = await dispatch_request(REQUEST, options(rounds=1))
    assert "Name the rent" in models.prompt("costs")
    assert "Name the wages" in models.prompt("costs")
    assert result.rounds[1].tasks == ("costs",)


async def test_rounds_end_when_they_bring_nothing_and_the_best_is_kept(accounts_file: Path) -> None:
    says = {
        "plan": PAIR,
        "costs": ["first", "second", "third", "fourth"],
        "evaluate": [judge(0.4, costs="More"), judge(0.6, costs="More"), judge(0.5, costs="More"), judge(1)],
    }
    async with team(accounts_file, says) as models:
        result = await dispatch_request(REQUEST, options(rounds=9))
    assert models.count("evaluate") == 3
    assert [one.kept for one in result.rounds] == [False, True, False]
    assert result.evaluation is not None
    assert result.evaluation.mean == 0.6
    assert "second [costs]" in str(result.answer)
    assert result.status == "complete"


async def test_a_sub_task_that_fails_when_done_again_keeps_its_result(accounts_file: Path) -> None:
    says = {"plan": PAIR, "costs": ["5,000", ""], "evaluate": judge(0.4, costs="More")}
    async with team(accounts_file, says):
        result = await dispatch_request(REQUEST, options(rounds=2))
    assert result.status == "complete"
    assert "5,000 [costs]" in str(result.answer)
    assert any(notice.code == "not_improved" for notice in result.notices)


async def test_merging_falls_back_only_when_that_is_declared(accounts_file: Path) -> None:
    async with team(accounts_file, {"plan": PAIR, "merge": "I cannot."}):
        bare = await dispatch_request(REQUEST, options())
        declared = await dispatch_request(REQUEST, options(fallback_merge=True))
    assert (bare.status, bare.merged_by, bare.answer) == ("partial", None, None)
    assert len([one for one in bare.results if one.output]) == 2
    assert (declared.status, declared.merged_by) == ("partial", "rule")
    assert "The result of rent. [rent]" in str(declared.answer)


async def test_an_empty_request_is_refused(accounts_file: Path) -> None:
    with pytest.raises(BadInput, match="empty"):
        await dispatch_request(" \n", options())


async def test_half_characters_in_a_result_stop_nothing(accounts_file: Path) -> None:
    plan = planned(task("rent", output_schema={"type": "object"}), task("costs", "rent"))
    async with team(accounts_file, {"plan": plan, "rent": r'{"said": "\ud83d"}', "costs": "[1] costs"}) as models:
        result = await dispatch_request(REQUEST, options())
    assert result.status == "complete"
    assert result.results[0].value == {"said": "?"}
    assert '"said": "?"' in models.prompt("costs")
