"""What came of work over many rows: the same few figures of swarms, batches of prompts, fleets and tasks of agents.

Each keeps them in the store when it ends, also when it ended early; audits and reports of operations read them there.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

import structlog
from pydantic import AwareDatetime, Field, ValidationError

from blocks.errors import NotFound, StoreFailed
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.store import open_store
from blocks.store.files import Files

Kind = Literal["swarm", "batch of prompts", "fleet", "agent task"]

FOLDERS: dict[Kind, str] = {
    "swarm": "swarms",
    "batch of prompts": "batch-prompts",
    "fleet": "fleets",
    "agent task": "agent-tasks",
}
"""Where the reports of each kind lie in the store. A new kind is a row here, and one in the inventory of places."""

log = structlog.stdlib.get_logger("c500")


class RowsReport(Frozen):
    """What came of work over many rows; stored as `<folder of its kind>/<report_id>/report.json`.

    It has no words of rows and no paths, only figures and ids.

    Attributes:
        kind: What it is.
        report_id: Names it: the id of the swarm, plan, fleet or task.
        names: Ids under which books, servers and Prefect know it, by which its data is found.
        rows: That went in, or jobs.
        out: Those that came out, done now or before.
        failed: Those that failed, with a reason, or wait for a person.
        left: Those that are still to do.
        missing: Those that should have come out, and are not there as they should be.
        outcome: How it ended, in a few words.
        cost_usd: Of this run; None where nobody knows.
        seconds: How long this run took.
        finished_at: When it ended.
    """

    kind: Kind
    report_id: str
    names: tuple[str, ...] = ()
    rows: int = Field(ge=0)
    out: int = Field(ge=0)
    failed: int = Field(default=0, ge=0)
    left: int = Field(default=0, ge=0)
    missing: int = Field(default=0, ge=0)
    outcome: str = ""
    cost_usd: float | None = None
    seconds: float = 0.0
    finished_at: AwareDatetime

    @property
    def lost(self) -> int:
        """Rows of which it does not say that they came out, failed or are left."""
        return self.rows - self.out - self.failed - self.left

    @property
    def key(self) -> str:
        """Where it lies in the store."""
        return f"{FOLDERS[self.kind]}/{self.report_id}/report.json"


async def keep_rows(report: RowsReport) -> None:
    """Put a report into the store, in place of that of an earlier run; without it the work is done all the same."""
    try:
        content = report.model_dump_json(indent=1).encode()
        await in_thread(lambda: open_store().put_bytes(report.key, content, "application/json"))
    except StoreFailed as error:
        log.warning("rows_report_not_kept", key=report.key, error=error.message)


def rows_reports(files: Files, since: datetime) -> Iterator[tuple[str, RowsReport | ValidationError]]:
    """The reports that were written since then, by their keys; the fault of one that is damaged.

    Raises:
        StoreFailed: the store cannot be read.
    """
    for folder in FOLDERS.values():
        for key, written_at in files.list_modified(f"{folder}/"):
            if key.count("/") != 2 or not key.endswith("/report.json") or written_at < since:
                continue
            try:
                yield key, RowsReport.model_validate_json(files.read_bytes(key))
            except NotFound:  # it went while we look
                continue
            except ValidationError as error:
                yield key, error
