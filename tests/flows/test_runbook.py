"""Runbooks as a flow: approvals of people, pictures, switches; and as a command."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from typer.testing import CliRunner

from blocks.approvals import Approval, open_approvals
from blocks.errors import BadInput, C500Error, Conflict, Stopped
from blocks.settings import settings
from blocks.switches import FOLDER, Switch, open_switches
from deployments.cli import app
from deployments.cli import runbook as _registers_itself  # noqa: F401
from flows.runbook import run_runbook
from tasks.ops.options import OperationsOptions
from tasks.ops.runbook.alert import Alert
from tasks.ops.runbook.record import RunbookRun

BOOK = """
name: book
description: For tests.
trigger: {alert: Full}
parameters:
  label: {type: text, alert: labels.name}
steps:
  - {name: first, exec: [sh, -c, 'echo "$1" >> FOLDER/log', sh, "first {{ label }}"]}
  - {name: agree, approve: "Go on with {{ label }}?", timeout_s: APPROVAL}
  - {name: second, exec: [sh, -c, 'echo "$1" >> FOLDER/log', sh, "second {{ label }}"]}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where runbooks lie, with one that asks."""
    place = tmp_path / "runbooks"
    place.mkdir()
    monkeypatch.setenv("RUNBOOKS_DIR", str(place))
    monkeypatch.setenv("OPERATIONS_PROFILE", "staging")
    (tmp_path / "inventory.yaml").write_text("hosts: {local: {}}\n")
    monkeypatch.setenv("INVENTORY_FILE", str(tmp_path / "inventory.yaml"))
    settings.cache_clear()
    write(place)
    return place


def write(place: Path, approval_s: float = 300) -> None:
    text = BOOK.replace("FOLDER", str(place)).replace("APPROVAL", str(approval_s))
    (place / "book.yaml").write_text(text)


def options(**facts: object) -> OperationsOptions:
    return OperationsOptions(**{"user": "ann", "run_id": "run-1"} | facts)  # type: ignore[arg-type]


def done(place: Path) -> list[str]:
    return (place / "log").read_text().splitlines() if (place / "log").exists() else []


async def waiting() -> Approval:
    async with asyncio.timeout(60):
        while True:
            if pending := open_approvals().pending():
                return pending[0]
            await asyncio.sleep(0.05)


async def test_a_runbook_waits_for_a_person_and_goes_on(prefect_api: str, folder: Path) -> None:
    running = asyncio.create_task(run_runbook("book", alert=Alert(labels={"name": "$(id)"}), options=options()))
    asked = (await waiting()).request
    assert (asked.arguments["question"], done(folder)) == ("Go on with $(id)?", ["first $(id)"])
    open_approvals().vote(asked.approval_id, by="bob", verdict="approve", channel="cli", now=datetime.now(UTC))
    ended = await running
    assert (ended.status, ended.steps["agree"].approvers) == ("done", ("bob",))
    assert done(folder) == ["first $(id)", "second $(id)"]
    assert (await run_runbook("book", {"label": "x"}, options=options())) == ended
    async with get_client() as client:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["runbook-run-1"]))
        shown = str((await client.read_artifacts(artifact_filter=wanted))[-1].data)
    assert "✓ done" in shown or "▶ running" in shown


async def test_an_approval_after_its_time_is_refused(prefect_api: str, folder: Path) -> None:
    write(folder, approval_s=0.5)
    ended = await run_runbook("book", {"label": "x"}, options=options())
    assert (ended.status, done(folder)) == ("refused", ["first x"])
    [asked] = open_approvals().every()
    with pytest.raises(C500Error):
        open_approvals().vote(
            asked.request.approval_id, by="bob", verdict="approve", channel="cli", now=datetime.now(UTC)
        )
    again = await run_runbook("", options=options())
    assert (again.status, done(folder)) == ("refused", ["first x"])


async def test_nobody_can_be_asked_in_an_unattended_run(prefect_api: str, folder: Path) -> None:
    ended = await run_runbook("book", {"label": "x"}, options=options(attended=False))
    assert (ended.status, done(folder)) == ("refused", ["first x"])


async def test_a_dry_run_does_and_keeps_nothing(prefect_api: str, folder: Path) -> None:
    ended = await run_runbook("book", {"label": "x"}, options=options(dry_run=True))
    assert (ended.status, done(folder)) == ("planned", [])
    assert {record.status for record in ended.steps.values()} == {"planned"}
    assert open_approvals().every() == ()


async def test_a_stop_switch_stops_it_and_the_same_run_goes_on_later(prefect_api: str, folder: Path) -> None:
    switches = open_switches("", settings().agents_home / FOLDER)
    switches.set(Switch(scope="agent", name="run-runbook", by="ann"))
    with pytest.raises(Stopped):
        await run_runbook("book", {"label": "x"}, options=options(attended=False))
    assert done(folder) == []
    switches.clear("agent", "run-runbook")
    await run_runbook("", options=options(attended=False))
    assert done(folder) == ["first x"]


async def test_a_runbook_that_was_changed_is_not_gone_on_with(prefect_api: str, folder: Path) -> None:
    switches = open_switches("", settings().agents_home / FOLDER)
    switches.set(Switch(scope="agent", name="run-runbook", by="ann"))
    with pytest.raises(Stopped):
        await run_runbook("book", {"label": "x"}, options=options())
    switches.clear("agent", "run-runbook")
    write(folder, approval_s=299)
    with pytest.raises(Conflict, match="changed since"):
        await run_runbook("", options=options())


async def test_what_is_wrong_is_told_before_anything_is_done(prefect_api: str, folder: Path) -> None:
    with pytest.raises(BadInput, match="label"):
        await run_runbook("book", options=options())
    (folder / "book.yaml").write_text(BOOK.replace("{{ label }}?", "{{ lable }}?").replace("APPROVAL", "5"))
    with pytest.raises(BadInput, match=r"book.yaml:9: .*no variable lable"):
        await run_runbook("book", {"label": "x"}, options=options())
    assert done(folder) == []


def test_the_command_lists_checks_and_shows(folder: Path) -> None:
    alert = folder / "alert.json"
    alert.write_text(json.dumps({"alerts": [{"labels": {"alertname": "Full", "name": "x"}}]}))
    listed = CliRunner().invoke(app, ["runbook", "list", "--alert", str(alert)])
    assert listed.output.split() == ["book", "For", "tests."]
    alert.write_text(json.dumps({"name": "Other"}))
    assert CliRunner().invoke(app, ["runbook", "list", "--alert", str(alert)]).output == ""
    assert "ok" in CliRunner().invoke(app, ["runbook", "check"]).output
    (folder / "bad.yaml").write_text("name: bad\ndescription: x\nsteps: [{name: a, exec: [ls], hots: b}]\n")
    checked = CliRunner().invoke(app, ["runbook", "check", "bad"])
    assert (checked.exit_code, "bad.yaml:3" in checked.output) == (2, True)
    assert "Go on with" in CliRunner().invoke(app, ["runbook", "show", "book"]).output


def test_the_command_runs_a_runbook(folder: Path, prefect_server: str) -> None:
    arguments = ["runbook", "run", "book", "-p", "label=a b", "--unattended", "--json"]
    ran = CliRunner().invoke(app, arguments)
    told = RunbookRun.model_validate_json(ran.stdout)
    assert (ran.exit_code, told.status, done(folder)) == (3, "refused", ["first a b"])
    shown = CliRunner().invoke(app, ["runbook", "show", told.run_id, "--json"])
    assert json.loads(shown.output)["run_id"] == told.run_id
