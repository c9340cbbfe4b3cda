"""What the service does for jobs whose process, worker or machine went away."""

from uuid import UUID

from prefect import flow
from prefect.runtime import flow_run

from tasks.jobs.recover import Recovery, find_lost_runs, recover_run
from tasks.jobs.uploads import sweep_uploads_step

LONGEST_S = 1800
"""Seconds after which a flow is ended that waits for a store or a server; the next one goes on."""


def run_name() -> str:
    """Says which run it is about."""
    about = flow_run.parameters.get("flow_run_id")
    return f"of {about}" if about else "of all"


@flow(name="retry-crashed", flow_run_name=run_name, persist_result=False, timeout_seconds=LONGEST_S)
async def retry_crashed(flow_run_id: UUID | None = None) -> dict[str, Recovery]:
    """Run a crashed job again from the steps it finished; give it up after MAX_CRASH_RETRIES.

    An automation starts it for each job that crashes. A job is never started twice for one crash, however often and
    wherever this runs.

    Args:
        flow_run_id: The job's flow run; None for all that are lost.

    Returns:
        What was done, by flow run.
    """
    lost = [flow_run_id] if flow_run_id else await find_lost_runs()
    return {str(run_id): await recover_run(run_id) for run_id in lost}


@flow(name="recover-runs", persist_result=False, timeout_seconds=LONGEST_S)
async def recover_runs() -> dict[str, Recovery]:
    """Find jobs that crashed unseen, were taken by a worker that died or went silent, and run them again.

    The net below the automations, on a schedule: events can be lost with a server, states cannot.

    Returns:
        What was done, by flow run.
    """
    return {str(run_id): await recover_run(run_id) for run_id in await find_lost_runs()}


@flow(name="sweep-uploads", persist_result=False, timeout_seconds=LONGEST_S)
async def sweep_uploads() -> list[str]:
    """Remove uploads that no job needs any more: of finished jobs, and those that never became a job.

    Returns:
        The keys removed.
    """
    return await sweep_uploads_step()
