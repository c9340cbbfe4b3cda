"""Batches, swarms, fleets and tasks of agents: by the reports that each left in the store."""

from collections.abc import Iterator
from datetime import UTC, datetime

from pydantic import ValidationError

from blocks.errors import NotFound
from blocks.rows.report import RowsReport, rows_reports
from blocks.store.files import Files
from tasks.quality.report.facts import Batch, Batches

BATCHES = "batches/"


def read_batches(files: Files, since: datetime) -> Batches:
    """All that ended since then. Raises `StoreFailed`."""
    found, unread = list[Batch](), list[str]()
    for key, one in (*_recordings(files, since), *rows_reports(files, since)):
        if isinstance(one, RowsReport):
            found.append(
                Batch(
                    kind=one.kind,
                    name=one.report_id,
                    rows=one.rows,
                    failed=one.failed + one.missing,
                    outcome=one.outcome,
                    ended_at=one.finished_at,
                    cost_usd=one.cost_usd,
                )
            )
        elif isinstance(one, Batch):
            found.append(one)
        else:
            unread.append(f"{key} is damaged, or of another version")
    return Batches(batches=tuple(found), unread=tuple(unread))


def _recordings(files: Files, since: datetime) -> Iterator[tuple[str, Batch | ValidationError]]:
    """Batches of recordings."""
    from blocks.batch import BatchReport

    for key, written_at in files.list_modified(BATCHES):
        if not key.endswith("/report.json") or written_at < since:
            continue
        try:
            report = BatchReport.model_validate_json(files.read_bytes(key))
        except NotFound:
            continue
        except ValidationError as error:
            yield key, error
            continue
        at, failed = report.finished_at, report.count("failed")
        yield (
            key,
            Batch(
                kind="batch of recordings",
                name=report.batch_id,
                rows=len(report.items),
                failed=failed,
                outcome="complete" if not failed else "with failures",
                ended_at=at if at.tzinfo else at.replace(tzinfo=UTC),
            ),
        )
