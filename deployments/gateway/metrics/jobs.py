"""What came of jobs: the results that come into the store, whoever made them, each read once."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from prometheus_client.metrics_core import Metric as Family
from pydantic import ValidationError

from blocks.errors import NotFound
from blocks.job import JobResult, job_folder
from blocks.progress import in_thread
from blocks.store.files import Files
from blocks.store.local import LocalFiles
from deployments.gateway.metrics.families import Counts, gauge_family
from deployments.gateway.metrics.table import TABLE

RESULT = "result.json"
FELL_BACK = "engine_fell_back"
"""The notice that there is an alert for, which does not see a count whose series begins with it."""

FROM_STORE = tuple(
    name
    for name, metric in TABLE.items()
    if metric.part == "job" and metric.kind != "gauge" and name != "c500_job_submissions_total"
)


class JobLook:
    """Follows the results in a store from its first look on: of those that are there then it counts how many.

    Args:
        files: The store.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._known: set[str] | None = None
        self._counts = Counts(FROM_STORE)
        for status in ("complete", "partial", "no_speech"):
            self._counts.count("c500_job_results_total", status, by=0)
        self._counts.count("c500_job_unreadable_total", by=0)
        self._counts.count("c500_job_notices_total", FELL_BACK, by=0)

    async def read(self) -> Sequence[Family]:
        """What there is now. Raises `StoreFailed`."""
        stored = await in_thread(self._follow)
        return [*self._counts.families(), gauge_family("c500_job_stored", stored)]

    def _follow(self) -> int:
        """Read the results that are new; how many there are."""
        known = self._known
        there = set(job_ids(self._files, known or set()))
        if known is not None:
            for job_id in there - known:
                self._count(job_id)
                known.add(job_id)  # now: the store may go away before the next one
        self._known = there
        return len(there)

    def _count(self, job_id: str) -> None:
        try:
            result = JobResult.model_validate_json(self._files.read_bytes(f"{job_folder(job_id)}/{RESULT}"))
        except NotFound:
            return
        except ValidationError:
            self._counts.count("c500_job_unreadable_total")
            return
        count(self._counts, result)


def job_ids(files: Files, known: set[str]) -> Iterator[str]:
    """The jobs that have a result.

    Args:
        files: The store.
        known: Of these it is believed, as long as their folders are there.
    """
    if not isinstance(files, LocalFiles):
        for key in files.list("jobs/"):
            if key.endswith(f"/{RESULT}"):
                yield key.split("/")[1]
        return
    # One system call for many jobs instead of one for each file of each: 10,000 jobs have 100,000.
    try:
        with os.scandir(files.root / "jobs") as jobs:
            names = [job.name for job in jobs]
    except FileNotFoundError:
        return
    for name in names:
        if name in known or Path(files.root, "jobs", name, RESULT).is_file():
            yield name


def count(counts: Counts, result: JobResult) -> None:
    """Count a result."""
    figures, versions = result.metrics, result.versions
    counts.count("c500_job_results_total", result.status)
    for kind in ("speech", "diarisation", "language"):
        if (engine := getattr(versions, kind)) is not None:
            counts.count("c500_job_engines_total", kind, engine.name)
    counts.count("c500_job_audio_seconds_total", by=max(0.0, figures.input_duration_s))
    counts.observe("c500_job_seconds", value=figures.processing_time_s)
    for step, seconds in figures.step_time_s.items():
        counts.observe("c500_job_step_seconds", step, value=seconds or None)
    speech = versions.speech.name if versions.speech else "none"
    counts.observe("c500_job_real_time_ratio", speech, value=figures.rtf)
    counts.observe("c500_job_confidence_ratio", speech, value=figures.asr_confidence_avg)
    counts.observe("c500_job_speech_ratio", value=figures.vad_coverage)
    counts.observe("c500_job_edit_ratio", value=figures.edit_rate_cleaning)
    counts.observe("c500_job_peak_memory_bytes", value=figures.peak_rss_bytes)
    for notice in result.notices:
        counts.count("c500_job_notices_total", notice.code)
    counts.count("c500_job_tokens_total", "prompt", by=figures.prompt_tokens)
    counts.count("c500_job_tokens_total", "completion", by=figures.completion_tokens)
    counts.count("c500_job_cost_usd_total", by=figures.cost_usd or 0.0)
