"""The head of the audit log is put down, and a log that was tampered with is told."""

import shutil

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from blocks.audit import Anchors, AuditBroken, AuditLog, open_key
from blocks.audit.entry import BEGINNING
from blocks.audit.places import AuditPlaces
from blocks.redact import Redactor
from blocks.settings import settings
from flows.audit import ARTIFACT, anchor_audit
from tests.blocks.audit.audits import entry


@pytest.fixture
def places() -> AuditPlaces:
    """An audit with two records."""
    places = AuditPlaces(settings().agents_home)
    log = AuditLog(places.folder, open_key(places.key), Redactor())
    log.append(entry(1))
    log.append(entry(2))
    return places


async def pages() -> list[str]:
    """What the artifacts say, the newest first."""
    async with get_client() as client:
        found = await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[ARTIFACT])))
    return [str(artifact.data) for artifact in sorted(found, key=lambda one: str(one.created), reverse=True)]


async def test_the_head_is_put_down_in_prefect_and_beside_the_log(prefect_api: str, places: AuditPlaces) -> None:
    head = await anchor_audit()
    assert head.seq == 2
    assert Anchors(places.anchors).read() == (head,)
    assert f"`{head}`" in (await pages())[0]
    assert head.hash in (settings().log_dir / "c500.jsonl").read_text()


async def test_a_log_that_was_cut_fails_the_run_and_keeps_the_anchor(prefect_api: str, places: AuditPlaces) -> None:
    head = await anchor_audit()
    (path,) = places.folder.glob("*.jsonl")
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(AuditBroken, match="the log ends with record 1, and has had record 2"):
        await anchor_audit()
    assert Anchors(places.anchors).read() == (head,)
    assert "1 records, 1 fault" in (await pages())[0]


async def test_a_log_that_is_gone_as_a_whole_fails_the_run(prefect_api: str, places: AuditPlaces) -> None:
    await anchor_audit()
    shutil.rmtree(places.folder)
    with pytest.raises(AuditBroken, match="has had record 2"):
        await anchor_audit()


async def test_before_the_first_agent_there_is_nothing_to_put_down(prefect_api: str) -> None:
    assert await anchor_audit() == BEGINNING
    assert not settings().agents_home.exists()
