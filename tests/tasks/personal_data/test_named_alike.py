"""Whose something is: not what others have named alike, and all that was made of theirs, whatever it is called."""

import gzip
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.states import Completed, Running

from blocks.accounts.books import insert
from blocks.accounts.forget import sessions_of
from blocks.errors import Conflict, NotAllowed, NotFound, StoreFailed
from blocks.redact import default_redactor
from blocks.runs.record import JOB_ID
from blocks.subjects import Subject
from tasks.personal_data import export as exporting
from tasks.personal_data.erase import checked_plan, erase
from tasks.personal_data.export import export
from tasks.personal_data.holder import World
from tasks.personal_data.plan import Plan, keep_plan, make_plan, read_plan
from tests.tasks.personal_data.planted import Person, a_call, a_flow, plant

ALIAS = "f" * 32


def person(one: Person) -> Subject:
    return Subject(kind="person", id=one.name)


def job(job_id: str) -> Subject:
    return Subject(kind="job", id=job_id)


def planned(world: World, subject: Subject) -> Plan:
    return keep_plan(world.known.files, make_plan(world, subject))


def erased(world: World, subject: Subject) -> None:
    erase(world, checked_plan(world, planned(world, subject).plan_id), ALIAS)


def test_what_others_named_alike_stays(world: World, anna: Person, bob: Person) -> None:
    plant(world, anna)
    files, talk = world.known.files, json.dumps({"user": bob.name, "runs": []}).encode()
    kept = [f"agents/sessions/{name}.json" for name in (anna.name, f"{anna.session}-2", f"{anna.session}.v2")]
    kept += [f"sessions/{anna.name}/files/a.txt", f".trash/20261103T000000Z.audio.x/jobs/{anna.name}/audio.wav"]
    for key in kept:
        files.put_bytes(key, talk)
    folders = [world.home / "workspaces" / name for name in (anna.name, f"{anna.session}.v2")]
    for folder in folders:
        folder.mkdir(parents=True)
    erased(world, person(anna))
    assert [key for key in kept if files.exists(key)] == kept
    assert all(folder.exists() for folder in folders)


def test_a_name_is_a_word_where_nobody_is_named(world: World, anna: Person) -> None:
    plant(world, anna)
    kept = {
        "evaluations/scores/0a.json": {"job_id": "0" * 16, "fields": {"speaker": anna.name}},
        "quality/history/jobs.json": [{"job_id": "0" * 16, "language": anna.name}],
    }
    for key, record in kept.items():
        world.known.files.put_bytes(key, json.dumps(record).encode())
    erased(world, person(anna))
    assert {key: json.loads(world.known.files.read_bytes(key)) for key in kept} == kept


@pytest.mark.parametrize(
    "name", ["downloads", "leases", "fleets", "jobs", "workspaces", "trash", "../..", "*", "ä" * 200]
)
def test_the_name_of_a_folder_of_all_is_nobodys(world: World, anna: Person, name: str) -> None:
    plant(world, anna)
    (world.home / "sessions" / "leases").mkdir(parents=True, exist_ok=True)
    (world.home / "sessions" / "fleets" / "f1").mkdir(parents=True)
    assert make_plan(world, job(name)).items == ()
    assert make_plan(world, Subject(kind="person", id=name)).items == ()


def test_a_client_of_another_spelling_is_somebody_else(world: World, anna: Person) -> None:
    other = anna.name.upper()
    with world.known.books.begin() as connection:
        insert(connection, [replace(a_call(anna), user="key", session=f"key:{one}") for one in (anna.name, other)])
    assert sessions_of(world.known.books, (anna.name,), anna.name) == {f"key:{anna.name}"}


def test_pages_go_with_the_figures_they_were_made_of(world: World, anna: Person, bob: Person, tmp_path: Path) -> None:
    files = world.known.files
    scores = [{"case": one.name[:4], "job_id": one.job, "diff": [one.mark]} for one in (anna, bob)]
    files.put_bytes("evaluations/e1/evaluation.json", json.dumps({"candidate": {"scores": scores}}).encode())
    files.put_bytes("evaluations/e1/report.html", f"<p>{anna.mark} {bob.mark}".encode())
    rows = [["user " + anna.name, 1.5], [bob.name, 2.5]]
    files.put_bytes("reports/day/2026-11-03/report.json", json.dumps({"tables": [{"rows": rows}]}).encode())
    files.put_bytes("reports/day/2026-11-03/report.md", f"| {anna.name} | {bob.name} |".encode())
    files.put_bytes("reports/day/2026-11-04/report.md", bob.mark.encode())
    plant_runs(world, anna)
    export(world, person(anna), tmp_path / "a.zip", default_redactor())
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert not any(bob.mark.encode() in archive.read(name) for name in archive.namelist())
    erased(world, person(anna))
    left = {key for key in files.list() if key.startswith(("evaluations/", "reports/"))}
    assert left == {
        "evaluations/e1/evaluation.json",
        "reports/day/2026-11-03/report.json",
        "reports/day/2026-11-04/report.md",
    }
    assert json.loads(files.read_bytes("evaluations/e1/evaluation.json"))["candidate"]["scores"] == scores[1:]
    assert json.loads(files.read_bytes("reports/day/2026-11-03/report.json"))["tables"][0]["rows"] == rows[1:]


def plant_runs(world: World, one: Person) -> None:
    """A job of theirs that only Prefect knows."""
    run = world.known.client.create_flow_run(a_flow(), parameters={"user": one.name}, state=Completed())
    world.known.client.update_flow_run_labels(run.id, {JOB_ID: one.job})


def test_a_conversation_goes_with_its_runs(world: World, anna: Person, bob: Person) -> None:
    plant(world, anna)
    plant(world, bob)
    erased(world, job(anna.session))
    files = world.known.files
    assert not files.exists(f"agents/runs/{anna.run}/messages.json")
    assert files.exists(f"agents/runs/{bob.run}/messages.json")


def test_plans_that_name_what_is_gone_go_too(world: World, anna: Person, bob: Person) -> None:
    plant(world, anna)
    plant(world, bob)
    files = world.known.files
    of_job, of_bob = planned(world, job(anna.job)), planned(world, person(bob))
    erased(world, person(anna))
    with pytest.raises(NotFound):
        read_plan(files, of_job.plan_id)
    assert read_plan(files, of_bob.plan_id) == of_bob


def test_an_erasure_is_not_gone_on_with_while_the_job_is_processed_again(world: World, anna: Person) -> None:
    plant(world, anna)
    plan = make_plan(world, job(anna.job))
    keep_plan(world.known.files, plan.model_copy(update={"state": "begun"}))
    run = world.known.client.create_flow_run(a_flow(), parameters={}, state=Running())
    world.known.client.update_flow_run_labels(run.id, {JOB_ID: anna.job})
    try:
        with pytest.raises(NotAllowed, match="at work"):
            checked_plan(world, plan.plan_id)
    finally:  # other tests look for work in hand on the same server
        world.known.client.set_flow_run_state(run.id, Completed(), force=True)


async def test_what_came_while_a_person_was_asked_is_not_erased(world: World, anna: Person) -> None:
    from blocks.progress import in_thread
    from flows.personal_data import _erased  # pyright: ignore[reportPrivateUsage]

    await in_thread(plant, world, anna)
    plan = await in_thread(planned, world, job(anna.job))
    world.known.files.put_bytes(f"jobs/{anna.job}/later.json", b"{}")

    async def go_on() -> None: ...

    performer: Any = SimpleNamespace(check_stopped=go_on)
    with pytest.raises(Conflict):
        await _erased(performer, plan, ALIAS)
    assert world.known.files.exists(f"jobs/{anna.job}/result.json")


def test_a_long_recording_without_a_known_ending_is_exported(
    world: World, anna: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "LONGEST_TEXT", 1000)
    recording = b"RIFF\0\0" * 1000
    world.known.files.put_bytes(f"jobs/{anna.job}/source.mkv", recording)
    export(world, job(anna.job), tmp_path / "a.zip", default_redactor())
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.read(f"jobs/jobs/{anna.job}/source.mkv") == recording
    world.known.files.put_bytes(f"jobs/{anna.job}/long.txt", b"text" * 1000)
    with pytest.raises(StoreFailed, match="too long"):
        export(world, job(anna.job), tmp_path / "b.zip", default_redactor())


def test_names_in_an_archive_lead_nowhere_on_any_system(world: World, anna: Person, tmp_path: Path) -> None:
    folder = world.home / "workspaces" / anna.session
    folder.mkdir(parents=True)
    for name in ("..\\..\\evil.txt", "C:evil.txt", "a\nb.txt"):
        (folder / name).write_text("x")
    export(world, job(anna.session), tmp_path / "a.zip", default_redactor())
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        names = [name for name in archive.namelist() if "workspaces" in name]
    assert len(names) == 3
    assert not any(set(name) & set("\\:\n") for name in names)


def test_a_log_that_cannot_be_read_is_told_and_not_passed_over(world: World, anna: Person) -> None:
    world.logs.mkdir(parents=True, exist_ok=True)
    whole = gzip.compress(json.dumps({"job_id": anna.job}).encode() * 1000)
    (world.logs / "old.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreFailed, match=r"old\.jsonl\.gz"):
        make_plan(world, job(anna.job))
    (world.logs / "old.jsonl.gz").write_bytes(whole[:20] + b"\xff" * 20 + whole[40:])
    with pytest.raises(StoreFailed, match=r"old\.jsonl\.gz"):
        make_plan(world, job(anna.job))
