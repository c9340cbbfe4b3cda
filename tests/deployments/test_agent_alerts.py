"""Alert rules and dashboard of agents: promtool's own tests, and that they ask for metrics that there are."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import deployments
from blocks.agent_metrics import METRICS

FOLDER = Path(deployments.__file__).parent / "monitoring"
RULES, TESTS, DASHBOARD = (
    FOLDER / name for name in ("agent-alerts.yaml", "agent-alerts.test.yaml", "grafana-agents.json")
)

NAME = re.compile(r"\bagent_[a-z_]+\b(?!\s*=)")
GROUPING = re.compile(r"\b(?:by|on|without|ignoring|label_values)\s*\([^)]*\)")
LABEL = re.compile(r"(\w+)\s*(?:=~|!=|!~|=)\s*\"")


def rules() -> list[dict[str, Any]]:
    return yaml.safe_load(RULES.read_text())["groups"][0]["rules"]


def panels() -> list[dict[str, Any]]:
    return json.loads(DASHBOARD.read_text())["panels"]


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])


def promtool(*arguments: str, cwd: Path = FOLDER) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["promtool", *arguments], cwd=cwd, capture_output=True, text=True)


def test_prometheus_takes_the_rules() -> None:
    checked = promtool("check", "rules", RULES.name)
    assert checked.returncode == 0, checked.stderr


def test_each_alert_fires_when_it_should_and_only_then() -> None:
    tested = promtool("test", "rules", TESTS.name)
    assert tested.returncode == 0, tested.stdout


@pytest.mark.parametrize(
    ("alert", "right", "wrong"),
    [
        ("AgentCostSpike", "agent_api_cost_dollars_total", "agent_api_cost_dollars"),
        ("AgentCostSpike", "* 86400 > 100", "* 24 > 100"),
        ("AgentTokenBurn", "* 60 > 10000", "> 10000"),
        ("AgentHighErrorRate", "+ sum(rate(agent_task_failure_total[5m])))", "+ rate(agent_task_failure_total[5m]))"),
        ("AgentHighErrorRate", " or vector(0)", ""),
        ("AgentQualityDrop", " or vector(0)", ""),
        ("AgentStuck", "unless on (agent_name)", "and on (agent_name)"),
        ("AgentGuardTripped", "and on () (agent_metrics_up offset 15m)", ""),
        ("AgentAuditShortened", "resets(agent_audit_head_seq[1h])", "changes(agent_audit_head_seq[1h])"),
    ],
)
def test_the_tests_of_the_alerts_see_the_faults_of_the_book_and_others(
    tmp_path: Path, alert: str, right: str, wrong: str
) -> None:
    [rule] = [rule for rule in rules() if rule["alert"] == alert]
    cases = yaml.safe_load(TESTS.read_text())
    cases["tests"] = [one for one in cases["tests"] if one["alert_rule_test"][0]["alertname"] == alert]
    (tmp_path / TESTS.name).write_text(yaml.safe_dump(cases))
    verdicts: list[int] = []
    for expression in (rule["expr"], rule["expr"].replace(right, wrong)):
        groups = [{"name": "one", "rules": [rule | {"expr": expression}]}]
        (tmp_path / RULES.name).write_text(yaml.safe_dump({"groups": groups}))
        verdicts.append(promtool("test", "rules", TESTS.name, cwd=tmp_path).returncode)
    assert (verdicts[0], bool(verdicts[1])) == (0, True)


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    cases = [case for test in yaml.safe_load(TESTS.read_text())["tests"] for case in test["alert_rule_test"]]
    for fires in (True, False):
        assert {case["alertname"] for case in cases if bool(case["exp_alerts"]) == fires} == {
            rule["alert"] for rule in rules()
        }


def test_each_alert_says_how_bad_it_is_and_what_is_wrong() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical"), rule["alert"]
        assert rule["annotations"].keys() == {"summary", "description"}, rule["alert"]


def test_rules_and_dashboard_ask_for_series_that_are_exported() -> None:
    exported = {series for metric in METRICS.values() for series in metric.series}
    asked = {name for text in expressions() for name in NAME.findall(GROUPING.sub("", text))}
    assert asked <= exported
    assert {metric.name for metric in METRICS.values()} <= {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}


def test_rules_and_dashboard_ask_for_labels_that_the_metrics_have() -> None:
    known = {label for metric in METRICS.values() for label in metric.labels} | {"le"}
    for text in expressions():
        assert set(LABEL.findall(text)) <= known, text
    for text in expressions():
        for grouped in re.findall(r"\bby\s*\(([^)]*)\)", text):
            assert {label.strip() for label in grouped.split(",")} <= known, text


def test_prometheus_understands_what_the_dashboard_asks(tmp_path: Path) -> None:
    asked = [target["expr"].replace("$__rate_interval", "5m") for panel in panels() for target in panel["targets"]]
    made = {
        "groups": [
            {"name": "dashboard", "rules": [{"record": f"panel:{n}", "expr": one} for n, one in enumerate(asked)]}
        ]
    }
    (tmp_path / "dashboard.yaml").write_text(yaml.safe_dump(made))
    checked = promtool("check", "rules", "dashboard.yaml", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr


def test_panels_have_titles_and_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in panels()]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert all(panel["title"] for panel in panels())
    assert len({panel["id"] for panel in panels()}) == len(panels())
