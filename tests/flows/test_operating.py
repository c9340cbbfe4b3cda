"""What is around every operations flow: how a run ended is in the audit, however it ended."""

import asyncio

import pytest
from prefect import flow

from blocks.audit.places import open_audit
from blocks.errors import EngineFailed, Stopped
from blocks.redact import default_redactor
from blocks.settings import settings
from flows.operating import operating
from tasks.ops.options import OperationsOptions


@flow(persist_result=False)
async def failing(error: str, run_id: str) -> None:
    """Fail in a way."""
    async with operating("failing", OperationsOptions(run_id=run_id, profile="staging")):
        match error:
            case "typed":
                raise EngineFailed("the disk is gone", fix="put it back")
            case "untyped":
                raise ZeroDivisionError("hidden")
            case "stopped":
                raise Stopped("ann stopped it", fix="clear the switch")
            case "cancelled":
                raise asyncio.CancelledError
            case _:
                pass


@pytest.mark.parametrize(
    ("error", "outcome", "why"),
    [
        ("", "completed", None),
        ("typed", "failed", "ENGINE_FAILED: the disk is gone"),
        ("untyped", "failed", "ZeroDivisionError"),
        ("stopped", "stopped", "ann stopped it"),
        ("cancelled", "stopped", "it was cancelled"),
    ],
)
async def test_the_audit_has_the_end_of_each_run(prefect_api: str, error: str, outcome: str, why: str | None) -> None:
    run_id = f"run-{error or 'well'}"
    if error:
        with pytest.raises((EngineFailed, ZeroDivisionError, Stopped, asyncio.CancelledError)):
            await failing(error, run_id)
    else:
        await failing(error, run_id)
    entries = [record.entry for record in open_audit(settings().agents_home, default_redactor()).read(run_id)]
    assert [one.phase for one in entries] == ["run_started", "run_ended"]
    assert (entries[1].outcome, entries[1].reasoning) == (outcome, why)
