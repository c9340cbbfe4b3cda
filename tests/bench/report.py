"""Seconds in which the report of a week with 10,000 results, 100,000 calls and 1,000 incidents is read and written.

A process of its own reads the planted store, as a scheduled run does, and writes all forms; Prefect and the start of
Python are left out. The goal is what a person who asks for it on the command line waits without wondering; each part's
own time and the memory are printed.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

NAME = "report"
UNIT = "s for a report of a week"
GOAL = 30.0

RESULTS, CALLS, INCIDENTS = 10_000, 100_000, 1_000
"""Of the week; the week before has as many results and calls, as it is compared with that."""

ROUNDS = {True: 1, False: 3}
SHARE = {True: 0.2, False: 1.0}
"""A quick round has fewer: to plant all takes two minutes."""

WEEK_S = 7 * 86_400
BEGIN = datetime(2026, 11, 9, tzinfo=UTC)


def measure(quick: bool) -> float:
    """The median of rounds, in seconds; a quick one is scaled up to the whole."""
    with tempfile.TemporaryDirectory(prefix="c500-bench-") as name:
        home = Path(name)
        _plant(home, SHARE[quick])
        rounds = [_read(home) for _ in range(ROUNDS[quick])]
    for one in rounds:
        parts = ", ".join(f"{part} {seconds:.1f}" for part, seconds in one["parts"].items())
        print(f"{one['seconds']:6.1f} s  {one['rss_mb']:5.0f} MB  {parts}", flush=True)
    print(f"page {rounds[0]['page_kb']:.0f} KB; {rounds[0]['told']}", flush=True)
    return median(one["seconds"] for one in rounds) / SHARE[quick]


def _environment(home: Path) -> dict[str, str]:
    return {
        "AUDIO_DIR": f"{home}/store",
        "LOG_DIR": f"{home}/logs",
        "AGENTS_HOME": f"{home}/agents",
        "ACCOUNTS_FILE": f"{home}/accounts.yaml",
        "BOOKS_URL": f"sqlite:///{home}/books.db",
        "TZ": "UTC",
    }


def _plant(home: Path, share: float) -> None:
    """Two weeks of results and calls, and incidents of the last four; the disk is not waited for."""
    from tests.tasks.quality.report import planted

    chance, store = random.Random(1), home / "store"
    for number in range(int(2 * RESULTS * share)):
        at = BEGIN + timedelta(seconds=chance.uniform(-WEEK_S, WEEK_S))
        one = planted.result(
            f"{number:016x}",
            at,
            audio_s=chance.uniform(60, 3600),
            taken_s=chance.uniform(20, 900),
            status=chance.choices(["complete", "partial", "no_speech"], [92, 5, 3])[0],
            engine=chance.choice([planted.SPHINX, planted.WHISPER]),
        )
        folder = store / "jobs" / one.job_id
        folder.mkdir(parents=True)
        (folder / "result.json").write_bytes(one.model_dump_json().encode())
        os.utime(folder / "result.json", (at.timestamp(), at.timestamp()))
    users = [f"user-{number}" for number in range(40)]
    calls = (
        planted.call(
            BEGIN + timedelta(seconds=chance.uniform(-WEEK_S, WEEK_S)),
            chance.uniform(0.0001, 0.02),
            account=chance.choice(["first", "second", "third"]),
            model=chance.choice(["small", "middle", "large"]),
            user=chance.choice(users),
            job=f"job-{chance.randrange(5_000)}",
        )
        for _ in range(int(2 * CALLS * share))
    )
    planted.keep_calls(f"sqlite:///{home}/books.db", calls)
    planted.accounts_file(home / "accounts.yaml", "{everyone: {usd_per_month: 5000}, user: {usd_per_day: 50}}")
    _plant_incidents(store, chance, int(INCIDENTS * share))


def _plant_incidents(store: Path, chance: random.Random, count: int) -> None:
    from tasks.ops.incident.intake import PREFIX
    from tests.tasks.quality.report import planted

    for number in range(count):
        opened = BEGIN + timedelta(seconds=chance.uniform(-3 * WEEK_S, WEEK_S))
        over = {"status": "resolved", "resolved_at": opened + timedelta(minutes=chance.uniform(5, 600))}
        acknowledged = opened + timedelta(minutes=chance.uniform(1, 30))
        one = planted.incident(f"inc-{number}", opened, acknowledged_at=acknowledged, **(over if number % 100 else {}))
        path = store / PREFIX / one.incident_id / "manifest.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"token": 1, "content": one.model_dump_json()}))


def _read(home: Path) -> dict[str, object]:
    environment = os.environ | _environment(home)
    environment.pop("PREFECT_API_URL", None)
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.report"], check=True, stdout=subprocess.PIPE, env=environment
    )
    return json.loads(done.stdout)


def _main() -> None:
    """Read all that does not lie in Prefect, part by part, and write the report in all its forms."""
    from blocks.metrics import peak_rss_bytes
    from blocks.store import open_store
    from flows.report import keep
    from flows.reporting.agents import read_agents
    from flows.reporting.costs import read_budgets, read_costs
    from flows.reporting.operations import read_incidents, read_operations
    from tasks.quality.report.facts import Batches, Incidents
    from tasks.quality.report.happened import agents_part, batches_part, incidents_part, operations_part
    from tasks.quality.report.jobs import jobs_part
    from tasks.quality.report.markdown import headline
    from tasks.quality.report.people import people_part
    from tasks.quality.report.period import period_of, zone_of
    from tasks.quality.report.quality import audits_part, quality_part
    from tasks.quality.report.report import Gap, OperationsReport
    from tasks.quality.report.steps import steps_part
    from tasks.quality.report.tally import tallied

    files, now = open_store(), BEGIN + timedelta(days=7, hours=1)
    period, away = period_of("week", "", zone_of("UTC"), now), Gap(source="Prefect", why="not measured", fix="")
    marks = {"": time.perf_counter()}

    def mark(name: str) -> None:
        marks[name] = time.perf_counter()

    results = tallied(files, period)
    jobs = [jobs_part(results, away, period), quality_part(results, audits_part(files, period))]
    mark("results")
    costs = read_costs(period)
    mark("costs")
    budgets = read_budgets(period)
    mark("budgets")
    incidents: Incidents = read_incidents(files)
    happened = [incidents_part(incidents, period), operations_part(read_operations(files), period)]
    mark("incidents")
    agents = agents_part(read_agents(files, period, period.before_since), period)
    parts = (
        *(people_part([], [], "UTC"), *jobs, costs.model_copy(update={"tables": (*costs.tables, *budgets.tables)})),
        *(*happened, agents, batches_part(Batches(), period), steps_part(results, away)),
    )
    report = keep(files, OperationsReport(run_id="bench", period=period, made_at=now, parts=parts))
    mark("written")
    page = files.read_bytes(f"reports/week/{period.name}/report.html")
    moments = list(marks.items())
    told = {
        "seconds": moments[-1][1] - moments[0][1],
        "parts": {name: at - moments[place][1] for place, (name, at) in enumerate(moments[1:])},
        "rss_mb": peak_rss_bytes() / 1e6,
        "page_kb": len(page) / 1e3,
        "told": headline(report),
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    _main()
