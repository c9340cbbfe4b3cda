"""Examples of configuration, containers, and the page that explains them."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deployments.monitoring.promql import DASHBOARDS, FOLDER, RULES, promtool, rules

DOCKER = FOLDER.parent / "docker"
PAGE = FOLDER.parent.parent / "docs" / "monitoring.md"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "monitoring.yaml").read_text())


def test_prometheus_takes_the_example_with_all_rules() -> None:
    checked = promtool("check", "config", "prometheus.example.yaml")
    assert checked.returncode == 0, checked.stderr
    assert f"{len(RULES)} rule files found" in checked.stdout


def test_prometheus_takes_what_the_container_gives_it(tmp_path: Path) -> None:
    # Given what is mounted where the container has it
    (tmp_path / "c500").symlink_to(FOLDER)
    (tmp_path / "key").write_text("secret")
    config = (DOCKER / "prometheus.yaml").read_text().replace("/run/secrets/c500.key", str(tmp_path / "key"))
    (tmp_path / "prometheus.yaml").write_text(config)
    checked = promtool("check", "config", "prometheus.yaml", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert f"{len(RULES)} rule files found" in checked.stdout


def test_alertmanager_takes_the_example() -> None:
    checked = subprocess.run(
        ["amtool", "check-config", str(FOLDER / "alertmanager.example.yaml")], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr


def test_alerts_go_by_the_job_name_of_the_examples() -> None:
    jobs = {
        one["job_name"]
        for path in (FOLDER / "prometheus.example.yaml", DOCKER / "prometheus.yaml")
        for one in yaml.safe_load(path.read_text())["scrape_configs"]
    }
    asked = {job for path in RULES for rule in rules(path) for job in re.findall(r'job="(\w+)"', rule["expr"])}
    assert asked == jobs == {"c500"}


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_container_mounts_what_exists_and_shows_itself_to_this_machine_alone(name: str) -> None:
    service = COMPOSE["services"][name]
    for volume in service["volumes"]:
        source = volume.split(":")[0]
        assert (DOCKER / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], volume
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    for variable, value in service.get("environment", {}).items():
        assert not re.search("PASSWORD|SECRET|KEY", variable) or value.startswith("${"), variable
    assert not set(COMPOSE["services"]) & set(yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"])


def test_grafana_finds_the_prometheus_and_the_dashboards_of_the_containers() -> None:
    source = yaml.safe_load((DOCKER / "grafana-datasource.yaml").read_text())
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    plain = yaml.safe_load((FOLDER / "grafana" / "datasource.yaml").read_text())
    plain["datasources"][0]["url"] = source["datasources"][0]["url"]
    assert plain == source
    place = yaml.safe_load((FOLDER / "grafana" / "dashboards.yaml").read_text())["providers"][0]["options"]["path"]
    assert f"../monitoring:{place}:ro" in COMPOSE["services"]["grafana"]["volumes"]


def test_the_page_has_each_alert_as_it_is() -> None:
    told = dict(re.findall(r"^\| `([A-Z]\w+)` \| (\w+) \|", PAGE.read_text(), re.MULTILINE))
    assert told == {rule["alert"]: rule["labels"]["severity"] for path in RULES for rule in rules(path)}
    for path in RULES:
        for rule in rules(path):
            assert f"| {rule['annotations']['fix']} |" in PAGE.read_text(), rule["alert"]


def test_the_page_names_files_that_there_are() -> None:
    for named in re.findall(r"deployments/[\w./-]+\.\w+", PAGE.read_text()):
        assert (FOLDER.parent.parent / named).is_file(), named
    for named in re.findall(r"\]\(([\w./-]+)\)", PAGE.read_text()):
        assert (PAGE.parent / named).is_file(), named
    assert all(json.loads(path.read_text())["title"] for path in DASHBOARDS)
