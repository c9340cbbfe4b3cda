"""`c500 incident respond, act, list, show, ask, note, close, postmortem`, and `c500 cases`."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from blocks.approvals import ApprovalRequest, open_approvals
from blocks.errors import BadInput, Conflict, NotFound
from blocks.settings import settings
from blocks.store import open_store
from deployments.cli import app, cases, incidents
from flows.responding import alone_at_work, received
from tests.flows.incidents import World, broken_world

__all__ = ["cases", "incidents"]

CASE = """
title: Orders were refused; the disk was full
services: [orders]
symptoms: No space left on device
cause: archiving had stopped
resolution: archiving restarted
"""


def c500(*arguments: str) -> Result:
    """Run a command in this process; what it raises is in `exception`."""
    return CliRunner().invoke(app, list(arguments))


def told(*arguments: str) -> Any:
    """What a command prints as JSON."""
    result = c500(*arguments, "--json")
    assert result.exit_code == 0, result.output or result.exception
    return json.loads(result.stdout)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect_api: str) -> Iterator[World]:
    with broken_world(tmp_path, monkeypatch.setenv) as made:
        yield made


def test_an_incident_from_its_alert_to_its_postmortem(world: World) -> None:
    shown = c500("incident", "respond", str(world.alert()))
    assert shown.exit_code == 0, shown.output or shown.exception
    assert "does not take connections" in shown.stdout and "restart-checkout" in shown.stdout
    assert ": done\n" in shown.stderr
    [one] = told("incident", "list")
    incident = one["incident_id"]
    assert incident in c500("incident", "list").stdout
    assert "New pool" in c500("incident", "show", incident).stdout
    assert told("incident", "show", incident)["briefing"]["incident_id"] == incident

    asked = c500("incident", "ask", incident, "who owns checkout?")
    assert "team-payments" in asked.stdout and "by rules" in asked.stderr
    assert c500("incident", "note", incident, "pool enlarged; token=hunter2hunter2").exit_code == 0
    ran = c500("incident", "act", incident, "restart-checkout", "--profile", "staging")
    assert ran.exit_code == 0, ran.output
    assert (world.folder / "ran").exists()
    assert "✓ done     say: touch" in ran.stdout and "Points to" not in ran.stdout
    assert f"run the runbook restart-checkout for {incident}: done\n" in ran.stderr
    again = c500("incident", "act", incident, "restart-checkout", "--profile", "staging")
    assert again.exit_code == 0 and ": done, nothing was done now" in again.stderr
    refused = c500("incident", "act", incident, "nothing", "--profile", "staging").exception
    assert isinstance(refused, NotFound) and refused.fix == "there are: restart-checkout"

    closing = ("--cause", "the pool was too small", "--resolution", "the pool was enlarged")
    assert "postmortem" in c500("incident", "close", incident, *closing).stdout
    assert isinstance(c500("incident", "close", incident).exception, Conflict)
    page = world.folder / "postmortem.md"
    assert c500("incident", "postmortem", incident, "-o", str(page)).exit_code == 0
    for text in ("the pool was too small", "## Action items", "pool enlarged", "runbook restart-checkout: done"):
        assert text in page.read_text()
    assert "hunter2" not in page.read_text()
    assert told("cases", "show", f"case-{incident}")["cause"] == "the pool was too small"
    assert told("incident", "list") == []
    assert len(told("incident", "list", "--all")) == 1
    assert f"case-{incident}" in c500("cases", "search", "could not reach postgres: connection refused").stdout


def test_a_runbook_that_was_not_run_since_another_process_works_is_no_success(world: World) -> None:
    assert c500("incident", "respond", str(world.alert())).exit_code == 0
    [one] = told("incident", "list")
    with alone_at_work(open_store(), one["incident_id"]) as alone:
        assert alone
        ran = c500("incident", "act", one["incident_id"], "restart-checkout", "--profile", "staging")
    assert ran.exit_code == 1 and "another process is at work" in ran.stderr
    assert not (world.folder / "ran").exists()
    dry = c500("incident", "act", one["incident_id"], "restart-checkout", "--profile", "staging", "--dry-run")
    assert dry.exit_code == 0 and "run the runbook restart-checkout" in dry.stderr


def test_what_a_terminal_gives_is_kept_though_it_is_no_text(world: World) -> None:
    assert c500("incident", "respond", str(world.alert())).exit_code == 0
    [one] = told("incident", "list")
    closed = c500("incident", "close", one["incident_id"], "--cause", "half \udcff\x1b[2J", "--resolution", "x\u202ey")
    assert closed.exit_code == 0, closed.exception
    [kept] = told("incident", "list", "--all")
    assert (kept["cause"], kept["resolution"]) == ("half ?[2J", "xy")


def test_what_is_not_there_or_no_alert_is_refused_before_a_server_is_started(world: World) -> None:
    assert isinstance(c500("incident", "respond", "nowhere.json").exception, NotFound)
    (world.folder / "wrong.json").write_text("[]")
    assert isinstance(c500("incident", "respond", str(world.folder / "wrong.json")).exception, BadInput)
    for command in ("show", "postmortem", "close"):
        assert isinstance(c500("incident", command, "nothing").exception, NotFound)
        assert isinstance(c500("incident", command, "../x").exception, BadInput)


def test_cases_are_added_found_exported_and_removed(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text(CASE)
    case_id = c500("cases", "add", str(tmp_path / "case.yaml")).stdout.strip()
    assert case_id in c500("cases", "search", "disk full").stdout
    assert case_id in c500("cases", "list").stdout
    assert "archiving had stopped" in c500("cases", "show", case_id).stdout
    assert json.loads(c500("cases", "export").stdout)["case_id"] == case_id
    assert c500("cases", "export", "-o", str(tmp_path / "all.jsonl")).exit_code == 0
    assert json.loads((tmp_path / "all.jsonl").read_text())["case_id"] == case_id
    assert c500("cases", "remove", case_id).exit_code == 0
    assert "no such cases" in c500("cases", "search", "disk full").stderr
    assert isinstance(c500("cases", "show", case_id).exception, NotFound)


RISKY = """
name: enlarge
description: Enlarges it.
steps:
  - {name: ask-first, exec: [touch, MARK], consent: one, on_failure: STEP}
"""


def opened(world: World) -> str:
    """An incident that is open, without anything that was gathered."""
    return received(open_store(), str(world.alert()), "", "inc-1", False).incident_id  # pyright: ignore[reportOptionalMemberAccess]


def test_what_waits_for_a_person_is_shown_with_the_command_that_answers_it(world: World) -> None:
    incident, now = opened(world), datetime.now(UTC)
    for number, run_id in enumerate((incident, f"{incident}-restart-checkout", "another")):
        open_approvals().ask(
            ApprovalRequest(
                approval_id=f"{number}" * 16,
                run_id=run_id,
                call_id="free",
                agent="run-runbook",
                requester="ann",
                tool="run_on_host",
                arguments={},
                arguments_hash="0" * 64,
                risk="high",
                persons=1,
                reason=f"free the disk of {run_id}",
                asked_at=now,
                expires_at=now + timedelta(hours=1),
            )
        )
    shown = c500("incident", "show", incident).stdout
    assert f"waits for a person: free the disk of {incident}\n" in shown
    assert f"c500 approve yes {'1' * 16}" in shown and "another" not in shown
    assert len(told("incident", "show", incident)["waiting"]) == 2


@pytest.mark.parametrize(
    ("step", "code", "state"), [("{}", 3, "refused"), ("continue", 0, "done, without a part of it")]
)
def test_a_runbook_whose_step_was_refused_is_not_simply_done(world: World, step: str, code: int, state: str) -> None:
    book = RISKY.replace("MARK", str(world.folder / "ran")).replace("STEP", step)
    (world.folder / "runbooks" / "enlarge.yaml").write_text(book)
    incident = opened(world)
    ran = c500("incident", "act", incident, "enlarge", "--profile", "staging", "--unattended")
    assert ran.exit_code == code, ran.output
    assert "⊘ refused  ask-first: touch" in ran.stdout
    assert f"runbook enlarge: {state}" in c500("incident", "show", incident).stdout


@pytest.mark.parametrize(
    ("channels", "says"),
    [
        ("", "told to nobody, no channel is set"),
        ("channels: [nonsense]\n", "told to nobody, the channels cannot be used"),
    ],
)
def test_that_nobody_was_told_is_said(world: World, monkeypatch: pytest.MonkeyPatch, channels: str, says: str) -> None:
    (world.folder / "channels.yaml").write_text(channels)
    if not channels:
        monkeypatch.delenv("OPERATIONS_CHANNELS_FILE")
    settings.cache_clear()
    shown = c500("incident", "respond", str(world.alert()))
    assert shown.exit_code == 0 and says in shown.stderr
    assert ("warning: nobody will be told of it" in shown.stderr) == bool(channels)
    [one] = told("incident", "list")
    assert "briefing was given to nobody" in c500("incident", "show", one["incident_id"]).stdout
