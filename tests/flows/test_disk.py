"""Healing disks as a flow: report in the store, escalation, and on again."""

import asyncio
from pathlib import Path

import pytest

from blocks.errors import BadInput, Conflict
from blocks.store import open_store
from flows.disk import heal_disk
from tasks.ops.disk.report import HealReport
from tasks.ops.options import OperationsOptions
from tests.tasks.ops.disk.conftest import MB, disk, fill

__all__ = ["disk"]

OPTIONS = OperationsOptions(user="ann", profile="staging", run_id="heal-1")


def rules_of(folder: Path, disk: Path) -> Path:
    path = folder / "rules.yaml"
    path.write_text(
        f"filesystems: ['{disk}']\nthreshold_percent: 65\nactions:\n"
        f"  - {{name: cache, place: '{disk}', argv: [find, '{disk}/cache', -type, f, -delete]}}\n"
    )
    return path


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Subjects of what operators get."""
    found: list[str] = []

    async def post(subject: str, _: str) -> None:
        found.append(subject)

    monkeypatch.setattr("flows.disk.post", post)
    return found


@pytest.mark.usefixtures("prefect_api")
async def test_a_disk_is_healed_or_escalated(disk: Path, tmp_path: Path, messages: list[str]) -> None:
    fill(disk / "cache/a", 20 * MB), fill(disk / "work/b", 20 * MB)
    rules = str(rules_of(tmp_path, disk))
    dry = OPTIONS.model_copy(update={"run_id": "dry-1", "dry_run": True})
    report = await asyncio.to_thread(asyncio.run, heal_disk(rules, dry))
    assert report.disks[0].status == "planned" and not messages and (disk / "cache/a").exists()

    report = await asyncio.to_thread(asyncio.run, heal_disk(rules, OPTIONS))
    assert report.ok and report.disks[0].status == "healed" and not (disk / "cache/a").exists()
    kept = open_store().read_bytes("operations/disks/heal-1/report.json")
    assert HealReport.model_validate_json(kept) == report

    again = await asyncio.to_thread(asyncio.run, heal_disk(rules, OPTIONS))
    assert [one.steps for one in again.disks] == [one.steps for one in report.disks]

    fill(disk / "work/c", 20 * MB)
    options = OPTIONS.model_copy(update={"run_id": "heal-2"})
    report = await asyncio.to_thread(asyncio.run, heal_disk(rules, options))
    assert not report.ok and "need a person" in messages[-1] and (disk / "work/c").exists()


@pytest.mark.usefixtures("prefect_api")
async def test_wrong_rules_are_told_before_anything_is_done(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("actions: []\n")
    with pytest.raises(BadInput) as caught:
        await asyncio.to_thread(asyncio.run, heal_disk(str(path), OPTIONS))
    assert caught.value.details["field"] == "rules" and "docs/operations/disk.md" in caught.value.fix


@pytest.mark.usefixtures("prefect_api", "messages")
async def test_a_run_goes_on_with_the_rules_that_it_began_with(tmp_path: Path) -> None:
    begun, other = tmp_path / "rules.yaml", tmp_path / "other.yaml"
    text = "filesystems: ['{}']\nthreshold_percent: 100\nactions: [{{name: a, place: /, argv: ['true']}}]\n"
    begun.write_text(text.format(tmp_path))
    other.write_text(text.format("/no/such/place"))
    first = await heal_disk(str(begun), OPTIONS)
    again = await heal_disk("", OPTIONS)
    assert again == first and again.rules == str(begun)
    for dry_run in (False, True):
        with pytest.raises(Conflict, match=r"rules\.yaml, and not"):
            await heal_disk(str(other), OPTIONS.model_copy(update={"dry_run": dry_run}))
    await heal_disk("", OPTIONS.model_copy(update={"dry_run": True}))
    kept = open_store().read_bytes("operations/disks/heal-1/report.json")
    assert HealReport.model_validate_json(kept) == first
