"""Dashboards: Grafana can import them, Prometheus understands them, and each metric stands in one."""

import json
from pathlib import Path

import pytest
import yaml

from deployments.gateway.metrics.table import TABLE
from tests.deployments.monitoring.promql import (
    DASHBOARDS,
    dashboard,
    expressions,
    filled,
    grouped,
    is_known,
    labels_of,
    panels,
    promtool,
    selectors,
)

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
TYPES = {"row", "stat", "timeseries", "bargauge", "table", "gauge"}
UNITS = {
    *("short", "none", "s", "bytes", "Bps", "percentunit", "currencyUSD", "reqps", "cpm", "rowsps", "dateTimeFromNow"),
}
COLUMNS = 24

of_each = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)


def test_there_is_an_overview_and_no_two_share_an_address() -> None:
    uids = [dashboard(path)["uid"] for path in DASHBOARDS]
    assert "c500-overview" in uids
    assert len(set(uids)) == len(uids)
    assert all(len(uid) <= 40 for uid in uids)


@of_each
def test_grafana_can_import_it(path: Path) -> None:
    found = dashboard(path)
    assert found["schemaVersion"] >= 39
    assert "id" not in found  # else it is refused, or replaces another
    assert found["title"].startswith("C500 ")
    [source, *_] = found["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    assert found["tags"] == ["c500"]
    assert "c500" in found["links"][0]["tags"]
    uids = {json.dumps(one, sort_keys=True) for one in _datasources(found)}
    assert uids == {json.dumps(DATASOURCE, sort_keys=True)}
    assert {panel["type"] for panel in found["panels"]} <= TYPES


def _datasources(part: object) -> list[object]:
    """Whatever a dashboard names as a data source, at any depth."""
    if isinstance(part, dict):
        own = [part["datasource"]] if "datasource" in part else []
        return own + [one for value in part.values() for one in _datasources(value)]
    return [one for value in part for one in _datasources(value)] if isinstance(part, list) else []


@of_each
def test_panels_have_names_units_and_places_of_their_own(path: Path) -> None:
    every = dashboard(path)["panels"]
    places = [panel["gridPos"] for panel in every]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < COLUMNS
    assert len({panel["id"] for panel in every}) == len(every)
    assert all(panel["title"] for panel in every)
    for panel in panels(path):
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        ids = [target["refId"] for target in panel["targets"]]
        assert ids and len(set(ids)) == len(ids), panel["title"]


@of_each
def test_prometheus_understands_what_it_asks(path: Path, tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": one} for number, one in enumerate(expressions(path))]
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    checked = promtool("check", "rules", "panels.yaml", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr


@of_each
def test_it_asks_for_series_and_labels_that_there_are(path: Path) -> None:
    for expression in expressions(path):
        asked = list(selectors(expression))
        for series, labels in asked:
            assert is_known(series), expression
            assert labels <= labels_of(series), expression
        if asked:
            assert grouped(expression) <= set[str]().union(*(labels_of(series) for series, _ in asked)), expression


@of_each
def test_legends_name_labels_that_the_answers_have(path: Path) -> None:
    for panel in panels(path):
        for target in panel["targets"]:
            named = set(target["legendFormat"].replace("}}", "{{").split("{{")[1::2])
            expression = filled(target["expr"])
            known = {one for series, _ in selectors(expression) for one in labels_of(series)}
            assert named <= known, panel["title"]
            if "by (" in expression:
                assert named <= grouped(expression) | {"le"}, panel["title"]


def test_each_metric_stands_in_a_dashboard() -> None:
    asked = {series for path in DASHBOARDS for text in expressions(path) for series, _ in selectors(text)}
    by_name = {name for name in TABLE if name.endswith("_up")}  # "Parts unread" of the overview asks for all of these
    missing = {name for name, metric in TABLE.items() if not asked & set(metric.series)} - by_name
    assert missing == set()
