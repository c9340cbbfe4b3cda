"""A fleet never has more sessions than planned, leaves servers that fail, and begins nothing twice."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import BadInput, LimitReached
from blocks.rows.report import RowsReport
from blocks.store import open_store
from flows.agent_fleet import agent_fleet
from tasks.sessions.fleet_books import opened_books
from tasks.sessions.fleet_jobs import ready_jobs
from tasks.sessions.fleet_plan import options_of, plan_of
from tasks.sessions.fleet_report import FleetFailed
from tasks.sessions.fleet_run import FleetRun
from tests.blocks.iiagent.opened import server_at
from tests.fakes.iiagent import FakeServer, iiagent_server
from tests.fakes.iiagent.agent import Run
from tests.fakes.iiagent.scenarios import happy
from tests.fakes.iiagent.steps import Done, Fail, Step, Stop, Wait, Write
from tests.flows.sessioning import PATIENT, ROWS, runner, write_servers
from tests.flows.test_agent_sessions import LOOK, page
from tests.processes import free_port

Serve = Callable[..., None]


@pytest.fixture
def serve(prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Makes the settings, those of child processes too, name servers by their addresses."""
    monkeypatch.setenv("AGENT_SERVERS_FILE", str(tmp_path / "servers.yaml"))

    def write(*urls: str, **fields: Any) -> None:
        write_servers(
            tmp_path / "servers.yaml", {f"s{at}": url for at, url in enumerate(urls)}, **{"cores": 16, **fields}
        )

    return write


def jobs(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [
        {"name": f"job-{at}", "prompt": f"Job {at}: write output.csv.", "checks": ROWS, **fields} for at in range(count)
    ]


def done_once(*fakes: FakeServer) -> Counter[str]:
    """How often each job was done, by the beginning of its prompt."""
    return Counter(
        next(word for word in run.text.split("Job ")[-1].split(":"))
        for fake in fakes
        for run in fake.runs
        if run.outcome == "done"
    )


async def test_a_fleet_does_every_job_in_its_own_session_with_no_more_sockets_than_planned(
    serve: Serve, tmp_path: Path
) -> None:
    async with iiagent_server("happy") as fake:
        serve(fake.url)
        report = await agent_fleet(jobs(8), 3, start_every_s=0, into=str(tmp_path / "files"))
        assert fake.peak_sockets <= 3
        assert fake.peak_agents == 1
        assert len({run.session.id for run in fake.runs}) == 8
        assert set(done_once(fake).values()) == {1}
        told = await page(f"agent-fleet-{report.fleet_id}")
        plan = await page(f"agent-fleet-{report.fleet_id}-plan")
        kept = RowsReport.model_validate_json(open_store().read_bytes(f"fleets/{report.fleet_id}/report.json"))
    assert (kept.rows, kept.out, kept.lost, kept.outcome) == (8, 8, 0, "complete")
    assert (report.done, report.failed, report.plan.slots) == (8, 0, 3)
    assert all((tmp_path / "files" / line.name / "files" / "output.csv").is_file() for line in report.jobs)
    assert "8 of 8 jobs done" in told
    assert "max_sessions of s0" in plan


async def test_a_job_that_is_done_is_collected_again_where_other_files_or_another_place_are_asked_for(
    serve: Serve, tmp_path: Path
) -> None:
    def made(run: Run) -> list[Step]:
        return [Write("more.bin", b"more"), Write("output.csv", "id,text\n1,a\n2,b\n3,c\n"), Done()]

    async with iiagent_server(made) as fake:
        serve(fake.url)
        first, second = tmp_path / "first", tmp_path / "second"
        await agent_fleet(jobs(1), name="one", start_every_s=0, into=str(first))
        assert not (first / "job-0" / "files" / "more.bin").exists()
        await agent_fleet(jobs(1, outputs=["more.bin"]), name="one", start_every_s=0, into=str(first))
        assert (first / "job-0" / "files" / "more.bin").read_bytes() == b"more"
        await agent_fleet(jobs(1, outputs=["more.bin"]), name="one", start_every_s=0, into=str(second))
        assert (second / "job-0" / "files" / "more.bin").read_bytes() == b"more"
        asked = len(fake.downloads)
        await agent_fleet(jobs(1, outputs=["more.bin"]), name="one", start_every_s=0, into=str(second))
        assert (len(fake.downloads), len(fake.runs)) == (asked, 1)


async def test_what_is_impossible_is_refused_before_anything_begins(serve: Serve) -> None:
    async with iiagent_server("happy") as fake:
        serve(fake.url, cores=2)
        with pytest.raises(LimitReached, match="calls at once of s0 binds"):
            await agent_fleet(jobs(8), 8)
        with pytest.raises(BadInput, match="another job has this name"):
            await agent_fleet([*jobs(2), *jobs(1)])
        assert (await agent_fleet(jobs(8), dry_run=True)).plan.slots == 4
        assert not fake.sent


async def test_a_server_that_fails_is_left_and_its_jobs_go_to_the_others(serve: Serve) -> None:
    def broken(run: Run) -> list[Step]:
        return [Fail(500, "The server had an error")]

    async with iiagent_server(broken) as bad, iiagent_server("happy") as good:
        serve(bad.url, good.url, limits={"retries": 0}, max_sessions=2)
        report = await agent_fleet(jobs(8), quarantine_after=2, start_every_s=0)
        assert report.done == 8
        assert set(report.quarantined) == {"s0"}
        assert {line.server for line in report.jobs} == {"s1"}
        assert len(bad.runs) <= 4
        assert set(done_once(good).values()) == {1}


async def test_a_fleet_without_a_server_left_ends_with_what_is_done(serve: Serve) -> None:
    serve(f"http://127.0.0.1:{free_port()}", max_sessions=1)
    with pytest.raises(FleetFailed, match="6 of 6"):
        await agent_fleet(jobs(6), quarantine_after=2, start_every_s=0)
    report = await agent_fleet(jobs(6), quarantine_after=2, start_every_s=0, allow_failures=1)
    assert report.failed == 6
    assert any("no server is left" in line.told for line in report.jobs)


async def test_jobs_that_fail_by_themselves_blame_no_server_and_the_next_call_does_only_those(serve: Serve) -> None:
    def picky(run: Run) -> Any:
        return [Stop()] if "Job 1:" in run.text else happy(run)

    async with iiagent_server(picky) as fake:
        serve(fake.url)
        report = await agent_fleet(jobs(4), quarantine_after=1, start_every_s=0, allow_failures=0.25)
        assert (report.done, report.failed) == (3, 1)
        assert not report.quarantined
        runs = len(fake.runs)
        with pytest.raises(FleetFailed):
            await agent_fleet(jobs(4), start_every_s=0)
        assert len(fake.runs) == runs  # it was given up, and is told again
        await agent_fleet(jobs(4), start_every_s=0, again=True, allow_failures=1)
        assert all("Job 1:" in run.text for run in fake.runs[runs:])
        assert len(fake.runs) > runs


async def test_jobs_of_one_server_are_done_beside_others_that_nobody_needs(serve: Serve) -> None:
    async with iiagent_server("happy") as used, iiagent_server("happy") as idle:
        serve(used.url, idle.url)
        report = await agent_fleet(jobs(2, server="s0"), start_every_s=0)
        assert (report.done, len(used.runs), len(idle.runs)) == (2, 2, 0)


async def test_sessions_of_a_server_begin_one_after_another(prefect_api: str) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async with iiagent_server("happy") as fake:
        servers = [server_at(fake.url, cores=16)]
        ready, options = ready_jobs(jobs(3), servers), options_of(start_every_s=60)
        with opened_books("staggered") as books:
            plan = plan_of(ready, servers, options)
            run = FleetRun(plan, servers, options, books, now=lambda: 100.0, sleep=sleep)
            await run.work(ready)
    assert slept == [60.0, 120.0]
    assert all(result.done for result in run.results.values())


async def test_a_killed_fleet_goes_on_with_what_is_missing(serve: Serve, tmp_path: Path) -> None:
    def held(run: Run) -> Any:
        if run.number == 0 and run.text.startswith(("Job 2", "Job 3")):
            # The server hears of the kill somewhere in the many turns after.
            return [LOOK, Wait("killed"), *[LOOK] * 150]
        return happy(run)

    async with iiagent_server(held) as fake, runner() as run:
        serve(fake.url, limits=PATIENT)
        asked = {"jobs": jobs(5), "n": 2, "start_every_s": 0, "name": "killed", "into": str(tmp_path / "files")}
        pid = await run.start("agent_fleet", **asked)
        held_runs = ("Job 2", "Job 3")
        await fake.until(lambda: sum(one.text.startswith(held_runs) and one.turns == 1 for one in fake.runs) == 2)
        await fake.reached("killed")
        await run.kill(pid)
        fake.open("killed")
        report = await run.run("agent_fleet", **asked)
        assert (report["done"], report["failed"]) == (5, 0)
        assert set(done_once(fake).values()) == {1}
        assert len({one.session.id for one in fake.runs}) == 5
        assert fake.peak_agents == 1
        assert fake.peak_sockets <= 2
        assert report["kept"] == 2
