"""What is of the moment: which agents work and wait, and what holds them back."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)

from blocks.accounts.standing import budget_limits
from blocks.agent_metrics import FOLDER, LiveSessions
from blocks.approvals import Approvals
from blocks.audit.log import head_of
from blocks.progress import in_thread
from blocks.runs.queue import all_runs
from blocks.runs.record import WAITING
from blocks.switches import SCOPES, Switches
from deployments.gateway.llm import LivePool, NoAccounts
from deployments.gateway.metrics.agents import Gauge
from deployments.gateway.metrics.families import Labels
from tasks.agents.breaker import Breakers

FLOW = "run-agent"


def agent_gauges(
    home: Path,
    *,
    switches: Switches,
    breakers: Breakers,
    approvals: Approvals,
    prefect: PrefectClient,
    live_pool: LivePool,
) -> Mapping[str, Gauge]:
    """Looks up each gauge, by its name.

    Args:
        home: AGENTS_HOME.
        switches: Its stop switches.
        breakers: Its circuit breakers.
        approvals: Questions to persons.
        prefect: The server that keeps the queue.
        live_pool: The accounts with their budgets.
    """
    sessions = LiveSessions(home / FOLDER / "sessions")

    async def at_work() -> Mapping[Labels, float]:
        return {(agent,): count for agent, count in (await in_thread(sessions.at_work)).items()}

    async def stopped() -> Mapping[Labels, float]:
        found = Counter(switch.scope for switch in await in_thread(switches.list))
        return {(scope,): found[scope] for scope in SCOPES}

    async def held_back() -> Mapping[Labels, float]:
        found = await in_thread(breakers.standing)
        return {_agent_and_tool(one.key): float(one.state == "open") for one in found}

    async def asked() -> Mapping[Labels, float]:
        found = Counter(one.request.risk for one in await in_thread(approvals.pending))
        return {(risk,): count for risk, count in found.items()}

    async def recorded() -> Mapping[Labels, float]:
        return {(): (await in_thread(head_of, home / "audit")).seq}

    async def queued() -> Mapping[Labels, float]:
        return await queue_depth(prefect)

    async def spent() -> Mapping[Labels, float]:
        return await budgets_used(live_pool)

    return {
        "c500_agent_active_sessions": at_work,
        "c500_agent_switches_set": stopped,
        "c500_agent_breakers_open": held_back,
        "c500_agent_approvals_waiting": asked,
        "c500_agent_audit_head_seq": recorded,
        "c500_agent_queue_depth": queued,
        "c500_agent_budget_used_ratio": spent,
    }


async def queue_depth(prefect: PrefectClient) -> Mapping[Labels, float]:
    """Runs of agents that wait for a worker, by agent and work queue."""
    waiting = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(WAITING))))
    found: Counter[Labels] = Counter()
    async for run in all_runs(prefect, waiting, FlowFilter(name=FlowFilterName(any_=[FLOW]))):
        found[str(run.parameters.get("agent", "operator")), run.work_queue_name or "default"] += 1
    return dict(found)


async def budgets_used(live_pool: LivePool) -> Mapping[Labels, float]:
    """How much of the budgets of accounts.yaml and the API keys is used and held; nothing where there are no accounts.

    Of users the fullest is told, as `user/*/…`: there may be any number of them, and nobody is named.
    """
    try:
        pool = await live_pool.pool()
    except NoAccounts:
        return {}
    used: dict[Labels, float] = {}
    for one in await pool.limiter.standing(budget_limits(pool.accounts)):
        share = (one.settled + one.held) / one.amount if one.amount else 1.0
        budget = (_of_all_users(one.key),)
        used[budget] = max(used.get(budget, 0.0), share)
    return used


def _of_all_users(key: str) -> str:
    owner, _, field = key.rpartition("/")
    return f"user/*/{field}" if owner.startswith("user/") else key


def _agent_and_tool(key: str) -> Labels:
    agent, _, tool = key.partition("/")
    return agent, tool
