"""The flows that export and erase, on a real Prefect server: rules, approvals, audit."""

import json
import zipfile
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client

from blocks.audit import verify
from blocks.audit.key import read_key
from blocks.audit.log import records
from blocks.errors import Conflict, NotAllowed, NotFound
from blocks.progress import in_thread
from blocks.settings import settings
from blocks.store import open_store
from blocks.subjects import Subject, pseudonym
from flows.personal_data import erase_data, export_data, plan_erasure
from tasks.ops.options import OperationsOptions
from tasks.personal_data.holding import hold
from tests.tasks.personal_data.conftest import anna

__all__ = ["anna"]
from tasks.personal_data.world import open_world
from tests.tasks.personal_data.planted import Person, bytes_with, plant

pytestmark = pytest.mark.usefixtures("prefect_api")

UNATTENDED = OperationsOptions(attended=False, user="ops")


async def planted(anna: Person) -> Subject:
    """Someone with data in every place."""

    def work() -> None:
        with open_world() as world:
            plant(world, anna)

    await in_thread(work)
    return Subject(kind="person", id=anna.name)


async def test_all_of_it_is_exported_then_erased_as_the_plan_shows(anna: Person, tmp_path: Path) -> None:
    subject = await planted(anna)
    archive = tmp_path / "anna.zip"
    exported = await export_data(subject, str(archive), UNATTENDED)
    with zipfile.ZipFile(archive) as opened:
        assert len(opened.namelist()) == exported.files + 1
        assert json.loads(opened.read("index.json"))["subject"] == {"kind": "person", "id": anna.name}
    plan = await plan_erasure(subject)
    report = await erase_data(plan.plan_id, True, UNATTENDED)
    assert report.status == "done"
    with open_world() as world:
        assert bytes_with(world, anna.mark) == []
        assert bytes_with(world, anna.name) == []
    await _nothing_names(anna)
    home = settings().agents_home
    told = [one.entry for one in records(home / "audit") if one.entry.tool == "erase_data"]
    assert {one.phase for one in told} >= {"decided", "started", "done"}
    key = read_key(home / "audit.key")
    assert told[-1].run_id == report.run_id
    assert pseudonym(key, subject) == report.subject
    assert report.subject in {one.arguments["subject"] for one in told if one.arguments}
    assert verify(home / "audit", key).ok
    own = [one.entry.model_dump_json() for one in records(home / "audit") if one.entry.agent == "export-data"]
    assert own
    assert not any(archive.name in one for one in own)


async def test_what_is_refused_says_not_of_whom(anna: Person) -> None:
    subject = await planted(anna)
    await in_thread(hold, open_store(), subject, "case 7", "ops")
    plan = await plan_erasure(subject)
    with pytest.raises(NotAllowed) as caught:  # its words stand in Prefect's state of the run, which stays
        await erase_data(plan.plan_id, True, UNATTENDED)
    assert "legal hold" in str(caught.value)
    assert anna.name not in str(caught.value)


async def _nothing_names(anna: Person) -> None:
    """Neither parameters of flow runs nor artifacts name the person: also not the run of the export."""
    async with get_client() as client:
        runs = await client.read_flow_runs(limit=200)
        artifacts = await client.read_artifacts(limit=200)
    assert not any(anna.name in run.model_dump_json() for run in runs)
    assert not any(anna.name in one.model_dump_json() for one in artifacts)


async def test_without_a_word_of_who_saw_the_plan_a_person_is_asked(anna: Person) -> None:
    plan = await plan_erasure(await planted(anna))
    with pytest.raises(NotAllowed):
        await erase_data(plan.plan_id, False, UNATTENDED)
    assert open_store().exists(f"jobs/{anna.job}/result.json")


async def test_a_dry_run_erases_nothing(anna: Person) -> None:
    plan = await plan_erasure(await planted(anna))
    report = await erase_data(plan.plan_id, True, UNATTENDED.model_copy(update={"dry_run": True}))
    assert (report.status, report.counts) == ("planned", plan.counts)
    assert (await plan_erasure(plan.traces.subject)).plan_id == plan.plan_id


async def test_a_plan_that_is_none_or_is_not_true_any_more_is_refused(anna: Person) -> None:
    with pytest.raises(NotFound):
        await erase_data("0" * 16, True, UNATTENDED)
    plan = await plan_erasure(await planted(anna))
    open_store().put_bytes(f"dispatches/{anna.run}/answer.md", b"more")
    with pytest.raises(Conflict):
        await erase_data(plan.plan_id, True, UNATTENDED)
