"""`c500 approve`: what waits is listed, shown, answered."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from blocks.approvals import Approvals, identity, login_name, open_approvals
from blocks.approvals.refusals import OtherArguments, OwnRequest, VotedAlready
from blocks.audit import AuditLog, open_key, verify
from blocks.errors import BadInput, Conflict, NotFound
from blocks.escalation import Escalations
from blocks.redact import Redactor
from blocks.settings import settings
from blocks.store import open_store
from deployments.cli import app, approve
from tests.blocks.approvals import asking
from tests.blocks.approvals.asking import DELETES

assert approve.commands


def c500(*arguments: str, stdin: str | None = None) -> Result:
    """Run a command in this process; what it raises is in `exception`."""
    return CliRunner().invoke(app, ["approve", *arguments], input=stdin)


@pytest.fixture
def approvals() -> Approvals:
    return open_approvals()


@pytest.fixture
def ask(approvals: Approvals) -> Callable[..., str]:
    """Asks a question of this minute; gives its id."""

    def asked(**facts: Any) -> str:
        now = datetime.now(UTC)
        times = {"asked_at": now, "expires_at": now + timedelta(hours=1)}
        return approvals.ask(asking.request(**(times | facts))).request.approval_id

    return asked


def decided(approvals: Approvals, approval_id: str) -> Any:
    return approvals.decision(approval_id, datetime.now(UTC))


def test_what_waits_is_listed_also_as_json(ask: Callable[..., str]) -> None:
    first, second = ask(call_id="call_1"), ask(call_id="call_2", risk="critical", persons=2)
    told = c500("list").output
    assert first in told and "open 0/2" in told and "delete_file" in told
    listed = json.loads(c500("list", "--json").output)
    assert {one["approval_id"] for one in listed} == {first, second}
    assert listed[0]["arguments"] == DELETES
    assert "seal" not in c500("list", "--json").output


def test_nothing_waiting_is_said() -> None:
    assert "nothing waits" in c500("list").output
    assert c500("list", "--json").output.strip() == "[]"


def test_a_request_is_shown_with_its_arguments_and_nothing_in_them_moves_the_cursor(ask: Callable[..., str]) -> None:
    shown = c500("show", ask(arguments={"path": "\x1b[2J\u202egol.txt"}, reason="one\ntwo")).output
    assert '"path": "\\u001b[2J\\u202egol.txt"' in shown
    assert "one\\ntwo" in shown
    assert "\x1b" not in shown


def test_yes_approves_in_the_name_of_the_login(approvals: Approvals, ask: Callable[..., str]) -> None:
    approval_id = ask()
    assert "approved" in c500("yes", approval_id[:6], "--reason", "fine").output
    answer = decided(approvals, approval_id)
    assert (answer.approved, answer.by, answer.reason) == (True, (login_name(),), "fine")
    assert c500("list").output.strip() == "nothing waits for an answer"
    assert "approved" in c500("list", "--all").output


def test_no_denies(approvals: Approvals, ask: Callable[..., str]) -> None:
    approval_id = ask()
    assert "denied" in c500("no", approval_id, "--reason", "not on a Friday").output
    assert decided(approvals, approval_id).reason == "not on a Friday"


def test_one_argument_is_changed(approvals: Approvals, ask: Callable[..., str]) -> None:
    approval_id = ask()
    c500("yes", approval_id, "--set", "keep_days=30", "--set", "path=/tmp/x y")
    answer = decided(approvals, approval_id)
    assert (answer.edited, answer.arguments) == (True, {"path": "/tmp/x y", "keep_days": 30})


@pytest.mark.parametrize("source", ["file", "stdin"])
def test_all_arguments_are_changed(approvals: Approvals, ask: Callable[..., str], tmp_path: Path, source: str) -> None:
    approval_id, changed = ask(), {"path": "/tmp/x"}
    (tmp_path / "changed.json").write_text(json.dumps(changed))
    name = "-" if source == "stdin" else str(tmp_path / "changed.json")
    made = json.loads(c500("yes", approval_id, "--edit", name, "--json", stdin=json.dumps(changed)).output)
    assert made["decision"]["arguments"] == decided(approvals, approval_id).arguments == changed


def test_of_two_persons_one_changes_and_the_other_says_which_version(
    approvals: Approvals, ask: Callable[..., str]
) -> None:
    approval_id = ask(persons=2)
    changed = {"path": "/tmp/x", "keep_days": 7}
    approvals.vote(
        approval_id, by="bob", verdict="approve", channel="gateway", now=datetime.now(UTC), arguments=changed
    )
    assert isinstance(c500("yes", approval_id).exception, OtherArguments)
    version = approvals.read(approval_id).votes[0].arguments_hash
    assert "approved, edited" in c500("yes", approval_id, "--hash", version[:12]).output
    assert decided(approvals, approval_id).arguments == changed


def test_more_persons_are_asked_for(ask: Callable[..., str]) -> None:
    approval_id = ask(persons=2)
    assert "more persons" in c500("yes", approval_id).output
    assert isinstance(c500("yes", approval_id).exception, VotedAlready)


def test_own_requests_cannot_be_answered_nor_taken_in_hand(ask: Callable[..., str]) -> None:
    approval_id = ask(requester=login_name().upper())
    for command in ("yes", "no", "ack"):
        assert isinstance(c500(command, approval_id).exception, OwnRequest)


def test_every_answer_is_in_the_audit_log_also_one_that_is_refused(ask: Callable[..., str]) -> None:
    own, other = ask(call_id="call_1", requester=login_name()), ask(call_id="call_2")
    c500("yes", own)
    c500("yes", other, "--set", "keep_days=30", "--reason", "fine")
    home = settings().agents_home
    assert verify(home / "audit", open_key(home / "audit.key")).ok
    written = [record.entry for record in AuditLog(home / "audit", open_key(home / "audit.key"), Redactor()).read()]
    assert [(one.call_id, one.outcome) for one in written] == [("call_1", "OWN_REQUEST"), ("call_2", "counted")]
    assert (written[0].approvers, written[1].approvers) == ((), (login_name(),))
    assert written[1].after == DELETES | {"keep_days": 30}
    assert written[1].details["channel"] == "cli"


def test_the_environment_does_not_say_who_answers(
    approvals: Approvals, ask: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("USER", "LOGNAME", "USERNAME", "LNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "somebody-else")
    approval_id = ask()
    c500("yes", approval_id)
    assert "somebody-else" not in decided(approvals, approval_id).by
    assert c500("yes", approval_id, "--as", "eve").exit_code == 2


def test_who_logged_in_counts_before_whom_sudo_makes_of_him(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "loginuid"
    monkeypatch.setattr(identity, "LOGIN_UID", kept)
    monkeypatch.setattr(identity.os, "getuid", lambda: 0)
    kept.write_text("1")  # the daemon's uid on Debian and its kin
    by_login = login_name()
    kept.write_text(str(identity.NO_LOGIN))
    assert (by_login, login_name()) == ("daemon", "root")


def test_acknowledging_is_kept(ask: Callable[..., str]) -> None:
    approval_id = ask()
    assert "has it in hand" in c500("ack", approval_id).output
    assert Escalations(open_store()).read(approval_id).acknowledged_by == login_name()
    assert f"{login_name()} has it in hand" in c500("show", approval_id).output


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--set", "keep_day=1"), BadInput),
        (("--set", "keep_days"), BadInput),
        (("--edit", "none.json"), BadInput),
        (("--edit", "-"), BadInput),
        (("--edit", "-", "--set", "keep_days=1"), BadInput),
        (("--hash", "0000"), BadInput),
    ],
)
def test_what_cannot_be_meant_is_refused(
    approvals: Approvals, ask: Callable[..., str], arguments: tuple[str, ...], error: type[Exception]
) -> None:
    approval_id = ask()
    assert isinstance(c500("yes", approval_id, *arguments, stdin="[1]").exception, error)
    assert approvals.read(approval_id).votes == ()


def test_an_id_must_be_known_and_say_which(ask: Callable[..., str]) -> None:
    assert isinstance(c500("yes", "nothing").exception, NotFound)
    ids = [ask(call_id=f"call_{number}") for number in range(17)]
    common = next(one[0] for one in ids if sum(other.startswith(one[0]) for other in ids) > 1)
    assert isinstance(c500("yes", common).exception, BadInput)


def test_a_service_with_another_store_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    from deployments.service import home

    elsewhere = home.Running(
        pid=1, api_url="http://x", gateway_url="http://y", store="/elsewhere", started_at=datetime.now(UTC)
    )
    monkeypatch.setattr(home, "read_running", lambda: elsewhere)
    assert isinstance(c500("list").exception, Conflict)
