"""A run of a runbook from its beginning: read, checked, told what it needs; or taken up where it was left."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blocks.errors import BadInput, Conflict, NotFound
from blocks.hosts import Inventory
from blocks.store.files import Files
from tasks.ops.performer import Performer
from tasks.ops.runbook.alert import Alert
from tasks.ops.runbook.checked import Ready, ready
from tasks.ops.runbook.given import bound
from tasks.ops.runbook.kept import Kept, Show
from tasks.ops.runbook.leaves import Leaves, hosts_of
from tasks.ops.runbook.metric import Query
from tasks.ops.runbook.reading import path_of
from tasks.ops.runbook.record import ENDED, RunbookRun, runbook_runs
from tasks.ops.runbook.run import Walk


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A runbook that can be run, and what it is told.

    Attributes:
        ready: The runbook, checked.
        parameters: Its values.
        inventory: The hosts there are.
        earlier: The run that is gone on with, as it was left.
    """

    ready: Ready
    parameters: dict[str, Any]
    inventory: Inventory
    earlier: RunbookRun | None = None


def begin(
    name: str,
    given: Mapping[str, Any],
    alert: Alert | None,
    *,
    folder: Path,
    inventory: Inventory,
    files: Files,
    run_id: str | None = None,
    metrics: bool = True,
) -> Begun:
    """Check everything that can be checked before the first step.

    Args:
        name: Of the runbook, or its file; empty where a run is gone on with.
        given: What it is told.
        alert: What it is about.
        folder: Where runbooks lie.
        inventory: The hosts there are.
        files: Where runs are kept.
        run_id: Of a run to go on with.
        metrics: Whether there is a Prometheus.

    Raises:
        NotFound, BadInput: the runbook, or what it is told, cannot be used; nothing was done.
        Conflict: the run was begun with another runbook, or the runbook has been changed since.
    """
    earlier = None if run_id is None else runbook_runs(files).find(run_id)
    if earlier is None:
        if not name and run_id is not None:
            raise NotFound(f"there is no run {run_id}", fix="see `c500 runbook list --runs`", field="--resume")
        if not name:
            raise BadInput("which runbook?", fix="name one; `c500 runbook list` shows them", field="runbook")
        book = ready(path_of(folder, name), inventory, metrics=metrics)
        return Begun(ready=book, parameters=bound(book.runbook, given, alert, inventory), inventory=inventory)
    if name and Path(name).stem != earlier.runbook:
        raise Conflict(f"the run {run_id} is one of {earlier.runbook}", fix="begin a new run for another runbook")
    book = ready(Path(earlier.path), inventory, metrics=metrics)
    if earlier.status not in ENDED and book.fingerprint != earlier.fingerprint:
        raise Conflict(
            f"{earlier.runbook} was changed since the run {run_id} began", fix="begin a new run, or bring it back"
        )
    return Begun(ready=book, parameters=earlier.parameters, inventory=inventory, earlier=earlier)


@asynccontextmanager
async def walking(begun: Begun, performer: Performer, files: Files, query: Query, show: Show) -> AsyncGenerator[Walk]:
    """A run in our hands, its hosts open; closed with the block.

    Raises:
        Conflict: another process works on this run.
        StoreFailed: it cannot be written down.
    """
    book = begun.ready.runbook
    first = RunbookRun(
        run_id=performer.run_id,
        runbook=book.name,
        path=str(begun.ready.sources[book.name].path.absolute()),
        fingerprint=begun.ready.fingerprint,
        parameters=begun.parameters,
        timeout_s=book.timeout_s,
        dry_run=performer.dry_run,
    )
    runs = runbook_runs(files)
    async with AsyncExitStack() as stack:
        manifest = nullcontext() if performer.dry_run else runs.held(performer.run_id, first)
        held = stack.enter_context(manifest)
        kept = Kept(first if held is None else held.state, held, show)
        hosts = await stack.enter_async_context(hosts_of(begun.inventory))
        yield Walk(ready=begun.ready, leaves=Leaves(performer=performer, hosts=hosts, kept=kept, query=query))


async def carried_out(walk: Walk) -> RunbookRun:
    """The run at its end; one that had ended already is left as it is. Raises what `Walk.whole` does."""
    state = walk.leaves.kept.state
    return state if state.status in ENDED else await walk.whole()
