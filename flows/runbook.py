"""A runbook, carried out up to where a person must decide."""

from typing import Any

from prefect import flow

from blocks.hosts import read_inventory
from blocks.settings import settings
from blocks.store import open_store
from flows.operating import operating, show_markdown
from tasks.ops.options import DEFAULTS, OperationsOptions
from tasks.ops.runbook.alert import Alert
from tasks.ops.runbook.begin import begin, carried_out, walking
from tasks.ops.runbook.metric import ask_prometheus
from tasks.ops.runbook.picture import picture
from tasks.ops.runbook.record import RunbookRun

NAME = "run-runbook"


@flow(name=NAME, persist_result=False)
async def run_runbook(
    runbook: str = "",
    given: dict[str, Any] | None = None,
    alert: Alert | None = None,
    options: OperationsOptions = DEFAULTS,
) -> RunbookRun:
    """Carry out a runbook, or go on with a run of one.

    Everything is checked before the first step. A run that was killed is gone on with by the same `options.run_id`: no
    step with an effect is repeated. Each step goes through rules, approvals, the ledger of effects and the audit.

    Args:
        runbook: Its name in RUNBOOKS_DIR, or the path of its file; empty to go on with `options.run_id`.
        given: Values of its parameters.
        alert: What it is about; parameters may come from it.
        options: How it is run.

    Returns:
        How the run ended, step by step; failed steps raise nothing.

    Raises:
        NotFound, BadInput: the runbook, or what it is told, cannot be used; nothing was done.
        Conflict: another process works on the run, or the runbook was changed since it began.
        Stopped: a switch stops it; the same run goes on later.
    """
    chosen, files = settings(), open_store()
    begun = begin(
        runbook,
        given or {},
        alert,
        folder=chosen.runbooks_dir,
        inventory=read_inventory(),
        files=files,
        run_id=options.run_id,
        metrics=chosen.prometheus_url is not None,
    )

    async def show(run: RunbookRun) -> None:
        await show_markdown(f"runbook-{run.run_id}", picture(run, begun.ready), run.runbook)

    async with (
        operating(NAME, options, begun.ready.name) as performer,
        walking(begun, performer, files, ask_prometheus, show) as walk,
    ):
        return await carried_out(walk)
