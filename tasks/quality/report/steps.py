"""Which steps take the most time: of jobs by their results, and of all flows by Prefect."""

from array import array
from collections.abc import Iterator, Mapping

from tasks.quality.report.noise import quantile
from tasks.quality.report.report import Cell, Chart, Gap, Part, Unit, table_of
from tasks.quality.report.runs import Runs
from tasks.quality.report.tally import Results

COLUMNS: dict[str, Unit] = {
    "step": "text",
    "times": "count",
    "median": "s",
    "p95": "s",
    "in all": "s",
    "share": "share",
}
MOST_BARS = 8


def steps_part(results: Results | Gap, runs: Runs | Gap) -> Part:
    """The steps with the most time in all first; what cannot be read is told with the jobs."""
    steps = list(_rows(results.now.steps)) if isinstance(results, Results) else []
    tasks = list(_rows(runs.tasks)) if isinstance(runs, Runs) else []
    cut = f", the latest {runs.tasks_read:,} task runs" if isinstance(runs, Runs) and runs.tasks_cut else ""
    charts = (
        Chart(
            title="Where the time of jobs went",
            labels=tuple(str(row[0]) for row in steps[:MOST_BARS]),
            values=tuple(float(row[4] or 0) for row in steps[:MOST_BARS]),
            unit="s",
            is_ranking=True,
        ),
    )
    return Part(
        name="steps",
        title="Slowest steps",
        tables=(
            *table_of("Steps of jobs", COLUMNS, steps),
            *table_of(f"Tasks of all flows, by Prefect{cut}", COLUMNS, tasks),
        ),
        charts=charts if steps else (),
    )


def _rows(steps: "Mapping[str, array[float]]") -> Iterator[tuple[Cell, ...]]:
    whole = sum(sum(seconds) for seconds in steps.values())
    for name, seconds in sorted(steps.items(), key=lambda item: (-sum(item[1]), item[0])):
        ordered = sorted(seconds)
        total = sum(seconds)
        share = total / whole if whole else None
        yield name, len(ordered), quantile(ordered, 50), quantile(ordered, 95), total, share
