"""Logs, gigabytes of them: what is new in them, what spikes, where errors burst."""

from collections.abc import Sequence
from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run

from blocks.progress import progress
from blocks.store import open_store
from flows.names import plain
from flows.operating import operating, show_markdown
from tasks.ops.logs.report import LogReport
from tasks.ops.logs.request import LogOptions
from tasks.ops.options import DEFAULTS, OperationsOptions


def run_name() -> str:
    """The files' names."""
    paths = flow_run.parameters.get("paths") or ["logs"]
    return plain(", ".join(Path(str(path)).name for path in paths))


@flow(name="analyse-logs", flow_run_name=run_name, persist_result=False)
async def analyse_logs(
    paths: Sequence[str], logs: LogOptions | None = None, options: OperationsOptions = DEFAULTS
) -> LogReport:
    """Mine the templates of logs, and tell which are new, which spike, and when errors burst.

    Nothing is changed but what the store keeps: the report, and with a named state how far the files were read.

    Args:
        paths: Log files, plain, `.gz` or `.zst`, in their order of time.
        logs: How they are analysed; None for the defaults.
        options: How the flow is run; a dry run keeps nothing.

    Returns:
        What was found; it lies in the store under `operations/logs/reports/`.

    Raises:
        BadInput, NotFound, NotAllowed, Unsupported: a file cannot be read.
        Conflict: another process goes on with this state.
        Stopped: a switch stops it; the same `run_id` goes on.
    """
    from tasks.ops.logs.analyse import analyse
    from tasks.ops.logs.report import markdown

    async with operating("analyse-logs", options, ", ".join(paths)) as performer, progress("analyse-logs") as on_share:
        report = await analyse(performer, open_store(), [Path(path) for path in paths], logs or LogOptions(), on_share)
        await show_markdown(f"logs-{performer.run_id}", markdown(report), report.summary)
        return report
