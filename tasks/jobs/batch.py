"""The report of a batch, in the store."""

import csv
import io
from datetime import UTC, datetime

from prefect import task

from blocks.batch import BatchItem, BatchReport
from blocks.content import content_hash
from blocks.job import JobOptions
from blocks.progress import in_thread
from blocks.store import open_store
from blocks.store.files import Files
from tasks.jobs.report import batch_markdown


def batch_report(options: JobOptions, items: list[BatchItem], ignored: list[str], model_loads: int) -> BatchReport:
    """The report of these items; the same sources and options have the same id."""
    batch_id = content_hash([options, [item.source for item in items]])[:16]
    return BatchReport(
        batch_id=batch_id,
        options=options,
        items=tuple(items),
        ignored=tuple(ignored),
        model_loads=model_loads,
        finished_at=datetime.now(UTC),
    )


@task(name="publish-batch")
async def publish_batch_step(report: BatchReport) -> BatchReport:
    """Write `batches/<batch_id>/report.{json,md,csv}`."""
    await in_thread(_write, open_store(), report)
    return report


def _write(files: Files, report: BatchReport) -> None:
    folder = f"batches/{report.batch_id}"
    files.put_bytes(f"{folder}/report.csv", to_csv(report).encode("utf-8-sig"), "text/csv")
    files.put_bytes(f"{folder}/report.md", batch_markdown(report).encode(), "text/markdown")
    files.put_bytes(f"{folder}/report.json", report.model_dump_json(indent=2).encode(), "application/json")


def to_csv(report: BatchReport) -> str:
    """One row a recording; cells that a spreadsheet would take for a formula are quoted with an apostrophe.

    Source: OWASP, CSV Injection.
    """
    stream = io.StringIO()
    writer = csv.writer(stream)
    names = list(BatchItem.model_fields)
    writer.writerow(names)
    for item in report.items:
        writer.writerow([_neutral(getattr(item, name)) for name in names])
    return stream.getvalue()


def _neutral(cell: str | None) -> str:
    return f"'{cell}" if cell and cell[0] in "=+-@\t\r" else cell or ""
