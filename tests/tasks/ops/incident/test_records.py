"""What runs of ours have changed, in words; and which of them count for an incident."""

from datetime import timedelta
from typing import Any

import pytest

from tasks.ops.incident.briefing import briefing_of
from tasks.ops.incident.records import Change, changes_told
from tasks.ops.incident.rules import findings
from tests.tasks.ops.incident.test_rules import BEGAN, context, fact, incident

PLAN = {"name": "fourth", "about": "", "databases": {}, "phases": [{"actions": [{"host": "db-1"}]}]}


def changes(kind: str, name: str, **content: Any) -> list[Change]:
    return list(changes_told(BEGAN, kind, name, content))


def test_a_migration_is_told_in_words_and_names_its_hosts() -> None:
    phases = [{"name": "a", "state": "done", "begun_at": "x"}, {"name": "b", "state": "blocked", "begun_at": None}]
    [found] = changes("migrations", "fourth", migration="fourth", plan=PLAN, phases=phases, waits="a person")
    assert found.title == "migration fourth: 1 of 2 phases done, it waits"
    assert not found.is_about({"checkout"})
    assert found.is_about({"db-1"})
    assert changes("migrations", "fourth", plan=PLAN, phases=phases[1:]) == []  # nothing has begun


@pytest.mark.parametrize(
    ("step", "is_change"),
    [
        ({"kind": "exec", "status": "done"}, True),
        ({"kind": "copy", "status": "failed"}, True),
        ({"kind": "exec", "status": "done", "read_only": True}, False),
        ({"kind": "exec", "status": "refused"}, False),
        ({"kind": "notify", "status": "done"}, False),
    ],
)
def test_a_runbook_that_only_looked_is_no_change(step: dict[str, Any], is_change: bool) -> None:
    looked = {"kind": "wait_until", "status": "done"}
    given = {"server": "web-1", "days": 3}
    found = changes(
        "runbooks", "run-1", runbook="free", status="done", parameters=given, steps={"look": looked, "do": step}
    )
    assert [one.title for one in found] == ["runbook free with server=web-1, days=3: done"] * is_change
    assert all(one.is_about({"web-1"}) and not one.is_about({"web-2", "local"}) for one in found)


def test_dry_runs_and_watches_are_no_changes() -> None:
    assert changes("runbooks", "run-1", runbook="free", dry_run=True, status="planned") == []
    plan = {"service": "checkout", "version": "2"}
    assert changes("rollouts", "run-1", plan=plan, status="passed", rollback=None) == []
    [back] = changes("rollouts", "run-1", plan=plan, status="rolled_back", rollback={"version": "1"})
    assert back.title == "rollout of checkout 2: rolled back" and back.is_about({"checkout"})


def test_maintenance_that_changed_nothing_is_none_and_other_names_the_hosts_it_touched() -> None:
    well = {"task": "t", "host": "web-1", "status": "ok"}
    assert changes("maintenance", "r1", plan="night.yaml", results=[well]) == []
    [found] = changes(
        "maintenance", "r1", plan="night.yaml", results=[well, well | {"host": "db-1", "status": "changed"}]
    )
    assert found.title == "maintenance r1 of night.yaml on db-1"


def test_what_names_only_a_part_of_a_word_is_not_about_it() -> None:
    [found] = changes("others", "checkout-canary", status="done")
    assert not found.is_about({"checkout"}) and found.is_about({"checkout-canary"})


def test_a_run_about_something_else_is_a_weak_fact_behind_all_that_is_not() -> None:
    other = fact("deployment", "migration fourth", at=BEGAN - timedelta(minutes=1), related=False)
    known, ours = (
        incident(),
        fact("deployment", "deployment of checkout 2", at=BEGAN - timedelta(minutes=9), related=True),
    )
    alone = findings(known, context(other))
    assert [(one.rule, one.confidence) for one in alone] == [("other-change", "low")]
    assert "of something else" in briefing_of(known, context(other), alone, BEGAN).headline
    both = findings(known, context(other, ours))
    assert [(one.rule, one.confidence) for one in both] == [("recent-change", "high"), ("other-change", "low")]
