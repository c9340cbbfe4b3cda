"""Many tasks on II-Agent servers: planned, spread, and gone on with after whatever happened."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import acreate_markdown_artifact
from prefect.runtime import flow_run

from blocks.board import Board
from blocks.iiagent.server import AgentServer, servers
from blocks.progress import in_thread, notice, only_informing, progress
from blocks.redact import default_redactor
from blocks.rows.report import keep_rows
from flows.names import name_of_source, plain
from flows.running import job_run
from tasks.sessions.fleet_books import FleetBooks, JobResult, fleet_id_of, opened_books
from tasks.sessions.fleet_jobs import ReadyJob, ready_jobs
from tasks.sessions.fleet_plan import options_of, plan_of
from tasks.sessions.fleet_report import FleetReport, fleet_markdown, plan_markdown, progress_rows, report_of, rows_of
from tasks.sessions.fleet_run import FleetRun


def name_of_fleet() -> str:
    """The fleet's name, the jobs' file, or how many jobs were given."""
    given: dict[str, Any] = flow_run.parameters
    if given.get("name"):
        return plain(str(given["name"]))
    jobs: Any = given.get("jobs")
    return name_of_source(jobs) if isinstance(jobs, str) else f"{len(jobs or ())} jobs"


@flow(name="agent-fleet", flow_run_name=name_of_fleet, persist_result=False, validate_parameters=False)
async def agent_fleet(
    jobs: str | Sequence[dict[str, Any]],
    n: int | None = None,
    *,
    only_servers: Sequence[str] = (),
    name: str = "",
    duty: float = 1.0,
    requests_per_min: float | None = None,
    mean_turn_s: float = 10.0,
    docker_free_gib: float | None = None,
    start_every_s: float = 0.1,
    quarantine_after: int = 3,
    allow_failures: float = 0.0,
    into: str | None = None,
    again: bool = False,
    dry_run: bool = False,
) -> FleetReport:
    """Run many tasks, as many at once as servers, accounts and this machine can carry.

    What came of each job is kept: after a crash, a kill or failures the same call begins only what is not done.

    Args:
        jobs: Path of a `.yaml` or `.jsonl` file of jobs, or the jobs; see docs/sessions.md.
        n: Sessions at once; more than there can be is refused. None: as many as can.
        only_servers: Names of the servers that take part; empty: all of AGENT_SERVERS_FILE.
        name: Of the fleet, for going on with it; by default the file's path, else the jobs themselves.
        duty: Share of a session's time in which its model or a tool is at work.
        requests_per_min: Of the accounts behind the servers' model keys, all together.
        mean_turn_s: Seconds of one call of a model.
        docker_free_gib: Free memory of each server with Docker sandboxes.
        start_every_s: Between two sessions that begin on one server.
        quarantine_after: Failures in a row after which a server gets no more jobs.
        allow_failures: Share of the jobs that may fail, 0 to 1.
        into: Folder for the files, one in it for each job; None: the store.
        again: Whether jobs that were given up go on with a new allowance.
        dry_run: Only look at all jobs, and plan.

    Returns:
        What came of each job, and the plan.

    Raises:
        BadInput, NotFound, Unsupported: something about the jobs, with all lines; nothing was spent.
        LimitReached: so many at once are not possible; it names the limit.
        Conflict: another process runs this fleet.
        FleetFailed: more jobs failed than may; what is done is kept, and the same call goes on.
    """
    async with job_run(refresh=False):
        began = time.monotonic()
        options = options_of(
            n=n,
            duty=duty,
            requests_per_min=requests_per_min,
            mean_turn_s=mean_turn_s,
            docker_free_gib=docker_free_gib,
            start_every_s=start_every_s,
            quarantine_after=quarantine_after,
            allow_failures=allow_failures,
        )
        places = await in_thread(_servers, only_servers)
        ready = await in_thread(ready_jobs, jobs, places)
        fleet_id = fleet_id_of(jobs, name, ready)
        plan = await in_thread(plan_of, ready, places, options)
        await _show(f"agent-fleet-{fleet_id}-plan", plan_markdown(plan))
        plan.check()
        if dry_run:
            return FleetReport(fleet_id=fleet_id, plan=plan, dry_run=True)
        with opened_books(fleet_id) as books:
            place = None if into is None else Path(into).expanduser().absolute()
            run = FleetRun(plan, places, options, books, place, again)
            kept = await in_thread(_kept, books, ready, place)
            await _work(fleet_id, run, [job for job in ready if job.name not in kept])
            report = report_of(fleet_id, run, ready, kept, time.monotonic() - began)
        await keep_rows(rows_of(report, str(flow_run.id)))
        await _show(f"agent-fleet-{fleet_id}", fleet_markdown(report))
        return report.check(allow_failures)


async def _work(fleet_id: str, run: FleetRun, due: Sequence[ReadyJob]) -> None:
    """Do what is due, and show how far it is."""
    board = Board(f"agent-fleet-{fleet_id}-progress", "what each server does")
    async with progress("agent-fleet") as on_share:

        async def on_end(run: FleetRun) -> None:
            on_share(len(run.results) / max(1, len(due)))
            notice(f"{len(run.results)} of {len(due)} jobs have ended")
            await board.show(progress_rows(run))

        run.on_end = on_end
        await run.work(due)


def _servers(names: Sequence[str]) -> tuple[AgentServer, ...]:
    known = servers()
    return tuple(known.named(name) for name in names) or known.servers


def _kept(books: FleetBooks, jobs: Sequence[ReadyJob], into: Path | None) -> dict[str, JobResult]:
    """Jobs that are done, and whose files are where they are wanted."""
    found = {job.name: (books.find(job), job.collects(into)) for job in jobs}
    return {name: one for name, (one, wanted) in found.items() if one and one.done and one.collects == wanted}


async def _show(key: str, markdown: str) -> None:
    async with only_informing("report"):
        await acreate_markdown_artifact(key=key, markdown=default_redactor().text(markdown))
