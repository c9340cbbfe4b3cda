"""Jobs as Prefect knows them: submitted, read, cancelled and counted without any record of our own."""

from blocks.runs.calls import cancel_run, find_run, read_run, read_runs
from blocks.runs.queue import service_rate, waiting_by_owner
from blocks.runs.record import JOB_TAG, JobRun, RunError, RunStatus, Stage
from blocks.runs.submit import submit_run

__all__ = [
    "JOB_TAG",
    "JobRun",
    "RunError",
    "RunStatus",
    "Stage",
    "cancel_run",
    "find_run",
    "read_run",
    "read_runs",
    "service_rate",
    "submit_run",
    "waiting_by_owner",
]
