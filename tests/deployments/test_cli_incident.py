"""`c500 incident`: agents get the rights of an incident from a person, with a reason, and for some hours."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from blocks.action import Action
from blocks.approvals import login_name
from blocks.audit import Entry
from blocks.audit.log import records
from blocks.audit.places import AuditPlaces
from blocks.errors import BadInput, NotFound
from blocks.policy import Policy, activate
from blocks.settings import settings
from deployments.cli import app, incident

SCALE = Action(tool="kubectl_scale", arguments={}, risk="medium", outside=True)
HOUR = timedelta(hours=1)


def c500(*arguments: str) -> Result:
    """Run a command in this process; what it raises is in `exception`."""
    return CliRunner().invoke(app, ["incident", *arguments])


def folder() -> Path:
    return settings().agents_home / "policy"


def in_force(after: timedelta = timedelta(0)) -> bool:
    """Whether an agent with the profile may do what only an incident allows."""
    policy = Policy.read().placed(state=folder())
    return policy.decide(SCALE, "incident", now=datetime.now(UTC) + after, attended=True).verdict == "notify"


def written() -> list[Entry]:
    return [one.entry for one in records(AuditPlaces(settings().agents_home).folder, incident.ABOUT)]


def test_it_is_in_force_for_as_long_as_was_said_and_it_is_kept_who_did_it_and_why() -> None:
    told = c500("start", "--reason", "checkout is down", "--hours", "2")
    assert told.exit_code == 0, told.output
    assert told.stdout.startswith("incident is in force until ")
    assert f"by {login_name()}: checkout is down" in told.stdout
    assert (in_force(), in_force(HOUR), in_force(2 * HOUR)) == (True, True, False)
    [entry] = written()
    assert (entry.phase, entry.reasoning, entry.user) == ("policy", "checkout is down", login_name())
    assert entry.details == {"by": login_name(), "profile": "incident", "lasts_s": 7200.0}


def test_it_is_ended_before_its_time() -> None:
    c500("start", "--reason", "checkout is down")
    assert c500("stop").stdout == "ended\n"
    assert not in_force()
    assert written()[-1].outcome == "ended before its time"
    assert "nothing was in force" in c500("stop").stderr
    assert json.loads(c500("stop", "--json").stdout) == {"ended": False}
    assert len(written()) == 2


def test_its_state_is_shown_also_as_json() -> None:
    assert "nothing is in force" in c500("status").stderr
    assert json.loads(c500("status", "--json").stdout) is None
    started = json.loads(c500("start", "--reason", "why\x1b[2J", "--json").stdout)
    assert started["profile"] == "incident"
    shown = c500("status").stdout
    assert "why\\x1b[2J" in shown
    assert json.loads(c500("status", "--json").stdout) == started | {"in_force": True}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--reason", "x", "--hours", "25"], BadInput),
        (["--reason", "  "], BadInput),
        (["--reason", "x" * 501], BadInput),
        (["--reason", "x", "--profile", "staging"], NotFound),
        (["--reason", "x", "--profile", "nothing"], NotFound),
    ],
)
def test_what_the_policy_would_not_take_is_refused(arguments: list[str], error: type[Exception]) -> None:
    assert isinstance(c500("start", *arguments).exception, error)
    assert not in_force()


def test_a_policy_may_allow_fewer_hours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = tmp_path / "policy.yaml"
    rules.write_text("profiles: {incident: {about: short, falls_back_to: production, lasts_at_most_s: 3600}}\n")
    monkeypatch.setenv("POLICY_FILE", str(rules))
    settings.cache_clear()
    assert "may last 1 hours" in str(c500("start", "--reason", "x", "--hours", "2").exception)
    activate(folder(), "ann", "set before the policy was changed", 7200)
    assert "the policy does not take it" in c500("status").stdout
    assert json.loads(c500("status", "--json").stdout)["in_force"] is False


def test_nobody_gets_rights_that_cannot_be_written_down() -> None:
    c500("start", "--reason", "x")
    c500("stop")
    AuditPlaces(settings().agents_home).key.chmod(0o644)
    assert c500("start", "--reason", "x").exit_code == 1
    assert not in_force()


def test_rights_are_taken_away_also_where_that_cannot_be_written_down() -> None:
    c500("start", "--reason", "x")
    AuditPlaces(settings().agents_home).key.chmod(0o644)
    assert c500("stop").exit_code == 1
    assert not in_force()
