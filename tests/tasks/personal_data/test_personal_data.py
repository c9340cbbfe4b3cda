"""Everything about a person or a job is exported, and erased; nothing of anybody else is."""

import json
import zipfile
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.exceptions import ObjectNotFound

from blocks.audit import verify
from blocks.audit.key import read_key
from blocks.errors import Conflict, NotAllowed
from blocks.redact import default_redactor
from blocks.store.files import Files
from blocks.subjects import Subject
from blocks.subjects.trace import trace
from tasks.personal_data.erase import checked_plan, erase, erased_before
from tasks.personal_data.export import check_export, export
from tasks.personal_data.holder import World
from tasks.personal_data.holding import hold, release
from tasks.personal_data.inventory import holders
from tasks.personal_data.plan import Plan, keep_plan, make_plan
from tests.tasks.personal_data.planted import Person, bytes_with, plant, plant_shared

ALIAS = "f" * 32


def planned(world: World, subject: Subject) -> Plan:
    return keep_plan(world.known.files, make_plan(world, subject))


def erased(world: World, subject: Subject) -> dict[str, int]:
    plan = planned(world, subject)
    return erase(world, checked_plan(world, plan.plan_id), ALIAS).counts


def person(one: Person) -> Subject:
    return Subject(kind="person", id=one.name)


def state(world: World, one: Person) -> dict[str, bytes]:
    """All files of the store that are one person's alone."""
    files = world.known.files
    return {key: files.read_bytes(key) for key in files.list() if bytes_with_key(files, key, one)}


def bytes_with_key(files: Files, key: str, one: Person) -> bool:
    return not key.startswith(("batches", "quality/history", "agents/intents", "gateway/keys", "personal-data")) and (
        one.mark in key or one.mark.encode() in files.read_bytes(key)
    )


def test_a_person_is_found_in_every_place_that_is_erased(world: World, anna: Person, bob: Person) -> None:
    plant(world, anna)
    plant_shared(world, anna, bob)
    found = {item.holder for item in make_plan(world, person(anna)).items}
    every = {one.name for one in holders() if one.erased is True}
    # A lease is a file only while a process holds it; these three are of flows that name a flow run or a fleet.
    assert every - found == {"session leases", "fleets", "fast responses"}


@pytest.mark.parametrize("store", ["local", "s3"])
def test_a_person_is_exported_and_erased_and_nobody_else(
    store: str, request: pytest.FixtureRequest, anna: Person, bob: Person, tmp_path: Path
) -> None:
    if store == "s3":
        request.getfixturevalue("s3_settings")
    world: World = request.getfixturevalue("world")
    run, other = plant(world, anna), plant(world, bob)
    plant_shared(world, anna, bob)
    before = state(world, bob)

    made = export(world, person(anna), tmp_path / "anna.zip", default_redactor())
    assert check_export(tmp_path / "anna.zip") == made
    with zipfile.ZipFile(tmp_path / "anna.zip") as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    assert not any(bob.name.encode() in name.encode() + held for name, held in content.items())
    assert {one.holder for one in made.files} >= {"jobs", "batches", "ledger", "memory", "audit", "logs", "prefect"}
    unmarked = {
        "agent metrics",
        "limits",
        "approval marks",
        "review marks",
        "quota counts",
        "gateway keys",
        "escalations",
        "swarms",
        "batches of prompts",
        "fleet reports",
        "agent tasks",
    }
    marked = {one.holder for one in made.files if anna.mark.encode() in content[one.path]}
    without = {one.name for one in holders() if one.exported is True} - marked - unmarked
    assert without == {"session leases", "fleets", "fast responses"}
    assert anna.name.encode() in content["ledger/c500_calls.jsonl"]
    assert (tmp_path / "anna.zip").stat().st_mode & 0o777 == 0o600

    counts = erased(world, person(anna))
    assert counts["jobs"] == 6
    assert bytes_with(world, anna.mark) == []
    assert bytes_with(world, anna.name) == []
    assert bytes_with(world, anna.job) == []
    assert make_plan(world, person(anna)).items == ()
    with pytest.raises(ObjectNotFound):
        world.known.client.read_flow_run(run)
    _is_untouched(world, bob, other, before)
    assert verify(world.home / "audit", read_key(world.home / "audit.key")).ok


def _is_untouched(world: World, bob: Person, run: UUID, before: dict[str, bytes]) -> None:
    assert state(world, bob) == before
    assert world.known.client.read_flow_run(run).parameters["text"] == bob.mark
    left = world.known.files.read_bytes("batches/b1/report.csv").decode("utf-8-sig").splitlines()
    assert left == ["source,outcome,job_id", f"{bob.mark}.wav,done,{bob.job}"]
    assert [item["job_id"] for item in _json(world, "batches/b1/report.json")["items"]] == [bob.job]
    assert [key["name"] for key in _json(world, "gateway/keys.json")["keys"]] == [bob.name]
    lines = (world.logs / "c500.jsonl").read_text().splitlines()
    assert [line for line in lines if bob.mark in line] and sum('"unrelated"' in line for line in lines) == 2


def _json(world: World, key: str) -> Any:
    return json.loads(world.known.files.read_bytes(key))


def test_a_job_is_erased_and_what_else_its_person_has_stays(world: World, anna: Person, bob: Person) -> None:
    run = plant(world, anna)
    plant_shared(world, anna, bob)
    erased(world, Subject(kind="job", id=str(run)))  # by the id of its task in the REST API
    assert bytes_with(world, anna.job) == []
    files = world.known.files
    assert not list(files.list(f"jobs/{anna.job}/"))
    assert files.exists(f"agents/runs/{anna.run}/begun.json")
    assert (world.home / "workspaces" / anna.session).exists()


def test_a_job_that_others_have_asked_for_too_stays(world: World, anna: Person) -> None:
    plant(world, anna)
    run = world.known.client.create_flow_run(_flow(), parameters={})
    from blocks.runs.record import JOB_ID

    world.known.client.update_flow_run_labels(run.id, {JOB_ID: anna.job})
    traces = trace(person(anna), world.known)
    assert traces.shared == (anna.job,)
    erased(world, person(anna))
    assert world.known.files.exists(f"jobs/{anna.job}/result.json")


def _flow() -> Any:
    from prefect import flow

    @flow(name="process-audio")
    def job() -> None: ...

    return job


def test_nothing_goes_that_the_plan_does_not_show(world: World, anna: Person) -> None:
    plant(world, anna)
    plan = planned(world, person(anna))
    world.known.files.put_bytes(f"jobs/{anna.job}/later.json", b"{}")
    with pytest.raises(Conflict) as caught:
        checked_plan(world, plan.plan_id)
    assert checked_plan(world, caught.value.details["plan_id"]).plan_id != plan.plan_id


@pytest.mark.parametrize("held", ["person", "job"])
def test_what_is_on_legal_hold_is_not_erased(world: World, anna: Person, held: str) -> None:
    plant(world, anna)
    subject = person(anna) if held == "person" else Subject(kind="job", id=anna.job)
    hold(world.known.files, subject, "case 7", "ops")
    for wanted in (person(anna), Subject(kind="job", id=anna.job)):
        plan = planned(world, wanted)
        assert "legal hold" in plan.refused[0]
        with pytest.raises(NotAllowed, match="legal hold"):
            checked_plan(world, plan.plan_id)
    release(world.known.files, subject, "ops")
    assert erased(world, person(anna))["jobs"] == 6


def test_a_run_at_work_is_not_erased(world: World, anna: Person) -> None:
    plant(world, anna)
    with world.known.files.lock(f"agents/run/{anna.run}"):
        assert "at work" in make_plan(world, person(anna)).refused[0]
    assert make_plan(world, person(anna)).refused == ()


def test_a_valid_key_is_withdrawn_first(world: World, anna: Person) -> None:
    plant(world, anna)
    plant_shared(world, anna)
    files = world.known.files
    files.put_bytes(
        "gateway/keys.json",
        files.read_bytes("gateway/keys.json").replace(b'"2026-11-03T12:00:00Z","secrets"', b'null,"secrets"'),
    )
    assert "c500 keys revoke" in make_plan(world, person(anna)).refused[0]


def test_an_erasure_leaves_a_record_that_names_nobody(world: World, anna: Person) -> None:
    plant(world, anna)
    erased(world, person(anna))
    (record,) = erased_before(world, ALIAS)
    assert anna.name not in record.model_dump_json()
    assert list(world.known.files.list("personal-data/plans/")) == []


def test_secrets_are_not_exported(world: World, anna: Person, tmp_path: Path) -> None:
    plant(world, anna)
    secret = "sk-proj-" + "a1B2" * 12
    world.known.files.put_bytes(f"jobs/{anna.job}/notes.json", json.dumps({"api_key": secret, "n": 1}).encode())
    made = export(world, person(anna), tmp_path / "a.zip", default_redactor())
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        told = json.loads(archive.read(f"jobs/jobs/{anna.job}/notes.json"))
    assert told["n"] == 1
    assert "REDACTED" in told["api_key"]
    assert next(one for one in made.files if one.path.endswith("notes.json")).redacted
    with pytest.raises(Conflict):
        export(world, person(anna), tmp_path / "a.zip", default_redactor())
