"""Disks, databases, sessions and GPUs of a machine."""

import sqlite3
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prometheus_client.metrics_core import Metric as Family

from blocks.iiagent.books import note_session
from blocks.iiagent.state import sessions_folder
from blocks.settings import settings
from blocks.store import open_store
from deployments.gateway.llm import LivePool
from deployments.gateway.metrics.machine import database_families, gpu_families, session_families, store_families
from tests.processes import free_port


def told(families: object) -> dict[tuple[str, ...], float]:
    """What is told: names and label values."""
    found: list[Family] = list(families or ())  # type: ignore[call-overload]
    return {(one.name, *one.labels.values()): one.value for family in found for one in family.samples}


def test_the_disks_of_the_settings_are_told_once_each() -> None:
    found = told(store_families(open_store()))
    places = [key for key in found if key[0] == "c500_store_disk_used_ratio"]
    assert len(places) == 1  # in tests all folders are on one disk
    assert all(0 < found[place] <= 1 for place in places)
    assert found["c500_store_disk_free_bytes", places[0][1]] < found["c500_store_disk_size_bytes", places[0][1]]


def test_a_wrong_cleanup_file_hides_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cleanup.yaml").write_text("nonsense: true\n")
    monkeypatch.setenv("CLEANUP_FILE", str(tmp_path / "cleanup.yaml"))
    settings.cache_clear()
    assert any(key[0] == "c500_store_disk_used_ratio" for key in told(store_families(open_store())))


async def test_databases_in_files_have_sizes_and_answer_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlite3.connect(tmp_path / "books.db") as database:
        database.execute("CREATE TABLE t (n)")
    (tmp_path / "limits.db").write_bytes(b"no database, though it is a file" * 100)
    found = told(await database_families(LivePool(tmp_path / "none.yaml")))
    assert found["c500_database_reachable", "books"] == 1
    assert found["c500_database_reachable", "limits"] == found["c500_database_up",] == 0
    assert found["c500_database_size_bytes", "limits"] == 3200
    assert not any("prefect" in key for key in found)  # it was never made
    monkeypatch.setenv("LIMITER_URL", f"redis://127.0.0.1:{free_port()}/0")
    settings.cache_clear()
    found = told(await database_families(LivePool(tmp_path / "none.yaml")))
    assert (found["c500_database_reachable", "redis"], found["c500_database_up",]) == (0, 0)


async def test_a_redis_that_answers_is_reachable(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMITER_URL", redis_url)
    settings.cache_clear()
    assert told(await database_families(LivePool(tmp_path / "none.yaml")))["c500_database_reachable", "redis"] == 1


def test_sessions_are_told_by_status_and_server_and_never_by_name() -> None:
    assert session_families() is None
    for name, content in (("one", '{"status": "IDLE"}'), ("two", '{"status": "IDLE"}'), ("three", "[1]")):
        folder = sessions_folder() / name
        folder.mkdir(parents=True)
        (folder / "session.json").write_text(content)
    for number in range(3):
        note_session("big", f"0000-{number}")
    assert told(session_families()) == {
        ("c500_session_stored", "IDLE"): 2,
        ("c500_session_stored", "damaged"): 1,
        ("c500_session_opened", "big"): 3,
    }


@pytest.mark.usefixtures("prefect_api")
async def test_a_gpu_that_runs_may_hold_is_told_where_this_machine_has_none() -> None:
    async with get_client() as client:
        await client.upsert_global_concurrency_limit_by_name("gpu-63", limit=1)
        found = told(await gpu_families(client))
        await client.delete_global_concurrency_limit_by_name("gpu-63")
    assert found["c500_gpu_held", "63"] == 0
