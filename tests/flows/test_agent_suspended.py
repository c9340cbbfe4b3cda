"""A run of a worker that a switch stops: it leaves its process, and goes on in another when it is resumed."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.states import Cancelled

from blocks.approvals import open_approvals
from blocks.errors import BadInput
from blocks.progress import in_thread
from blocks.store import open_store
from deployments.cli.agent import _resume
from tasks.agents.runs import RunStore
from tests.fakes.deployed import deploy, start, state_of, until, until_ended
from tests.fakes.llm.agent_model import agent_model, calls
from tests.flows.test_agent import RISKY, accounts, phases, workspace
from tests.flows.test_agent_changed import clear, stop, writing

__all__ = ["accounts", "workspace"]

pytestmark = pytest.mark.usefixtures("prefect_api")

ROOT, RUN = Path(__file__).parents[2], "00000000000000c1"


async def submitted(client: PrefectClient, workspace: Path, **options: Any) -> UUID:
    """A run of the deployment, before a worker has taken it."""
    name = await deploy(client, "run-agent", f"{ROOT}/flows/agent.py:run_agent")
    deployment = await client.read_deployment_by_name(name)
    given = {"workspace": str(workspace), "user": "ann", "attended": False} | options
    parameters = {"goal": "Write.", "options": given, "run_id": RUN}
    return (await client.create_flow_run_from_deployment(deployment.id, parameters=parameters)).id


async def test_a_stopped_run_waits_without_a_process_as_often_as_it_is_stopped(
    accounts: Path, workspace: Path, tmp_path: Path
) -> None:
    def stopping(_: Any) -> Any:
        if phases(RUN).count("run_started") == 1:
            stop()
        return calls(*writing("b.txt"))

    with agent_model(accounts, writing("a.txt"), stopping, "Done.") as model:
        async with get_client() as client:
            run_id = await submitted(client, workspace)
            for _ in range(2):  # resumed while the switch is still set, it is stopped again
                assert await until_ended(await start(client, run_id, tmp_path / "log")) == 0
                assert (await state_of(client, run_id)).name == "Suspended"
                with pytest.raises(BadInput, match="waits in a worker"):
                    await _resume(str(run_id), 2.0)
                assert await _resume(str(run_id))
            assert not await _resume(str(run_id))
            clear()
            await until_ended(await start(client, run_id, tmp_path / "log"))
            assert (await state_of(client, run_id)).is_completed()
        asked = len(model.script.asked)
    assert asked <= 4
    assert phases(RUN).count("run_started") == 3
    assert [one for one in phases(RUN) if one == "started"] == ["started"] * 2
    assert (workspace / "a.txt").read_text() + (workspace / "b.txt").read_text() == "a.txtb.txt"


async def test_a_run_that_is_cancelled_while_a_person_is_asked_is_not_suspended(
    accounts: Path, workspace: Path, tmp_path: Path
) -> None:
    approvals = open_approvals()

    async def is_asked() -> bool:
        return bool(await in_thread(approvals.pending))

    with agent_model(accounts, RISKY, "Done."):
        async with get_client() as client:
            run_id = await submitted(client, workspace, attended=True)
            process = await start(client, run_id, tmp_path / "log")
            await until(is_asked)
            await client.set_flow_run_state(run_id, Cancelled(), force=True)
            await until_ended(process)
            state = await state_of(client, run_id)
    assert state.is_final()
    assert "cannot be suspended" not in (state.message or "")
    assert RunStore(open_store()).suspended(RUN) is None
    assert not (workspace / "made.txt").exists()
