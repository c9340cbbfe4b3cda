"""Runs that wait for people: answered in the Prefect UI, elsewhere, or by nobody; killed while they wait."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled

from blocks.approvals import ApprovalDecision, Approvals, open_approvals
from blocks.approvals.refusals import Forged
from blocks.errors import Stopped
from blocks.store import open_store
from flows.approval_form import Forms, form_key
from flows.approvals import sweep_approvals, wait_for_decision
from flows.paused_form import paused_by
from tests.flows.run_approval import POLL_S, ask, ask_twice, request
from tests.processes import eventually, free_port


@pytest.fixture
async def client(prefect_api: str) -> AsyncIterator[PrefectClient]:
    async with get_client() as opened:
        yield opened


@pytest.fixture
def approvals(prefect_api: str) -> Approvals:
    return open_approvals()


async def waiting(approvals: Approvals, client: PrefectClient, round_: int = 0, call_id: str = "call_1") -> FlowRun:
    """The flow run of a request, once its form of that round is shown."""
    approval_id = request(call_id=call_id).approval_id
    async with asyncio.timeout(60):
        while True:
            for one in approvals.pending():
                if one.request.approval_id == approval_id and one.request.flow_run_id:
                    run = await client.read_flow_run(UUID(one.request.flow_run_id))
                    if paused_by(run) == f"{form_key(approval_id)}-{round_}":
                        return run
            await asyncio.sleep(0.05)


async def send(client: PrefectClient, run: FlowRun, **fields: str) -> int:
    """Send a run's form, as the Prefect UI does; the status of the answer."""
    async with httpx.AsyncClient(base_url=str(client.api_url), trust_env=False) as http:
        return (await http.post(f"flow_runs/{run.id}/resume", json={"run_input": fields})).status_code


async def shown(client: PrefectClient, run: FlowRun, part: str) -> Any:
    """A part of the form that a run shows: `description` or `schema`."""
    assert run.state is not None and run.state.state_details.run_input_keyset is not None
    async with httpx.AsyncClient(base_url=str(client.api_url), trust_env=False) as http:
        answer = await http.get(f"flow_runs/{run.id}/input/{run.state.state_details.run_input_keyset[part]}")
    return answer.json()


def vote(approvals: Approvals, by: str, verdict: Any = "approve", **facts: Any) -> None:
    whole: dict[str, Any] = {"channel": "cli", "now": datetime.now(UTC)} | facts
    approvals.vote(whole.pop("approval_id", request().approval_id), by=by, verdict=verdict, **whole)


async def test_a_form_of_the_prefect_ui_answers(approvals: Approvals, client: PrefectClient) -> None:
    running = asyncio.create_task(ask({}))
    run = await waiting(approvals, client)
    text = await shown(client, run, "description")
    fields = (await shown(client, run, "schema"))["properties"]
    assert await send(client, run, verdict="approve", name="Bob", reason="fine") == httpx.codes.CREATED
    decided = await running
    assert (decided.approved, decided.by, decided.reason) == (True, ("Bob",), "fine")
    assert "delete_file" in text and '"keep_days": 7' in text and request().arguments_hash in text
    assert fields.keys() == {"verdict", "name", "reason", "arguments"}
    assert (await client.read_flow_run(run.id)).state_type == StateType.COMPLETED
    assert approvals.untaken() == ()


async def test_a_form_may_change_the_arguments(approvals: Approvals, client: PrefectClient) -> None:
    running = asyncio.create_task(ask({}))
    run = await waiting(approvals, client)
    await send(client, run, verdict="approve", name="Bob", arguments='{"path": "/tmp/x", "keep_days": 1}')
    decided = await running
    assert (decided.approved, decided.edited, decided.arguments) == (True, True, {"path": "/tmp/x", "keep_days": 1})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"verdict": "approve", "name": "Ann"}, "may not answer"),
        ({"verdict": "approve"}, "a name is needed"),
        ({}, "no decision"),
        ({"verdict": "approve", "name": "Bob", "arguments": "[1"}, "no JSON object"),
    ],
)
async def test_an_answer_that_does_not_count_is_told_in_the_next_form(
    approvals: Approvals, client: PrefectClient, fields: dict[str, str], said: str
) -> None:
    running = asyncio.create_task(ask({}))
    assert await send(client, await waiting(approvals, client), **fields) == httpx.codes.CREATED
    run = await waiting(approvals, client, round_=1)
    assert said in await shown(client, run, "description")
    await send(client, run, verdict="deny", name="Bob")
    assert not (await running).approved


async def test_a_form_is_no_answer_for_a_high_risk(approvals: Approvals, client: PrefectClient) -> None:
    running = asyncio.create_task(ask({"risk": "high"}))
    run = await waiting(approvals, client)
    assert "A form is no answer" in await shown(client, run, "description")
    assert (await shown(client, run, "schema"))["properties"] == {}
    assert await send(client, run, verdict="approve", name="Bob") == httpx.codes.OK, "refused: no such field"
    await send(client, run)
    await waiting(approvals, client, round_=1)
    vote(approvals, "bob")
    assert (await running).by == ("bob",)


async def test_an_answer_from_elsewhere_ends_the_pause(approvals: Approvals, client: PrefectClient) -> None:
    running = asyncio.create_task(ask({}))
    run = await waiting(approvals, client)
    vote(approvals, "bob", "deny", reason="no")
    decided = await running
    assert (decided.approved, decided.reason) == (False, "no")
    assert (await client.read_flow_run(run.id)).state_type == StateType.COMPLETED


async def test_form_and_command_line_together_make_two_persons(approvals: Approvals, client: PrefectClient) -> None:
    running = asyncio.create_task(ask({"persons": 2}))
    await send(client, await waiting(approvals, client), verdict="approve", name="Bob")
    await waiting(approvals, client, round_=1)
    vote(approvals, "eve")
    assert (await running).by == ("Bob", "eve")


async def test_nobody_answers_and_the_run_goes_on_denied(approvals: Approvals, client: PrefectClient) -> None:
    expires_at = datetime.now(UTC) + timedelta(seconds=2)
    running = asyncio.create_task(ask({"expires_at": expires_at}))
    run = await waiting(approvals, client)
    decided = await running
    assert (decided.approved, decided.by) == (False, ())
    assert (await client.read_flow_run(run.id)).state_type == StateType.COMPLETED


async def test_two_questions_of_one_run_show_one_form_after_the_other(
    approvals: Approvals, client: PrefectClient
) -> None:
    running = asyncio.create_task(ask_twice())
    first, second = request(call_id="call_1"), request(call_id="call_2")

    async def either() -> tuple[FlowRun, str]:
        tasks = {asyncio.create_task(waiting(approvals, client, call_id=name)) for name in ("call_1", "call_2")}
        done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for other in others:
            other.cancel()
        run = done.pop().result()
        return run, paused_by(run) or ""

    run, key = await either()
    is_first = key.startswith(form_key(first.approval_id))
    await send(client, run, verdict="approve", name="Bob")
    other, name = (second, "call_2") if is_first else (first, "call_1")
    run = await waiting(approvals, client, call_id=name)
    vote(approvals, "eve", "deny", approval_id=other.approval_id)
    verdicts = [one.approved for one in await running]
    assert verdicts == [is_first, not is_first]


async def test_a_run_that_is_cancelled_while_it_waits_stops(approvals: Approvals, client: PrefectClient) -> None:
    running = asyncio.create_task(ask({}))
    run = await waiting(approvals, client)
    await client.set_flow_run_state(run.id, Cancelled(), force=True)
    with pytest.raises(Stopped):
        await running


async def test_outside_of_a_flow_run_the_store_is_followed(approvals: Approvals) -> None:
    waits = asyncio.create_task(wait_for_decision(request(), approvals, poll_s=POLL_S))
    await eventually(approvals.pending)
    vote(approvals, "bob")
    assert (await waits).approved


async def test_a_decision_that_stands_is_returned_without_a_pause(approvals: Approvals, client: PrefectClient) -> None:
    approvals.ask(request())
    vote(approvals, "bob")
    assert (await ask({})).approved
    [run] = [one for one in await client.read_flow_runs() if str(one.id) == approvals.every()[0].request.flow_run_id]
    assert run.empirical_policy.pause_keys == set()


async def test_a_forged_vote_ends_the_wait_with_an_error(approvals: Approvals) -> None:
    approval_id = approvals.ask(request()).request.approval_id
    vote(approvals, "bob")
    key = f"approvals/records/{approval_id}.json"
    record = json.loads(open_store().read_bytes(key))
    record["votes"][0]["by"] = "eve"
    open_store().put_bytes(key, json.dumps(record).encode())
    with pytest.raises(Forged):
        await wait_for_decision(request(), approvals, poll_s=POLL_S)


async def begun(client: PrefectClient) -> FlowRun:
    """A flow run that a process is to do."""
    return await client.create_flow_run(ask, parameters={"facts": {}})


async def start(run: FlowRun) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.flows.run_approval", str(run.id), stdout=PIPE, stderr=PIPE
    )


async def kill(process: Process) -> None:
    process.kill()
    assert await process.wait() == -signal.SIGKILL


async def finish(process: Process) -> ApprovalDecision:
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return ApprovalDecision.model_validate_json(output.splitlines()[-1])


async def test_a_killed_run_asks_again_and_a_form_that_was_sent_while_it_was_dead_counts(
    approvals: Approvals, client: PrefectClient
) -> None:
    run = await begun(client)
    first = await start(run)
    await waiting(approvals, client)
    await kill(first)
    second = await start(run)
    paused = await waiting(approvals, client, round_=1)
    assert paused.id == run.id
    await kill(second)
    assert await send(client, paused, verdict="approve", name="Bob") == httpx.codes.CREATED
    decided = await finish(await start(run))
    assert (decided.approved, decided.by) == (True, ("Bob",))
    assert len(approvals.every()) == 1


async def test_a_run_whose_process_died_is_woken_and_finds_the_answer_that_came_meanwhile(
    approvals: Approvals, client: PrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await begun(client)
    process = await start(run)
    await waiting(approvals, client)
    await kill(process)
    vote(approvals, "bob")
    assert (await sweep_approvals()).woken == (), "its process might still come by"
    monkeypatch.setattr("flows.approvals.ASLEEP", timedelta(0))
    assert (await sweep_approvals()).woken == (request().approval_id,)
    assert (await client.read_flow_run(run.id)).state_type == StateType.RUNNING
    decided = await finish(await start(run))
    assert (decided.approved, decided.by) == (True, ("bob",))


async def test_a_server_that_is_away_takes_only_the_form_away(approvals: Approvals) -> None:
    asked = approvals.ask(request()).request
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}):
        forms = Forms(asked, approvals, uuid4())
        await forms.look()
        vote(approvals, "bob")
        await forms.look()
        assert await forms.take_down(), "it was never shown"
