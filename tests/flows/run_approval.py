"""A flow that asks, run in a process of its own: `python -m tests.flows.run_approval FLOW_RUN`; prints the decision."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow

from blocks.approvals import ApprovalDecision, ApprovalRequest, open_approvals
from flows.approvals import wait_for_decision
from tests.blocks.approvals import asking

POLL_S = 0.1


def request(**facts: Any) -> ApprovalRequest:
    """A request of this minute, for ten minutes unless said otherwise."""
    now = datetime.now(UTC)
    return asking.request(**({"asked_at": now, "expires_at": now + timedelta(minutes=10)} | facts))


@flow(name="asking", persist_result=False)
async def ask(facts: dict[str, Any]) -> ApprovalDecision:
    """Ask one question."""
    return await wait_for_decision(request(**facts), open_approvals(), poll_s=POLL_S)


@flow(name="asking-twice", persist_result=False)
async def ask_twice() -> list[ApprovalDecision]:
    """Ask two questions at once, as an agent does that makes two calls in one step."""
    wanted = (request(call_id=name) for name in ("call_1", "call_2"))
    return list(await asyncio.gather(*(wait_for_decision(one, open_approvals(), poll_s=POLL_S) for one in wanted)))


async def attempt(flow_run_id: UUID) -> None:
    """Do a flow run, or go on with one whose process died."""
    async with get_client() as client:
        run = await client.read_flow_run(flow_run_id)
    result: Any = run_flow(ask, flow_run=run, parameters={"facts": {}})
    print((await result).model_dump_json())


if __name__ == "__main__":
    asyncio.run(attempt(UUID(sys.argv[1])))
