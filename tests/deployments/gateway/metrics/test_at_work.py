"""A gateway after real work tells Prometheus what the table says, and Prometheus itself can use all of it."""

import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from blocks.agent_metrics import RowCount
from blocks.agent_metrics.names import NAME, REFERENCE
from blocks.progress import in_thread
from deployments.gateway.metrics.table import PARTS, TABLE
from flows import clean_logs, process_text, run_agent
from tasks.agents.result import AgentOptions
from tests.deployments.gateway.gateways import Gateway
from tests.deployments.monitoring.promql import DASHBOARDS, RULES, expressions, rules
from tests.fakes.llm.agent_model import agent_model
from tests.fakes.monitoring import running_prometheus
from tests.processes import HTTP, until

ALERT = {
    "version": "4",
    "groupKey": "{}:{alertname='Down'}",
    "status": "firing",
    "receiver": "c500",
    "groupLabels": {},
    "commonLabels": {},
    "commonAnnotations": {},
    "externalURL": "http://localhost",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "Down", "severity": "critical"},
            "annotations": {},
            "startsAt": "2026-11-22T10:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "",
            "fingerprint": "0123456789abcdef",
        }
    ],
}
WORDS = "Anna: We decided to approve the budget of 25000 dollars. Maria will send the contract by Friday."

OF_ONE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-|\b[0-9a-f]{12,}\b|\binc-\d|\bann\b")
"""Ids of runs, jobs, keys and incidents, and the user of the test: series without end."""

MOST_SERIES = 400
"""Of one metric after little work."""


def scraped(gateway: Gateway) -> str:
    answer = HTTP.get(f"{gateway.url}/metrics", timeout=30)
    assert answer.status_code == 200
    return answer.text


def value(text: str, series: str) -> float:
    """A sample; -1 where there is none."""
    for line in text.splitlines():
        if line.startswith(f"{series} "):
            return float(line.rsplit(" ", 1)[1])
    return -1


@pytest.fixture
def alerted(gateway: Gateway) -> Gateway:
    """The gateway with an incident, looked at once: from then on it counts what ends."""
    with gateway.client() as client:
        client.post("/v1/alerts", json=ALERT)  # it is kept, though there is no deployment that answers it
    until(lambda: value(scraped(gateway), 'c500_incident_open{severity="critical"}') == 1)
    until(lambda: value(scraped(gateway), 'c500_run_outcomes_total{flow="run-agent",state="completed"}') == 0)
    return gateway


async def test_a_gateway_at_work_tells_prometheus_what_the_table_says(
    alerted: Gateway, prefect_api: str, tmp_path: Path
) -> None:
    (tmp_path / "workspace").mkdir()
    with agent_model(tmp_path / "accounts.yaml", [("list_files", {"path": "."})], "Done.", "Hello.") as model:
        options = AgentOptions(workspace=str(tmp_path / "workspace"), user="ann", attended=False)
        assert (await run_agent("Look after the pump.", "operator", options)).status == "done"
        await process_text(WORDS)
        await clean_logs()
        await in_thread(RowCount("swarm").tell, 5, 1)
        with alerted.client() as client:
            asked = {"model": "scripted", "messages": [{"role": "user", "content": "Good morning."}]}
            assert client.post("/v1/chat/completions", json=asked).status_code == 200
        assert model.script.asked
        counted = {
            'c500_job_results_total{status="complete"}': 1,
            'c500_run_outcomes_total{flow="run-agent",state="completed"}': 1,
            'c500_run_outcomes_total{flow="clean-logs",state="completed"}': 1,
            'c500_agent_requests_total{agent_name="operator",status="done"}': 1,
            'agent_requests_total{agent_name="operator",status="done"}': 1,
            'c500_swarm_rows_total{kind="swarm",outcome="answered"}': 5,
            'c500_llm_calls_total{account="scripted",model="scripted",outcome="ok"}': 3,
        }
        for series, least in counted.items():
            await in_thread(until, lambda series=series, least=least: value(scraped(alerted), series) >= least)
        check(scraped(alerted))
        await in_thread(let_prometheus_see, alerted, tmp_path / "prometheus")


def check(text: str) -> None:
    """Names, kinds, labels and numbers of all that is exposed."""
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        ours = {book: own for own, book in REFERENCE.items()}.get(name, name)
        metric = TABLE[ours]
        assert (family.type, family.documentation) == (metric.kind, metric.told), name
        assert NAME.fullmatch(metric.name), name
        assert len(family.samples) <= MOST_SERIES, name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels), name
            assert not any(OF_ONE.search(one) for one in sample.labels.values()), (name, sample.labels)
    told = {family.name.split("_")[1] for family in families if family.name.startswith("c500_")}
    assert told >= {
        "http",
        "gateway",
        "job",
        "run",
        "prefect",
        "llm",
        "store",
        "database",
        "incident",
        "agent",
        "swarm",
    }
    assert told <= set(PARTS)
    ups = [sample for family in families for sample in family.samples if sample.name.endswith("_up")]
    assert {sample.name for sample in ups if not sample.value} == set()
    checked = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True)
    complaints = checked.stderr.decode().splitlines()
    assert [line for line in complaints if line.startswith("c500_") and "non-histogram" not in line] == []


def let_prometheus_see(gateway: Gateway, folder: Path) -> None:
    """A real Prometheus scrapes it, with our rules, and answers what the panels ask."""
    folder.mkdir()
    target = gateway.url.removeprefix("http://")
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(path) for path in RULES],
        "scrape_configs": [{"job_name": "c500", "static_configs": [{"targets": [target]}]}],
    }
    with running_prometheus(folder, config) as url:
        until(lambda: answer(url, "query", query='up{job="c500"}')["result"][0]["value"][1] == "1")
        until(lambda: {rule["health"] for rule in evaluated(url)} == {"ok"})
        assert len(evaluated(url)) == sum(len(rules(path)) for path in RULES)
        for path in DASHBOARDS:
            for expression in expressions(path):
                answer(url, "query", query=expression)
        [incidents] = answer(url, "query", query="sum(c500_incident_open)")["result"]
        assert incidents["value"][1] == "1"
        firing = {rule["name"] for rule in evaluated(url) if rule["state"] == "firing"}
        assert firing == set()


def evaluated(url: str) -> list[dict[str, Any]]:
    return [rule for group in answer(url, "rules")["groups"] for rule in group["rules"]]


def answer(url: str, what: str, **asked: str) -> Any:
    try:
        found = HTTP.get(f"{url}/api/v1/{what}", params=asked, timeout=30).json()
    except httpx.HTTPError:
        return {"result": [{"value": [0, ""]}], "groups": []}
    assert found["status"] == "success", found
    return found["data"] if what == "rules" or found["data"]["result"] else {"result": [{"value": [0, ""]}]}
