"""Metrics of agents as Prometheus reads them."""

import asyncio
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.flows import flow
from prefect.states import Completed, Pending, Scheduled
from prometheus_client.parser import text_string_to_metric_families

from blocks.agent_metrics import FOLDER, METRICS, AgentMetrics, LiveSessions
from blocks.agent_metrics.names import REFERENCE
from blocks.approvals import Approvals
from blocks.audit import AuditLog, Entry
from blocks.errors import StoreFailed
from blocks.redact import Redactor
from blocks.settings import settings
from blocks.store import open_store
from blocks.switches import FileSwitches, Switch
from deployments.gateway.llm import LivePool
from deployments.gateway.metrics.agent_gauges import FLOW, agent_gauges, queue_depth
from deployments.gateway.metrics.agents import AgentLook
from deployments.gateway.metrics.families import exposed
from tasks.agents.breaker import FileBreakers

Sample = tuple[str, tuple[tuple[str, str], ...]]
KEY = b"k" * 32


def samples(text: bytes) -> dict[Sample, float]:
    """What is exposed, by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


async def test_what_was_counted_is_exposed_under_its_names(tmp_path: Path) -> None:
    metrics = AgentMetrics(tmp_path)
    metrics.count("c500_agent_api_cost_usd_total", {"agent_name": "ops", "model": "m"}, 0.25)
    metrics.observe("c500_agent_steps_per_request", {"agent_name": "ops"}, 7)
    found = samples(exposed(await AgentLook(metrics, {}).read()))
    assert found["c500_agent_api_cost_usd_total", (("agent_name", "ops"), ("model", "m"))] == 0.25
    assert found["c500_agent_steps_per_request_bucket", (("agent_name", "ops"), ("le", "5.0"))] == 0
    assert found["c500_agent_steps_per_request_bucket", (("agent_name", "ops"), ("le", "10.0"))] == 1
    assert found["c500_agent_steps_per_request_bucket", (("agent_name", "ops"), ("le", "+Inf"))] == 1
    assert found["c500_agent_steps_per_request_count", (("agent_name", "ops"),)] == 1
    assert found["c500_agent_steps_per_request_sum", (("agent_name", "ops"),)] == 7
    assert found["c500_agent_up", ()] == 1


async def test_every_metric_is_exposed_in_a_form_that_promtool_takes(tmp_path: Path) -> None:
    metrics = AgentMetrics(tmp_path)
    gauges: dict[str, Any] = {}

    async def some(name: str) -> Mapping[tuple[str, ...], float]:
        return {tuple("x" for _ in METRICS[name].labels): 1}

    for name, metric in METRICS.items():
        if metric.kind == "gauge" and name != "c500_agent_up":
            gauges[name] = lambda name=name: some(name)
        elif metric.kind != "gauge":
            metrics.count(name, dict.fromkeys(metric.labels, 'quoted "x"\\'), 1)
    text = exposed(await AgentLook(metrics, gauges).read())
    names = {name for name, _ in samples(text)}
    known = {series for metric in METRICS.values() for series in metric.series}
    book = {series.replace(name, REFERENCE[name]) for name in REFERENCE for series in METRICS[name].series}
    assert names == known | book
    command = ["promtool", "check", "metrics"]
    checked = await asyncio.to_thread(subprocess.run, command, input=text, capture_output=True)
    assert checked.returncode in (0, 3), checked.stderr  # 3: matters of taste
    assert b"error" not in checked.stderr.lower()


async def test_a_gauge_that_cannot_be_looked_up_is_left_out_and_shows(tmp_path: Path) -> None:
    async def fails() -> Mapping[tuple[str, ...], float]:
        raise StoreFailed("the disk is gone", fix="")

    async def works() -> Mapping[tuple[str, ...], float]:
        return {("all",): 1.0}

    look = AgentLook(AgentMetrics(tmp_path), {"c500_agent_audit_head_seq": fails, "c500_agent_switches_set": works})
    found = samples(exposed(await look.read()))
    assert found == {("c500_agent_switches_set", (("scope", "all"),)): 1, ("c500_agent_up", ()): 0}


async def test_counters_that_cannot_be_read_show(tmp_path: Path) -> None:
    (tmp_path / "metrics.db").write_bytes(b"this is no database, though it is a file" * 100)
    assert samples(exposed(await AgentLook(AgentMetrics(tmp_path), {}).read())) == {("c500_agent_up", ()): 0}


def test_a_gauge_that_there_is_not_is_a_mistake(tmp_path: Path) -> None:
    async def works() -> Mapping[tuple[str, ...], float]:
        return {}

    with pytest.raises(KeyError):
        AgentLook(AgentMetrics(tmp_path), {"c500_agent_unheard_of": works})


async def test_gauges_tell_what_is_so_now(tmp_path: Path) -> None:
    home = settings().agents_home
    switches, breakers = FileSwitches(home / "switches"), FileBreakers(home / "breakers", failures=1)
    switches.set(Switch(scope="agent", name="ops"))
    for tool, outcome in (("http_get", "failed"), ("read_file", "ok")):
        attempt = breakers.begin(f"ops/{tool}", f"r/{tool}")
        assert attempt is not None
        attempt.end(outcome)  # type: ignore[arg-type]
    audit = AuditLog(home / "audit", KEY, Redactor())
    for number in range(3):
        audit.append(Entry(entry_id=str(number), run_id="r", agent="ops", user="ann", phase="started"))
    looks = agent_gauges(
        home,
        switches=switches,
        breakers=breakers,
        approvals=Approvals(open_store(), KEY),
        prefect=None,  # type: ignore[arg-type]
        live_pool=LivePool(tmp_path / "no-accounts.yaml"),
    )
    with LiveSessions(home / FOLDER / "sessions").session("ops"):
        found = {name: dict(await look()) for name, look in looks.items() if name != "c500_agent_queue_depth"}
    assert found == {
        "c500_agent_active_sessions": {("ops",): 1},
        "c500_agent_switches_set": {("all",): 0, ("agent",): 1, ("run",): 0},
        "c500_agent_breakers_open": {("ops", "http_get"): 1},
        "c500_agent_approvals_waiting": {},
        "c500_agent_audit_head_seq": {(): 3},
        "c500_agent_budget_used_ratio": {},
    }


async def test_the_queue_is_told_by_agent(prefect_api: str) -> None:
    @flow(name=FLOW)
    def run_agent(agent: str = "operator") -> None: ...

    @flow(name="another")
    def another() -> None: ...

    async with get_client() as client:
        before = await queue_depth(client)
        for agent, state in (("ops", Scheduled()), ("ops", Pending()), ("ops", Completed()), ("analyst", Scheduled())):
            await client.create_flow_run(run_agent, parameters={"agent": agent}, state=state)
        await client.create_flow_run(another, state=Scheduled())
        after = await queue_depth(client)
    assert after.keys() >= before.keys()
    grown = {key: after[key] - before.get(key, 0) for key in after}
    assert {key: count for key, count in grown.items() if count} == {("ops", "default"): 2, ("analyst", "default"): 1}
