"""What expressions of rules and panels ask for, and what there is."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

import deployments
from blocks.agent_metrics.names import REFERENCE
from deployments.gateway.metrics.table import TABLE

FOLDER = Path(deployments.__file__).parent / "monitoring"
RULES = sorted(FOLDER.glob("*-alerts.yaml"))
DASHBOARDS = sorted(FOLDER.glob("grafana-*.json"))

SERIES = {series: metric for metric in TABLE.values() for series in metric.series}
OF_PROMETHEUS = {"up": {"job", "instance"}, "ALERTS": {"alertname", "alertstate", "severity"}}
OF_SCRAPES = {"job", "instance"}
"""Labels that Prometheus adds."""

SELECTOR = re.compile(r"\b(?P<name>(?:c500|agent)_[a-z_]+|up|ALERTS)\b(?!\s*=)(?:\{(?P<labels>[^}]*)\})?")
UNNAMED = re.compile(r"(?<![\w}])\{[^}]*__name__[^}]*\}")
LABEL = re.compile(r"(\w+)\s*(?:=~|!=|!~|=)\s*\"")
GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left)\s*\(([^)]*)\)")


def rules(path: Path) -> list[dict[str, Any]]:
    """The rules of a file."""
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def dashboard(path: Path) -> dict[str, Any]:
    """A dashboard."""
    return json.loads(path.read_text())


def panels(path: Path) -> list[dict[str, Any]]:
    """The panels of a dashboard that show something."""
    return [panel for panel in dashboard(path)["panels"] if panel["type"] != "row"]


def expressions(path: Path) -> Iterator[str]:
    """What a dashboard's panels ask, with its variables filled in."""
    for panel in panels(path):
        for target in panel["targets"]:
            yield filled(target["expr"])


def filled(expression: str) -> str:
    """An expression as Grafana sends it."""
    return re.sub(r"\$(account|agent)\b", ".*", expression.replace("$__rate_interval", "5m"))


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """The series that an expression names, each with the labels that it selects by; those without a name left out."""
    plain = GROUPING.sub("", UNNAMED.sub("", expression))
    for found in SELECTOR.finditer(plain):
        yield found["name"], set(LABEL.findall(found["labels"] or ""))


def labels_of(name: str) -> set[str]:
    """The labels that a series may have."""
    if name in OF_PROMETHEUS:
        return OF_PROMETHEUS[name]
    metric = SERIES[name]
    return {*metric.labels, *OF_SCRAPES, *({"le"} if metric.buckets else ())}


def grouped(expression: str) -> set[str]:
    """The labels that an expression groups by."""
    return {one.strip() for found in GROUPING.findall(expression) for one in found.split(",") if one.strip()}


def is_known(name: str) -> bool:
    """Whether there is such a series."""
    return name in SERIES or name in OF_PROMETHEUS or name in REFERENCE.values()


def promtool(*arguments: str, cwd: Path = FOLDER) -> "subprocess.CompletedProcess[str]":
    """Prometheus' own tool."""
    return subprocess.run(["promtool", *arguments], cwd=cwd, capture_output=True, text=True)
