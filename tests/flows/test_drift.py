"""Drift as flows: found, corrected, taken back."""

import asyncio
from pathlib import Path

import pytest

from blocks.errors import Conflict, NotFound
from blocks.store import open_store
from flows.drift import detect_drift, undo_drift
from tasks.ops.drift.report import DriftReport
from tasks.ops.options import OperationsOptions

OPTIONS = OperationsOptions(user="ann", profile="staging", run_id="drift-1")


@pytest.mark.usefixtures("prefect_api")
async def test_drift_is_found_corrected_and_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    messages: list[str] = []

    async def post(subject: str, _: str) -> None:
        messages.append(subject)

    monkeypatch.setattr("flows.drift.post", post)
    there, declared = tmp_path / "app.conf", tmp_path / "declared.yaml"
    there.write_text("port = 80\n")
    (tmp_path / "wanted.conf").write_text("port = 81\n")
    declared.write_text(
        f"keep: {tmp_path}/kept\n"
        f"targets: [{{name: web, files: [{{path: '{there}', content_from: wanted.conf, correct: true}}]}}]\n"
    )
    dry = OPTIONS.model_copy(update={"run_id": "dry-1", "dry_run": True})
    report = await asyncio.to_thread(asyncio.run, detect_drift(str(declared), dry))
    assert report.found[0].correction == "planned" and there.read_text() == "port = 80\n" and not messages

    looked = OPTIONS.model_copy(update={"run_id": "drift-0"})
    report = await asyncio.to_thread(asyncio.run, detect_drift(str(declared), looked, correct=False))
    assert not report.ok and report.found[0].state == "drifted" and there.read_text() == "port = 80\n"

    report = await asyncio.to_thread(asyncio.run, detect_drift(str(declared), OPTIONS))
    assert report.ok and report.found[0].correction == "done" and there.read_text() == "port = 81\n"
    assert [one.partition(":")[0] for one in messages] == ["drift", "no drift"]
    kept = open_store().read_bytes("operations/drift/drift-1/report.json")
    assert DriftReport.model_validate_json(kept) == report

    undo = OPTIONS.model_copy(update={"run_id": "undo-1"})
    outcomes = await asyncio.to_thread(asyncio.run, undo_drift("drift-1", undo))
    assert [one.status for one in outcomes] == ["done"] and there.read_text() == "port = 80\n"
    with pytest.raises(NotFound):
        await asyncio.to_thread(asyncio.run, undo_drift("drift-0", undo))


@pytest.mark.usefixtures("prefect_api")
async def test_a_run_goes_on_with_its_own_file_only(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.yaml", "b.yaml")]
    for file in files:
        file.write_text("targets: [{name: web, files: [{path: /no/such/file, state: absent}]}]\n")
    report = await detect_drift(str(files[0]), OPTIONS)
    assert await detect_drift(str(files[0]), OPTIONS) == report
    with pytest.raises(Conflict, match=r"b\.yaml"):
        await detect_drift(str(files[1]), OPTIONS)
