"""Capacity as a flow: report and charts in the store, a message where it is urgent."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from blocks.errors import Conflict
from blocks.store import open_store
from flows.capacity import plan_capacity
from tasks.ops.capacity.report import CapacityReport
from tasks.ops.options import OperationsOptions


@pytest.mark.usefixtures("prefect_api")
async def test_a_resource_that_runs_out_soon_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    async def post(subject: str, _: str) -> None:
        told.append(subject)

    monkeypatch.setattr("flows.capacity.post", post)
    begin = datetime.now(UTC) - timedelta(days=59)
    rows = [f"{(begin + timedelta(days=day)).isoformat()},{day + day % 3}" for day in range(60)]
    (tmp_path / "used.csv").write_text("\n".join(["time,value", *rows]) + "\n")
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "resources:\n"
        "  - {name: soon, source: {kind: csv, file: used.csv}, limit: 80}\n"
        "  - {name: never, source: {kind: csv, file: none.csv}, limit: 1}\n"
    )
    options = OperationsOptions(user="ann", profile="staging", run_id="plan-1")
    report = await asyncio.to_thread(asyncio.run, plan_capacity(str(plan), options))
    soon, never = report.outlooks
    assert (soon.level, never.status) == ("warn", "failed") and soon.likely_days == pytest.approx(20, abs=4)
    assert told == ["Capacity: 1 warn, 1 unknown"]
    assert soon.chart is not None and open_store().read_bytes(soon.chart).startswith(b"\x89PNG")
    kept = open_store().read_bytes("operations/capacity/plan-1/report.json")
    assert CapacityReport.model_validate_json(kept) == report


@pytest.mark.usefixtures("prefect_api")
async def test_a_run_is_about_one_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def post(_: str, __: str) -> None:
        """Nobody is told."""

    monkeypatch.setattr("flows.capacity.post", post)
    plans = [tmp_path / name for name in ("a.yaml", "b.yaml")]
    for plan in plans:
        plan.write_text("resources: [{name: a, source: {kind: csv, file: none.csv}, limit: 1}]\n")
    options = OperationsOptions(user="ann", profile="staging", run_id="plan-1")
    await plan_capacity(str(plans[0]), options)
    with pytest.raises(Conflict, match=r"b\.yaml"):
        await plan_capacity(str(plans[1]), options)
