"""Questions of the coordinator: answered through Prefect, by a listener, or not at all."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
from prefect.client.schemas.objects import FlowRun, StateType

from flows import dispatch_request
from flows.answers import listener
from tasks.dispatch.result import Question
from tests.fakes.llm.team import planned, task, team
from tests.flows.dispatching import options

ASKS = {
    "questions": [
        {"question": "How much money is there?", "why": "It bounds the rent.", "assumption": "60,000 dollars."},
        {"question": "Until when?", "assumption": "Within a year."},
    ]
}
SAYS = {"clarify": ASKS, "plan": planned(task("rent"), assumptions=["Prices stay."])}


@pytest.fixture
def accounts_file(prefect_api: str, tmp_path: Path) -> Path:
    """Where the settings look for accounts; the flow's server runs."""
    return tmp_path / "accounts.yaml"


async def paused(name: str) -> FlowRun:
    """The flow run of that name, once it waits for answers."""
    wanted = FlowRunFilter(name=FlowRunFilterName(any_=[name]))
    async with get_client() as client, asyncio.timeout(60):
        while True:
            for run in await client.read_flow_runs(flow_run_filter=wanted):
                if run.state_type == StateType.PAUSED and await _has_form(str(client.api_url), run):
                    return run
            await asyncio.sleep(0.1)


async def _has_form(api: str, run: FlowRun) -> bool:
    return (await _form(api, run)).status_code == httpx.codes.OK


async def _form(api: str, run: FlowRun) -> httpx.Response:
    assert run.state is not None
    keys = run.state.state_details.run_input_keyset
    assert keys is not None
    async with httpx.AsyncClient(base_url=api, trust_env=False) as http:
        return await http.get(f"flow_runs/{run.id}/input/{keys['schema']}")


async def resume(api: str, run: FlowRun, **answers: str) -> httpx.Response:
    """Answer as the Prefect UI does."""
    async with httpx.AsyncClient(base_url=api, trust_env=False) as http:
        return await http.post(f"flow_runs/{run.id}/resume", json={"run_input": answers})


async def test_a_paused_run_goes_on_with_the_answers_of_its_form(accounts_file: Path, prefect_api: str) -> None:
    request = "Open a second shop?"
    async with team(accounts_file, SAYS) as models:
        running = asyncio.create_task(dispatch_request(request, options(questions=2, answer_within_s=600)))
        run = await paused(request)
        form: dict[str, Any] = (await _form(prefect_api, run)).json()
        assert (await resume(prefect_api, run, answer_1="90,000 dollars")).status_code == httpx.codes.CREATED
        result = await running
    fields = form["properties"]
    assert fields["answer_1"]["title"] == "How much money is there?"
    assert "60,000 dollars." in fields["answer_1"]["description"]
    assert [one.answer for one in result.clarifications] == ["90,000 dollars", None]
    assert result.assumptions == ("Within a year.", "Prices stay.")
    for role in ("plan", "rent", "merge", "evaluate"):
        assert "90,000 dollars" in models.prompt(role)
        assert "Assume: Within a year." in models.prompt(role)
    assert result.status == "complete"


async def test_answers_are_asked_for_only_once(accounts_file: Path, prefect_api: str) -> None:
    request = "Open a third shop?"
    says = SAYS | {"rent": ["", "1,800 dollars."]}
    async with team(accounts_file, says | {"plan": planned(task("rent"), task("staff"))}) as models:
        asked = options(questions=2, answer_within_s=600)
        running = asyncio.create_task(dispatch_request(request, asked))
        await resume(prefect_api, await paused(request), answer_1="90,000 dollars")
        assert (await running).status == "partial"
        again = await dispatch_request(request, asked)
    assert again.status == "complete"
    assert again.clarifications[0].answer == "90,000 dollars"
    assert models.count("clarify") == 1


async def test_a_pause_that_nobody_answers_ends_with_the_assumptions(accounts_file: Path) -> None:
    async with team(accounts_file, SAYS) as models:
        result = await dispatch_request("Open a fourth shop?", options(questions=2, answer_within_s=1))
    assert result.status == "complete"
    assert result.assumptions == ("60,000 dollars.", "Within a year.", "Prices stay.")
    assert "Assume: 60,000 dollars." in models.prompt("plan")


async def test_unattended_it_goes_on_at_once(accounts_file: Path) -> None:
    async with team(accounts_file, SAYS):
        result = await dispatch_request("Open a fifth shop?", options(questions=1))
    assert [one.answer for one in result.clarifications] == [None]
    assert result.assumptions == ("60,000 dollars.", "Prices stay.")


async def test_a_listener_is_asked_first(accounts_file: Path) -> None:
    async def answering(questions: Sequence[Question]) -> list[str]:
        return [f"{one.question[:3]}?" for one in questions]

    token = listener.set(answering)
    try:
        async with team(accounts_file, SAYS):
            result = await dispatch_request("Open a sixth shop?", options(questions=2, answer_within_s=600))
    finally:
        listener.reset(token)
    assert [one.answer for one in result.clarifications] == ["How?", "Unt?"]


async def test_a_coordinator_that_cannot_ask_does_not_stop_the_request(accounts_file: Path) -> None:
    async with team(accounts_file, SAYS | {"clarify": "Hm."}):
        result = await dispatch_request("Open a seventh shop?", options(questions=2))
    assert result.status == "complete"
    assert any(notice.step == "clarify" for notice in result.notices)
