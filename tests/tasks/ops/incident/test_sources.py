"""The sources of context: facts with ids of their own, gaps that say what is missing, nothing that holds them up."""

import asyncio
import fcntl
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from blocks.progress import in_thread
from blocks.settings import settings
from blocks.store import open_store
from tasks.ops.cases.case import CaseFacts, case_of
from tasks.ops.cases.library import open_library
from tasks.ops.incident import changes as source_of_changes
from tasks.ops.incident.changes import records_since
from tasks.ops.incident.context import MOST_FACTS, Finds, gather
from tasks.ops.incident.respond import context_for
from tasks.ops.incident.services import services_or_why
from tests.flows.incidents import World, broken_world
from tests.tasks.ops.conftest import MakePerformer
from tests.tasks.ops.incident.test_briefing import gaps, scene_of

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with broken_world(tmp_path, monkeypatch.setenv, metrics=False) as made:
        yield made


def finds() -> Finds:
    return Finds("logs", lambda text: text)


async def test_facts_that_threads_find_at_once_have_ids_of_their_own() -> None:
    both = threading.Barrier(2)

    def meeting(text: str) -> str:
        if text == "title":  # both are in the middle of it
            both.wait()
        return text

    found = Finds("logs", meeting)
    await asyncio.gather(*(in_thread(found.fact, "log_lines", "title") for _ in range(2)))
    assert [one.fact_id for one in found.facts] == ["logs-1", "logs-2"]


async def test_things_of_the_same_name_are_looked_at_without_harm() -> None:
    found, first_is_done = finds(), asyncio.Event()

    async def first() -> None:
        first_is_done.set()

    async def second() -> None:
        await first_is_done.wait()
        found.fact("log_lines", "second")

    async def hanging() -> None:
        await asyncio.Event().wait()

    await asyncio.gather(found.look("app", first()), found.look("app", second()))
    assert ([one.title for one in found.facts], found.gaps, found.waiting) == (["second"], [], [])

    async def source(finds: Finds) -> None:
        await asyncio.gather(finds.look("app", first()), finds.look("app", hanging()), finds.look("app", hanging()))

    context = await gather({"logs": source}, source_s=0.1, clean=str, now=lambda: NOW)
    assert context.gaps == (("logs", "app: no answer within 0.1 s"),)


def test_facts_that_are_too_many_are_a_gap() -> None:
    found = finds()
    for number in range(MOST_FACTS + 3):
        found.fact("log_lines", str(number))
    assert len(found.facts) == MOST_FACTS
    [why] = found.gaps
    assert str(MOST_FACTS) in why


async def test_two_repositories_of_one_path_are_both_read(world: World, make_performer: MakePerformer) -> None:
    path = str(world.folder / "repo")
    world.checkout["repositories"] = [{"path": path}, {"path": path, "paths": ["nothing"]}]
    world.write()
    context = await context_for(scene_of(world, make_performer))
    assert "changes" not in gaps(context)
    assert len(context.of("commit")) == 1


async def test_an_index_that_another_process_holds_is_a_gap_and_stops_no_clock(
    world: World, make_performer: MakePerformer
) -> None:
    folder = settings().agents_home / "cases"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    world.services["source_s"] = 1.0
    world.write()
    held = os.open(folder / "index.db.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(held, fcntl.LOCK_EX)
    working = asyncio.create_task(context_for(scene_of(world, make_performer)))
    # A thread that gives the lock back at the end: without the mend nothing of this loop would run to do it.
    rescue = threading.Timer(60, os.close, (held,))
    rescue.start()
    context = await working
    assert rescue.is_alive()
    rescue.cancel()
    os.close(held)
    assert gaps(context)["similar"] == "no answer within 1 s"


async def test_a_case_that_a_person_dated_without_a_zone_hides_no_other(
    world: World, make_performer: MakePerformer
) -> None:
    facts = {"title": "checkout answers with errors", "services": ["checkout"], "began_at": "2026-01-01"}
    library = open_library()
    library.put(
        case_of(
            CaseFacts.model_validate(facts),
            added_at=NOW,
            added_by="ann",
            redactor=make_performer(flow="respond-to-incident").redactor,
        )
    )
    library.close()
    context = await context_for(scene_of(world, make_performer))
    assert "similar" not in gaps(context)
    assert len(context.of("case")) == 2


def test_many_incidents_hide_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    files = open_store()
    monkeypatch.setattr(source_of_changes, "MOST_RECORDS", 3)
    for number in range(5):
        files.put_bytes(f"operations/incidents/inc-{number}/manifest.json", b"{}")
        files.put_bytes(f"operations/capacity/run-{number}/report.json", b"{}")
    files.put_bytes("operations/services/checkout/manifest.json", b"{}")
    found, left_out = records_since(files, NOW - DAY, NOW + DAY)
    assert ([key for _, key, _ in found], left_out) == (["operations/services/checkout/manifest.json"], 0)
    for number in range(4):
        files.put_bytes(f"operations/maintenance/run-{number}/report.json", b"{}")
    assert records_since(files, NOW - DAY, NOW + DAY)[1] == 2


def test_a_services_file_that_nobody_may_look_at_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, **options: object) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", refused)  # the tests' user may be root, whom no folder refuses
    services, why = services_or_why(tmp_path / "services.yaml")
    assert services.services == {} and "Permission denied" in why
