"""`c500 audit`: what runs did, told and proved on the command line."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from blocks.audit import Anchors, AuditLog, open_key
from blocks.audit.places import AuditPlaces, audit_head
from blocks.errors import BadInput, C500Error, NotFound
from blocks.redact import Redactor
from blocks.settings import settings
from deployments.cli.audit import commands
from tests.blocks.audit.audits import entry

OTHER = "fedcba9876543210"


@pytest.fixture
def places() -> AuditPlaces:
    """The audit of a home where two runs were, one of them three days ago."""
    places = AuditPlaces(settings().agents_home)
    now = datetime.now(UTC)
    times = iter([now - timedelta(days=3), now, now, now])
    log = AuditLog(places.folder, open_key(places.key), Redactor(), clock=lambda: next(times))
    log.append(entry(1, run_id=OTHER, phase="run_started", trigger="look around"))
    log.append(entry(1, phase="run_started", trigger="free some disk"))
    log.append(entry(2, phase="decided", tool="delete_file", decision="deny", rule="never", policy_version="p1"))
    log.append(entry(3, phase="run_ended", outcome="done"))
    return places


def c500(*arguments: str) -> Result:
    return CliRunner().invoke(commands, list(arguments))


def days(places: AuditPlaces) -> list[Path]:
    return sorted(places.folder.glob("*.jsonl"))


def break_it(places: AuditPlaces) -> None:
    path = days(places)[-1]
    path.write_bytes(path.read_bytes().replace(b"deny", b"allow"))


def test_a_log_that_holds_is_said_to(places: AuditPlaces) -> None:
    run = c500("verify")
    assert run.exit_code == 0
    assert run.stdout.startswith("4 records, all as they were written; head 4:")
    assert audit_head(settings().agents_home).seq == 4


def test_a_change_is_told_with_its_place_and_exits_with_1(places: AuditPlaces) -> None:
    break_it(places)
    run, as_json = c500("verify"), c500("verify", "--json")
    assert (run.exit_code, as_json.exit_code) == (1, 1)
    assert f"{days(places)[-1].name}:2: record 3 is not as it was sealed" in run.stdout
    verdict = json.loads(as_json.stdout)
    assert (verdict["ok"], verdict["faults"][0]["line"]) == (False, 2)


@pytest.mark.parametrize("given", [True, False], ids=["on the line", "on this machine"])
def test_a_cut_is_told_by_an_anchor(places: AuditPlaces, given: bool) -> None:
    head = audit_head(settings().agents_home)
    path = days(places)[-1]
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert c500("verify").exit_code == 0
    if not given:
        Anchors(places.anchors).append(head)
    run = c500("verify", *(["--anchor", str(head)] if given else []))
    assert run.exit_code == 1
    assert "record 4, which was anchored" in run.stdout


def test_records_are_shown_as_they_are_asked_for(places: AuditPlaces) -> None:
    assert len(c500("show").stdout.splitlines()) == 4
    assert [line["seq"] for line in shown("--run", OTHER)] == [1]
    assert [line["seq"] for line in shown("--since", "1h")] == [2, 3, 4]
    assert [line["seq"] for line in shown("--phase", "decided,run_ended")] == [3, 4]
    assert "delete_file deny" in c500("show", "--phase", "decided").stdout


def shown(*options: str) -> list[Any]:
    return [json.loads(line) for line in c500("show", "--json", *options).stdout.splitlines()]


def test_why_tells_the_story_of_a_run(places: AuditPlaces) -> None:
    run = c500("why", "0123456789abcdef")
    assert run.exit_code == 0
    assert "begins: free some disk" in run.stdout
    assert "delete_file: deny by rule never, policy p1" in run.stdout
    assert "ends: done" in run.stdout
    assert "look around" not in run.stdout
    told = json.loads(c500("why", "0123456789abcdef", "--json").stdout)
    assert [record["entry"]["phase"] for record in told] == ["run_started", "decided", "run_ended"]


@pytest.mark.parametrize("command", [("show",), ("why", "0123456789abcdef")])
def test_what_is_told_of_a_broken_log_is_told_as_such(places: AuditPlaces, command: tuple[str, ...]) -> None:
    break_it(places)
    run = c500(*command)
    assert run.exit_code == 1
    assert "not as it was written" in run.stderr
    assert "free some disk" in run.stdout


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (("why", "nobody"), NotFound, "no run nobody"),
        (("show", "--phase", "decided,guessed"), BadInput, "'guessed'"),
        (("show", "--since", "soon"), BadInput, "'soon'"),
        (("verify", "--anchor", "12"), BadInput, "'12'"),
    ],
)
def test_what_cannot_be_is_refused(
    places: AuditPlaces, arguments: tuple[str, ...], error: type[C500Error], said: str
) -> None:
    run = c500(*arguments)
    assert isinstance(run.exception, error)
    assert said in run.exception.message


def test_a_home_without_agents_has_no_audit_and_gets_none() -> None:
    run = c500("verify")
    assert isinstance(run.exception, NotFound)
    assert not settings().agents_home.exists()
