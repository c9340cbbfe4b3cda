"""What facts point to; and questions answered from them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import BadInput
from blocks.redact import default_redactor
from tasks.ops.asking import Model
from tasks.ops.incident.briefing import briefing_of
from tasks.ops.incident.context import Context, Fact, FactKind, SourceReport
from tasks.ops.incident.incident import AlertState, Incident
from tasks.ops.incident.logs import lines_between
from tasks.ops.incident.postmortem import markdown_of, postmortem_of, without_names
from tasks.ops.incident.questions import answered, checked_question
from tasks.ops.incident.rules import SIGNS, findings
from tasks.ops.incident.services import read_services

BEGAN = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
NAMED_BY: dict[FactKind, Any] = {"log_errors": "logs", "log_lines": "logs", "metric": "metrics", "commit": "changes"}


def incident(*annotations: str) -> Incident:
    labels = {"alertname": "Slow", "service": "checkout"}
    alert = AlertState(
        fingerprint="f",
        name="Slow",
        status="firing",
        labels=labels,
        annotations={"summary": " ".join(annotations)},
        started_at=BEGAN,
    )
    return Incident(
        incident_id="inc-1",
        title="Slow",
        severity="critical",
        services=("checkout",),
        opened_at=BEGAN + timedelta(minutes=1),
        began_at=BEGAN,
        alerts=(alert,),
    )


def fact(kind: FactKind, title: str = "x", text: str = "", at: datetime | None = None, **values: Any) -> Fact:
    source = NAMED_BY.get(kind, "changes" if kind == "deployment" else "service")
    return Fact(fact_id=f"{source}-{title[:3]}", source=source, kind=kind, title=title, text=text, at=at, values=values)


def context(*facts: Fact, gaps: tuple[str, ...] = ()) -> Context:
    return Context(gathered_at=BEGAN, reports=(SourceReport(source="logs", facts=facts, gaps=gaps),))


def rules(*facts: Fact, told: str = "") -> dict[str, str]:
    return {one.rule: one.confidence for one in findings(incident(told), context(*facts))}


SAMPLES = {
    "disk-full": "write failed: No space left on device",
    "out-of-memory": "java.lang.OutOfMemoryError: Java heap space",
    "certificate": "tls: x509: certificate has expired or is not yet valid",
    "name-resolution": "getaddrinfo: Name or service not known",
    "connection-refused": "dial tcp 10.0.0.3:5432: connect: connection refused",
    "pool-exhausted": "FATAL: sorry, too many connections already",
    "timeout": "rpc error: context deadline exceeded",
    "credentials": "password authentication failed for user app",
    "rate-limit": "upstream says 429 too many requests",
    "deadlock": "ERROR: deadlock detected",
    "crash": "panic: runtime error: index out of range",
}


@pytest.mark.parametrize("rule", [one.rule for one in SIGNS])
def test_words_in_error_lines_point_to_what_is_wrong(rule: str) -> None:
    assert rules(fact("log_errors", text=SAMPLES[rule]))[rule] == "medium"
    assert rules(fact("log_errors", text=SAMPLES[rule]), told=SAMPLES[rule])[rule] == "high"
    assert rules(fact("log_lines", text=SAMPLES[rule])) == {rule: "low"}
    assert rules(fact("log_errors", text="GET /orders 200 in 3 ms, 4290 bytes, port 4030")) == {}


@pytest.mark.parametrize(
    ("before_min", "kind", "confidence"),
    [(5, "deployment", "high"), (5, "commit", "medium"), (120, "deployment", "low"), (-1, "commit", "medium")],
)
def test_what_was_changed_shortly_before_is_suspected(before_min: int, kind: FactKind, confidence: str) -> None:
    at = BEGAN - timedelta(minutes=before_min)
    assert rules(fact(kind, at=at)) == {"recent-change": confidence}


@pytest.mark.parametrize("before_min", [-30, 60 * 24])
def test_what_was_changed_long_before_or_since_is_not(before_min: int) -> None:
    assert rules(fact("commit", at=BEGAN - timedelta(minutes=before_min))) == {}


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"name": "errors", "last": 5.0, "usual": 5.0, "above": 1.0, "below": None}, "metric-beyond"),
        ({"name": "free", "last": 1.0, "usual": 1.0, "above": None, "below": 2.0}, "metric-beyond"),
        ({"name": "load", "last": 9.0, "usual": 3.0, "above": None, "below": None}, "metric-jump"),
        ({"name": "load", "last": 0.0, "usual": 3.0, "above": None, "below": None}, "metric-jump"),
        ({"name": "up", "last": 0.0, "usual": 1.0, "above": None, "below": 1.0}, "target-down"),
        ({"name": "up", "last": 1.0, "usual": 1.0, "above": None, "below": 1.0}, None),
        ({"name": "load", "last": 3.0, "usual": 3.1, "above": None, "below": None}, None),
        ({"name": "load", "last": 3.0, "usual": None, "above": None, "below": None}, None),
        ({"name": "load", "last": 3.0, "usual": 0.0, "above": None, "below": None}, None),
    ],
)
def test_metrics(values: dict[str, Any], rule: str | None) -> None:
    assert list(rules(fact("metric", **values))) == ([] if rule is None else [rule])


def test_errors_that_are_new_are_a_burst_and_those_that_always_were_are_none() -> None:
    assert "error-burst" in rules(fact("log_errors", errors=20, before=1, lines=100))
    assert "error-burst" not in rules(fact("log_errors", errors=20, before=18, lines=100))


def test_what_it_needs_is_suspected_where_it_is_broken_or_named() -> None:
    needs = fact("dependency", "checkout needs postgres", service="checkout", needs="postgres")
    other = fact("incident", "inc-0", incident="inc-0", service="postgres")
    assert rules(needs) == {}
    assert rules(needs, other) == {"dependency-incident": "high"}
    assert rules(needs, fact("log_errors", text="cannot reach postgres-1.internal")) == {}
    assert rules(needs, fact("log_errors", text="cannot reach postgres:5432")) == {"dependency-named": "medium"}


async def test_questions_are_answered_with_what_was_gathered_and_nothing_else() -> None:
    gathered = context(
        fact("service", "checkout: takes orders", "owner: team-payments\ncontact: #payments", owner="team-payments"),
        fact("commit", "Enlarge connection pool", "by Ann", at=BEGAN),
        gaps=("app.log of checkout: there is no such file",),
    )

    nobody = Model(None, "ann", "inc", default_redactor())

    async def ask(question: str) -> tuple[str, list[str]]:
        made = await answered(question, incident("too slow"), gathered, None, nobody)
        return made.answer, [one.name for one in made.passages]

    assert "team-payments" in (await ask("Who is the owner of checkout?"))[0]
    assert (await ask("what was committed to the connection pools"))[1][0] == "changes-Enl"
    assert "there is no such file" in (await ask("why is app.log missing"))[0]
    assert await ask("zebra quagga okapi") == ("", [])


@pytest.mark.parametrize("question", ["", "  \n", "x" * 1001, "\u200b"])
def test_what_is_no_question_is_refused(question: str) -> None:
    with pytest.raises(BadInput):
        checked_question(question)


def test_lines_belong_to_the_time_of_the_line_before_them() -> None:
    lines = [
        "2026-11-20T02:00:00Z ERROR long ago",
        "  at long.ago(Main.java)",
        "2026-11-20T03:00:10Z ERROR now",
        "  at now(Main.java)",
        "2026-11-20T09:00:10Z later",
    ]
    assert lines_between(lines, BEGAN - timedelta(minutes=30), BEGAN + timedelta(minutes=5)) == lines[2:4]
    assert lines_between(["no", "times"], BEGAN, BEGAN) == ["no", "times"]


def test_names_become_roles_however_they_are_written() -> None:
    blameless = without_names({"Mallory Blamed", "Mallory", "ann"})
    assert blameless("Mallory Blamed and ANN told mallory; the annex stays") == (
        "somebody on call and somebody on call told somebody on call; the annex stays"
    )


def test_a_postmortem_without_facts_says_so_and_is_inert() -> None:
    known = incident().with_event(BEGAN, "note", "| x | <img src=x> `a` \n # head", "ann")
    page = markdown_of(postmortem_of(known, None, None, BEGAN + timedelta(hours=1)))
    assert "Not known." in page and "there was no briefing" in page
    assert "find out the cause" in page
    assert "\n # head" not in page and " ann " not in page


def test_what_is_wrong_in_the_services_file_is_told_with_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "services.yaml"
    path.write_text(
        "services:\n"
        "  a: {logs: [{name: x, file: relative.log}]}\n"
        "  b: {metrics: [{name: m, query: 'up{job={{ service }}}'}]}\n"
        "  c: {logs: [{name: x, command: [logcli, '{{ nothing }}']}]}\n"
        "  d: {logs: [{name: x, command: [a], journal: b}]}\n"
        "  e: {match: {x: '('}}\n"
        "  f: {repositories: [{path: /a/../b}]}\n"
    )
    with pytest.raises(BadInput) as raised:
        read_services(path)
    lines = {problem.split(":")[1] for problem in raised.value.details["problems"]}
    assert lines == {"2", "3", "4", "5", "6", "7"}


def test_the_first_action_is_a_runbook_and_the_last_are_people() -> None:
    gathered = context(
        fact("log_errors", text="connection refused", errors=1),
        fact("runbook", "restart", runbook="restart", missing=""),
        fact("service", "checkout", service="checkout", owner="team-a", contact=""),
    )
    made = briefing_of(incident(), gathered, findings(incident(), gathered), BEGAN)
    assert [one.kind for one in made.actions] == ["runbook", "step", "people"]
