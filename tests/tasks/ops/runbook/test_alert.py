"""Which runbooks are for an alert; what a file of an alert says; the runbooks that come with C500."""

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from blocks.hosts.inventory import ONLY_HERE
from tasks.ops.runbook.alert import Alert, alert_of, matching
from tasks.ops.runbook.checked import ready
from tasks.ops.runbook.form import Runbook
from tasks.ops.runbook.reading import read_runbook, readable
from tests.tasks.ops.runbook.conftest import Place

DEMO = Path(__file__).parents[4] / "deployments" / "demo" / "runbooks"


def book(place: Place, trigger: str) -> Runbook:
    return read_runbook(place.write(f"trigger: {trigger}\nsteps: [{{name: a, exec: [ls]}}]")).runbook


CASES: list[tuple[str, dict[str, Any], bool]] = [
    ("{alert: DiskFull}", {"name": "DiskFull"}, True),
    ("{alert: DiskFull}", {"name": "DiskFullSoon"}, False),
    ("{alert: 'Disk*'}", {"name": "DiskFullSoon"}, True),
    ("{alert: 'Disk*', labels: {job: 'a|b'}}", {"name": "Disk", "labels": {"job": "b"}}, True),
    ("{alert: 'Disk*', labels: {job: 'a|b'}}", {"name": "Disk", "labels": {"job": "ab"}}, False),
    ("{alert: 'Disk*', labels: {job: '.*'}}", {"name": "Disk"}, False),
    ("{alert: '*', labels: {job: '(a+)+'}}", {"name": "x", "labels": {"job": "a" * 100_000 + "!"}}, False),
    ("{alert: '*', labels: {job: 'a.*'}}", {"name": "x", "labels": {"job": "a\ud800"}}, True),
    ("{metric: used, above: 90}", {"metric": "used", "value": 91}, True),
    ("{metric: used, above: 90}", {"metric": "used", "value": 90}, False),
    ("{metric: used, above: 90}", {"metric": "used", "value": math.nan}, False),
    ("{metric: used, above: 90}", {"metric": "used"}, False),
    ("{metric: used, above: 90}", {"metric": "other", "value": 99}, False),
    ("{metric: days, below: 14}", {"metric": "days", "value": -1}, True),
    ("{log: 'pool .* exhausted', count: 2}", {"log_lines": ["pool a exhausted", "x", "pool b exhausted"]}, True),
    ("{log: 'pool .* exhausted', count: 2}", {"log_lines": ["pool a exhausted"]}, False),
    ("[{alert: A}, {metric: used, above: 90}]", {"metric": "used", "value": 91}, True),
]


@pytest.mark.parametrize(("trigger", "alert", "matches"), CASES)
def test_a_runbook_is_for_an_alert(place: Place, trigger: str, alert: dict[str, Any], *, matches: bool) -> None:
    found = matching([book(place, trigger)], Alert.model_construct(**(Alert().model_dump() | alert)))
    assert bool(found) is matches


def test_alerts_come_in_the_forms_of_alertmanager() -> None:
    one = {"labels": {"alertname": "Full", "host": "a"}, "annotations": {"value": "91.5"}, "status": "firing"}
    assert alert_of({"alerts": [one]}) == alert_of(one)
    assert (alert_of(one).name, alert_of(one).value, alert_of({"name": "x"}).name) == ("Full", 91.5, "x")
    with pytest.raises(ValidationError):
        alert_of({"labels": {"a": 1}})
    with pytest.raises(ValidationError):
        alert_of({"nmae": "x"})


def test_the_runbooks_that_come_along_can_be_run() -> None:
    sources, wrong = readable(DEMO)
    assert (wrong, len(sources)) == ([], 3)
    for source in sources:
        ready(source.path, ONLY_HERE)


def test_the_example_of_the_documentation_can_be_run(place: Place) -> None:
    page = (DEMO.parents[2] / "docs" / "operations" / "runbooks.md").read_text()
    example = page.split("```yaml\n")[1].split("```")[0]
    assert ready(place.write(example, "service-down"), ONLY_HERE).runbook.compensation


@pytest.mark.parametrize(
    ("alert", "names"),
    [
        (Alert(name="NodeFilesystemAlmostOutOfSpace"), ["disk-full"]),
        (Alert(metric="node_filesystem_used_percent", value=97), ["disk-full"]),
        (Alert(name="ServiceDown"), ["service-down"]),
        (Alert(name="CertificateExpiresSoon"), ["certificate-expiring"]),
        (Alert(log_lines=("write: No space left on device",)), ["disk-full"]),
        (Alert(name="Other"), []),
    ],
)
def test_the_runbooks_that_come_along_are_found(alert: Alert, names: list[str]) -> None:
    assert [one.name for one in matching([source.runbook for source in readable(DEMO)[0]], alert)] == names


async def test_the_one_for_a_full_disk_looks_at_a_real_one(place: Place, told: list[tuple[str, str]]) -> None:
    shutil.copy(DEMO / "disk-full.yaml", place.folder)
    alert = Alert(name="DiskFull", labels={"mountpoint": "/tmp", "host": "local"})
    run = await place.run("disk-full", alert, enough_percent="99")
    assert run.status == "done", run.why
    used = run.steps["how-full"].values["used_percent"]
    assert told == [("/tmp on local is well", f"{used} % are used.")]


@pytest.mark.parametrize(
    "content",
    [{"alerts": [5]}, {"alerts": ["x"]}, {"labels": ["a"]}, {"labels": {"a": 1}}, {"labels": {}, "annotations": [1]}],
)
def test_what_is_no_alert_is_told_as_such(content: Any) -> None:
    with pytest.raises(ValidationError):
        alert_of(content)


def test_an_alert_without_annotations_is_one() -> None:
    assert alert_of({"labels": {"alertname": "Down"}, "annotations": None}).name == "Down"
