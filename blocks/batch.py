"""What came of many recordings."""

from typing import Literal

from pydantic import AwareDatetime

from blocks.job import JobOptions
from blocks.model import Frozen

Outcome = Literal["done", "found", "partial", "no_speech", "failed"]


class BatchItem(Frozen):
    """One recording of a batch.

    Attributes:
        source: Its path or address.
        outcome: `done` now, `found` done before, `partial`, `no_speech`, or `failed`.
        job_id: Its job, None when it failed before it had one.
        code, message, fix: What went wrong, for a failed one.
    """

    source: str
    outcome: Outcome
    job_id: str | None = None
    code: str | None = None
    message: str | None = None
    fix: str | None = None


class BatchReport(Frozen):
    """All recordings of a batch, in the order given; stored as `batches/<batch_id>/report.json`.

    Attributes:
        batch_id: First 16 hex digits of sha256 over the sources and options.
        ignored: Files of the given folders that are no recordings.
        model_loads: How often a model or engine was loaded: one a phase at most.
        erased: How many recordings are no longer in the list, as their data was erased.
    """

    batch_id: str
    options: JobOptions
    items: tuple[BatchItem, ...]
    ignored: tuple[str, ...] = ()
    model_loads: int = 0
    erased: int = 0
    finished_at: AwareDatetime

    def count(self, outcome: Outcome) -> int:
        """How many recordings ended so."""
        return sum(item.outcome == outcome for item in self.items)
