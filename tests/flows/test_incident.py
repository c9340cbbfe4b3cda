"""From an alert to a briefing: everything found, one message, whatever is told again; and what comes after it."""

import json
from pathlib import Path

import pytest

from blocks.errors import BadInput
from blocks.settings import settings
from blocks.store import open_store
from flows.incident import respond_to_incident, write_postmortem
from tasks.ops.incident.incident import Incident, closed
from tasks.ops.incident.intake import change, incidents
from tasks.ops.incident.postmortem import markdown_of
from tasks.ops.incident.respond import utc_now
from tasks.ops.options import OperationsOptions
from tests.fakes.llm.agent_model import agent_model
from tests.flows.incidents import World, world

__all__ = ["world"]

pytestmark = pytest.mark.usefixtures("prefect_api")


def known(incident_id: str) -> Incident:
    return incidents(open_store()).read(incident_id)


async def test_an_alert_becomes_a_briefing_from_six_sources(world: World) -> None:
    report = await respond_to_incident(str(world.alert()))
    assert report.status == "briefed" and report.briefing is not None
    assert report.briefing.gaps == ()
    assert set(report.briefing.answered) == {"metrics", "logs", "changes", "similar", "runbooks", "service"}
    rules = {one.rule for one in report.briefing.findings}
    assert {"metric-beyond", "connection-refused", "recent-change", "seen-before", "dependency-named"} <= rules
    [(subject, body)] = world.operators.messages
    assert subject == f"[critical] CheckoutDown: checkout answers with errors ({report.incident_id})"
    for told in ("error rate of checkout", "New pool", "the pool was enlarged", "team-payments", "restart-checkout"):
        assert told in body, body
    kinds = [one.kind for one in known(report.incident_id).timeline]
    assert kinds == ["opened", "alert", "gathered", "briefed"]


async def test_what_belongs_to_an_incident_joins_it_and_nobody_is_told_again(world: World) -> None:
    first = await respond_to_incident(str(world.alert()))
    same = await respond_to_incident(str(world.alert("again.json")))
    other = {"labels": {"alertname": "CheckoutSlow"}, "fingerprint": "f" * 16}
    more = await respond_to_incident(str(world.alert("more.json", **other)))
    assert {first.incident_id, same.incident_id, more.incident_id} == {first.incident_id}
    assert same.briefing == first.briefing
    assert len(world.operators.messages) == 1
    over = await respond_to_incident(str(world.alert("over.json", status="resolved")))
    assert over.incident_id == first.incident_id
    found = known(first.incident_id)
    assert [(one.name, one.status, one.told) for one in found.alerts] == [
        ("CheckoutDown", "resolved", 3),
        ("CheckoutSlow", "firing", 1),
    ]
    assert found.status == "open"


async def test_a_dry_run_tells_what_it_would_and_leaves_nothing_behind(world: World) -> None:
    report = await respond_to_incident(str(world.alert()), options=OperationsOptions(dry_run=True))
    assert report.status == "planned" and report.briefing is not None and report.briefing.findings
    assert [(one.name, one.status) for one in report.outcomes] == [("briefing", "planned")]
    assert world.operators.messages == []
    assert list(incidents(open_store()).names()) == []


async def test_an_end_of_what_nobody_knows_is_no_incident(world: World) -> None:
    report = await respond_to_incident(str(world.alert(status="resolved")))
    assert (report.status, report.incident_id) == ("nothing", "")


async def test_a_runbook_is_run_once_with_values_from_the_alert_and_stands_on_the_timeline(world: World) -> None:
    options = OperationsOptions(profile="staging")
    first = await respond_to_incident(str(world.alert()), run=("restart-checkout",), options=options)
    assert [(one.name, one.status) for one in first.outcomes] == [
        ("briefing", "done"),
        ("runbook/restart-checkout", "done"),
    ]
    assert (world.folder / "ran").exists()
    (world.folder / "ran").unlink()
    await respond_to_incident(incident=first.incident_id, run=("restart-checkout",), options=options)
    assert not (world.folder / "ran").exists()  # the run of the runbook had ended
    [says] = [one.says for one in known(first.incident_id).timeline if one.kind == "action"]
    assert says == "runbook restart-checkout: done"


async def test_a_runbook_that_services_ask_for_waits_for_a_person(world: World) -> None:
    world.checkout["act"] = "ask"
    world.write()
    options = OperationsOptions(attended=False)
    report = await respond_to_incident(str(world.alert()), options=options)
    [_, outcome] = report.outcomes
    assert (outcome.name, outcome.status) == ("runbook/restart-checkout", "refused")
    assert not (world.folder / "ran").exists()
    assert len(world.operators.messages) == 1  # the briefing does not wait for it


async def test_a_postmortem_blames_nobody_and_the_next_incident_finds_it(world: World) -> None:
    first = await respond_to_incident(str(world.alert()))
    change(open_store(), first.incident_id, lambda one: one.with_event(utc_now(), "note", "Ann restarted it", "ann"))
    change(
        open_store(),
        first.incident_id,
        lambda one: closed(one, utc_now(), "ann", "Mallory Blamed made the pool too small", "the pool was enlarged"),
    )
    made = await write_postmortem(first.incident_id)
    page = markdown_of(made)
    for name in ("Mallory", "Blamed", "Ann ", " ann"):
        assert name not in page, page
    assert made.causes == ("somebody on call made the pool too small",)
    assert {one.owner for one in made.action_items} == {"team-payments"}
    assert "degrade" in " ".join(one.what for one in made.action_items)
    assert [one.kind for one in made.timeline][-1] == "closed"
    await write_postmortem(first.incident_id)  # again: it takes the place of the first

    second = await respond_to_incident(str(world.alert("next.json")))
    assert second.incident_id != first.incident_id and second.briefing is not None
    says = " ".join(one.says for one in second.briefing.findings if one.rule == "seen-before")
    assert f"case-{first.incident_id}" in says


async def test_the_model_words_the_briefing_where_there_is_one_and_chooses_no_command(world: World) -> None:
    told = json.dumps(
        {"summary": "Postgres refuses checkout. [click](http://evil)", "hypotheses": ["rm -rf / [logs-1]"]}
    )
    with agent_model(Path("accounts.yaml"), told):
        settings.cache_clear()
        report = await respond_to_incident(str(world.alert()))
    assert report.briefing is not None
    assert report.briefing.written_by != "rules"
    assert report.briefing.headline.startswith("Postgres refuses checkout.")
    assert [one.runbook for one in report.briefing.actions if one.kind == "runbook"] == ["restart-checkout"]
    assert not any("rm -rf" in one.says for one in report.briefing.actions)


async def test_a_model_that_fails_costs_the_briefing_nothing(world: World) -> None:
    with agent_model(Path("accounts.yaml"), "no JSON at all", "nor this"):
        settings.cache_clear()
        report = await respond_to_incident(str(world.alert()))
    assert report.briefing is not None and report.briefing.written_by == "rules"
    assert len(world.operators.messages) == 1


@pytest.mark.parametrize(
    ("content", "field"),
    [("[]", "alerts"), ('{"alerts": [{"labels": 3}]}', "alerts.0.labels"), ('{"a": 1}', "alerts"), ("x: [", "alert")],
)
async def test_what_is_no_alert_is_refused_with_its_field(world: World, content: str, field: str) -> None:
    path = world.folder / "wrong.json"
    path.write_text(content)
    with pytest.raises(BadInput) as raised:
        await respond_to_incident(str(path))
    assert raised.value.details["field"] == field
    assert raised.value.fix
