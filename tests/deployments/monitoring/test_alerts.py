"""Alert rules: promtool's own tests, that these see faults, and that the rules ask for what there is."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from deployments.cli import app, load_commands
from deployments.gateway.metrics.table import PARTS
from tests.deployments.monitoring.promql import (
    FOLDER,
    RULES,
    SERIES,
    grouped,
    is_known,
    labels_of,
    promtool,
    rules,
    selectors,
)

EVERY = [(path, rule) for path in RULES for rule in rules(path)]
BY_NAME = {rule["alert"]: (path, rule) for path, rule in EVERY}
COMMAND = re.compile(r"`c500 ([^`]+)`")

of_each_file = pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)


def cases_of(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.with_suffix(".test.yaml").read_text())


@of_each_file
def test_prometheus_takes_the_rules(path: Path) -> None:
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", path.name)
    assert checked.returncode == 0, checked.stderr


@of_each_file
def test_each_alert_fires_when_it_should_and_only_then(path: Path) -> None:
    tested = promtool("test", "rules", f"{path.stem}.test.yaml")
    assert tested.returncode == 0, tested.stdout


@of_each_file
def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(path: Path) -> None:
    cases = [case for test in cases_of(path)["tests"] for case in test["alert_rule_test"]]
    for fires in (True, False):
        assert {case["alertname"] for case in cases if bool(case["exp_alerts"]) == fires} == {
            rule["alert"] for rule in rules(path)
        }


def test_no_two_alerts_have_the_same_name() -> None:
    assert len(BY_NAME) == len(EVERY)


def test_each_alert_says_how_bad_it_is_what_is_wrong_and_what_to_do() -> None:
    for name, (_, rule) in BY_NAME.items():
        assert rule["labels"]["severity"] in ("warning", "critical"), name
        assert rule["annotations"].keys() == {"summary", "description", "fix"}, name
        assert rule["annotations"]["fix"].endswith("."), name


def test_what_to_do_names_commands_that_there_are() -> None:
    load_commands()
    for name, (_, rule) in BY_NAME.items():
        for told in COMMAND.findall(rule["annotations"]["fix"]):
            command: Any = get_command(app)
            words = told.split()
            while words and hasattr(command, "commands") and words[0] in command.commands:
                command = command.commands[words.pop(0)]
            assert command is not get_command(app), (name, told)
            options = {option for parameter in command.params for option in parameter.opts}
            assert not words or words[0].isupper() or words[0] in options, (name, told)


def test_rules_ask_for_series_and_labels_that_there_are() -> None:
    for name, (_, rule) in BY_NAME.items():
        asked = list(selectors(rule["expr"]))
        for series, labels in asked:
            assert is_known(series), (name, series)
            assert labels <= labels_of(series), (name, series)
        if asked:
            known = set[str]().union(*(labels_of(series) for series, _ in asked)) | {"__name__"}
            assert grouped(rule["expr"]) <= known, name


def test_each_part_has_an_alert_of_its_own() -> None:
    asked = {SERIES[series].part for _, rule in EVERY for series, _ in selectors(rule["expr"]) if series in SERIES}
    assert asked == set(PARTS)


@pytest.mark.parametrize(
    ("alert", "right", "wrong"),
    [
        ("AgentCostSpike", "c500_agent_api_cost_usd_total", "c500_agent_api_cost_usd"),
        ("AgentCostSpike", "* 86400 > 100", "* 24 > 100"),
        ("AgentTokenBurn", "* 60 > 10000", "> 10000"),
        (
            "AgentHighErrorRate",
            "+ sum(rate(c500_agent_task_failure_total[5m])))",
            "+ rate(c500_agent_task_failure_total[5m]))",
        ),
        ("AgentHighErrorRate", " or vector(0)", ""),
        ("AgentQualityDrop", " or vector(0)", ""),
        ("AgentStuck", "unless on (agent_name)", "and on (agent_name)"),
        ("AgentGuardTripped", "and on () (c500_agent_up offset 15m)", ""),
        ("AgentAuditShortened", "resets(c500_agent_audit_head_seq[1h])", "changes(c500_agent_audit_head_seq[1h])"),
        ("GatewayDown", 'or absent(up{job="c500"})', ""),
        ("GatewayErrors", '{status=~"5.."}', '{status=~"[45].."}'),
        ("GatewaySlow", '{route!~"/v1/(status|events|chat|audio|incidents).*|/metrics|/health.*"}', ""),
        ("WorkersGone", "sum(c500_worker_online)", "c500_worker_online"),
        ("QueueStuck", "> 0\n  unless", ">= 0\n  unless"),
        ("PartUnreadable", "prefect|agent", "agent"),
        ("PartUnreadable", "prefect|agent", "prefect|run|agent"),
        ("JobsFail", 'and sum(increase(c500_run_outcomes_total{flow=~"process-.+"}[30m])) >= 5', ""),
        ("JobsFail", 'flow=~"process-.+"', 'flow!=""'),
        ("LlmCallsFail", "ok|cached|cancelled|context|content", "ok|cached|cancelled"),
        ("LlmDayLimitNearlyUsed", '{limit=~".*/(rpd|tpd|usd_per_day|usd_per_month)"}', ""),
        ("LlmCostJumps", "/ 24", ""),
        ("MigrationStandsStill", '{status=~"running|waiting|rolling_back"}', ""),
        ("DiskFillsToday", "and deriv(c500_store_disk_free_bytes[1h]) < 0", ""),
        ("GpuMemoryLeft", "and on (gpu) max by (gpu) (c500_gpu_held) == 0", ""),
        ("QualityExpectationUnmet", '{severity="warning", suite="drift"}', '{suite="drift"}'),
        ("QualityExpectationUnmet", 'suite!="drift"}) > 2', 'suite!="drift"}) > 0'),
        ("LlmCallsFail", "increase(c500_llm_calls_total[10m])) > 4.5", "increase(c500_llm_calls_total[10m])) > 0"),
        ("LlmSlow", "> 9.5", "> 0"),
        ("JobsSlowerThanSpeech", "> 4.5", "> 0"),
        ("JobsWaitLong", "> 4.5", "> 0"),
    ],
)
def test_the_tests_of_the_alerts_see_faults(tmp_path: Path, alert: str, right: str, wrong: str) -> None:
    path, rule = BY_NAME[alert]
    changed = rule["expr"].replace(right, wrong)
    cases = cases_of(path)
    cases["tests"] = [one for one in cases["tests"] if one["alert_rule_test"][0]["alertname"] == alert]
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(cases))
    groups = [{"name": "one", "rules": [rule | {"expr": changed}]}]
    (tmp_path / path.name).write_text(yaml.safe_dump({"groups": groups}))
    assert changed != rule["expr"]
    tested = promtool("test", "rules", "test.yaml", cwd=tmp_path)
    assert tested.returncode == 1, "no test sees it"
    assert "parse error" not in tested.stderr


def test_alertmanager_knows_the_alerts_that_its_example_names() -> None:
    rules_of = yaml.safe_load((FOLDER / "alertmanager.example.yaml").read_text())["inhibit_rules"]
    told = [matcher for one in rules_of for matcher in (*one["source_matchers"], *one["target_matchers"])]
    assert {name for matcher in told for name in re.findall(r"\b[A-Z]\w+", matcher)} <= BY_NAME.keys()
