"""Figures of jobs, quality and steps on a planted store, against those computed by hand."""

import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from blocks.store import LocalFiles
from tasks.quality.audit.history import PeriodRow, keep_period
from tasks.quality.report.jobs import jobs_part, over_time
from tasks.quality.report.period import Period, period_of, span_of, zone_of
from tasks.quality.report.quality import audits_part, quality_part
from tasks.quality.report.report import Gap, Part
from tasks.quality.report.runs import RunCounts, Runs
from tasks.quality.report.steps import steps_part
from tasks.quality.report.tally import OTHER, Tally, tallied
from tests.tasks.quality.report.planted import WHISPER, keep_results, result

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
NO_PREFECT = Gap(source="Prefect", why="it is away", fix="start it")


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "store")


@pytest.fixture
def period() -> Period:
    return period_of("day", "2026-11-21", zone_of("UTC"), NOON + timedelta(days=1))


def figures(part: Part) -> dict[str, tuple[float | None, float | None]]:
    return {one.name: (one.value, one.before) for one in part.figures}


@pytest.mark.parametrize(
    ("day", "labels"),
    [
        ("2026-10-24", ("00", "03", "23")),
        ("2026-10-25", ("00:00", "02:07", "22:57")),  # of 25 hours; the clock goes back from three to two
        ("2026-03-29", ("00:00", "03:52", "23:02")),
    ],
)
def test_bars_of_a_day_begin_when_their_labels_say(day: str, labels: tuple[str, ...]) -> None:
    berlin = period_of("day", day, zone_of("Europe/Berlin"), NOON)
    [chart] = over_time("Jobs", [1] * 24, [0] * 24, berlin)
    assert (chart.labels[0], chart.labels[3], chart.labels[23]) == labels


def test_what_prefect_does_not_know_is_told_also_when_results_cannot_be_read(period: Period) -> None:
    runs = Runs(RunCounts(period.now, 24), RunCounts(period.before, 24), notes=("Crashes are not known.",))
    part = jobs_part(Gap(source="results of jobs", why="away", fix="wait"), runs, period)
    assert (part.notes, [gap.source for gap in part.gaps]) == (runs.notes, ["results of jobs"])


def test_jobs_are_counted_as_by_hand(files: LocalFiles, period: Period) -> None:
    keep_results(
        files,
        [
            result("a", NOON, audio_s=3600, taken_s=1800),
            result("b", NOON, audio_s=1800, taken_s=1800, status="partial", engine=WHISPER, template=None),
            result("c", NOON, audio_s=1800, taken_s=180, status="no_speech"),
            result("d", NOON - timedelta(days=1), audio_s=7200, taken_s=7200),
            result("e", NOON - timedelta(days=2)),
            result("f", period.since, audio_s=0, taken_s=5, engine=None),
            result("g", period.until),
            result("h", period.before_since),
        ],
    )
    part = jobs_part(tallied(files, period), NO_PREFECT, period)
    told = figures(part)
    assert told["jobs"] == (4, 2)
    assert (told["complete"], told["partial"], told["no_speech"]) == ((2, 2), (1, 0), (1, 0))
    assert told["partial_share"] == (0.25, 0.0)
    assert told["audio_h"] == (2.0, 2 + 60 / 3600)
    assert (told["rtf_median"], told["rtf_p95"]) == ((0.5, 0.5), (1.0, 1.0))
    engines, templates = part.tables
    assert engines.rows == (
        ("sphinx", 2, 1.5, 0.1, 0.5),
        ("text, no speech engine", 1, 0.0, None, None),
        ("whisper (large)", 1, 0.5, 1.0, 1.0),
    )
    assert [row[:3] for row in templates.rows] == [("meeting_notes", 3, 1.5), ("none", 1, 0.5)]
    (chart,) = part.charts
    assert (len(chart.values), chart.values[0], chart.values[12], chart.before[12]) == (24, 1, 3, 1)
    assert part.gaps == (NO_PREFECT,) and "failed" not in told


def test_runs_without_a_result_are_those_of_prefect(files: LocalFiles, period: Period) -> None:
    keep_results(files, [result(f"{number}", NOON) for number in range(6)])
    now, before = RunCounts(period.now, 24), RunCounts(period.before, 24, crashed=1, recovered=1)
    now.failed[3], now.cancelled, now.dead, now.crashed, now.recovered = 2, 1, 1, 4, 3
    now.codes.update({"CRASHED": 1, "AUDIO_DECODE_ERROR": 1})
    part = jobs_part(tallied(files, period), Runs(now, before), period)
    told = figures(part)
    assert told["failed"] == (2, 0) and told["failed_share"] == (0.25, None)
    assert (told["cancelled"], told["dead_letters"]) == ((1, 0), (1, 0))
    assert (told["crashed"], told["recovered"]) == ((4, 1), (3, 1))
    assert part.tables[-1].rows == (("CRASHED", 1), ("AUDIO_DECODE_ERROR", 1))


def test_quality_is_as_by_hand(files: LocalFiles, period: Period) -> None:
    metrics = {"vad_coverage": 0.8, "asr_confidence_avg": 0.6, "edit_rate_cleaning": None}
    keep_results(
        files,
        [
            result("a", NOON, metrics=metrics, notices=("A", "A", "B"), removed=3),
            result("b", NOON, metrics=metrics | {"vad_coverage": 0.4, "edit_rate_cleaning": 0.3}, notices=("A",)),
            result("c", NOON, status="no_speech", metrics=dict.fromkeys(metrics)),
        ],
    )
    told = quality_part(tallied(files, period), audits_part(files, period))
    found = {name: value for name, (value, _) in figures(told).items()}
    assert found == pytest.approx(
        {
            "coverage": 0.6,
            "confidence": 0.6,
            "edit_rate": 0.3,
            "empty_share": 1 / 3,
            "noticed_share": 2 / 3,
            "removed": 3,
        }
    )
    assert told.tables[0].rows == (("A", 2), ("B", 1))
    assert told.notes == ("No audit covers this period: the figures are those of the results themselves.",)


def test_audits_of_the_period_are_told_failed_ones_first(files: LocalFiles, period: Period) -> None:
    def audited(name: str, since: datetime, until: datetime, verdict: str) -> None:
        row = PeriodRow(name=name, since=since, until=until, audited_at=NOON, jobs=5, verdict=verdict, failed=("a/b",))
        keep_period(files, row)

    audited("2026-11-21", period.since, period.until, "passed")
    audited("2026-W47", period.since - timedelta(days=5), period.until + timedelta(days=1), "failed")
    audited("2026-11-20", period.before_since, period.since, "failed")
    (table,) = audits_part(files, period).tables
    assert [row[:4] for row in table.rows] == [("2026-W47", "failed", 5, "a/b"), ("2026-11-21", "passed", 5, "a/b")]


def test_steps_are_ranked_by_the_time_they_took_in_all(files: LocalFiles, period: Period) -> None:
    keep_results(files, [result(f"{number:02}", NOON, taken_s=float(number)) for number in range(1, 21)])
    told = Runs(RunCounts(period.now, 24), RunCounts(period.before, 24))
    told.tasks["transcribe"] = told.now and tallied(files, period).now.steps["transcribe"]
    told.tasks_read, told.tasks_cut = 2000, True
    part = steps_part(tallied(files, period), told)
    transcribe, summarise = part.tables[0].rows
    assert transcribe == ("transcribe", 20, 8.0, pytest.approx(15.2), pytest.approx(168.0), pytest.approx(0.8))
    assert summarise[0] == "summarise" and summarise[5] == pytest.approx(0.2), "and decode, found done, took no time"
    assert part.tables[1].title == "Tasks of all flows, by Prefect, the latest 2,000 task runs"


def test_damaged_results_are_told_and_cost_no_figure(files: LocalFiles, period: Period) -> None:
    keep_results(files, [result("a", NOON)])
    for number in range(7):
        files.put_bytes(f"jobs/broken-{number}/result.json", b'{"job_id": ')
    part = jobs_part(tallied(files, period), NO_PREFECT, period)
    assert figures(part)["jobs"] == (1, 0)
    assert part.gaps[1].source == "7 results that are damaged or of another version"
    assert part.gaps[1].why.startswith("jobs/broken-0/result.json: ")


def test_what_is_kept_of_a_result_are_some_numbers(period: Period) -> None:
    tally = Tally(period.now, period.slices)
    one = result("a", NOON, notices=("A",))

    def add(number: int) -> int:
        for place in range(number):
            tally.add(
                one.model_copy(update={"versions": one.versions.model_copy(update={"template": f"t{place}"})}), NOON
            )
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        first = add(1_000)
        assert (add(4_000) - first) / 4_000 < 200, "bytes of each further result"
    finally:
        tracemalloc.stop()
    assert OTHER in tally.templates and len(tally.templates) <= 101
    assert sum(group.jobs for group in tally.templates.values()) == tally.done == 5_000


@pytest.mark.soak
def test_ten_thousand_results_of_a_day_take_little_memory(files: LocalFiles, period: Period) -> None:
    number = 10_000
    for place in range(number):
        path = files.root / "jobs" / f"{place:016x}" / "result.json"
        path.parent.mkdir(parents=True)
        path.write_text(result(path.parent.name, NOON, notices=("A",)).model_dump_json())
    tracemalloc.start()
    try:
        found = tallied(files, period)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.now.done == number
    # The store's own list of names is the most of it: half a KB of each.
    assert peak < 16e6, f"{peak / 1e6:.1f} MB"


@pytest.mark.parametrize(
    ("since", "until", "labels"),
    [
        ("2026-11-21", "2026-11-22", ["07:00", "09:00", "11:00"]),
        ("2026-11-01", "2026-11-13", ["11-01", "11-02", "11-03"]),
    ],
)
def test_a_chart_of_any_span_says_when_its_bars_begin(
    files: LocalFiles, since: str, until: str, labels: list[str]
) -> None:
    zone = zone_of("Asia/Ho_Chi_Minh")
    period = span_of(f"{since}T00:00+00:00", f"{until}T00:00+00:00", zone, NOON + timedelta(days=9))
    keep_results(files, [result("a", period.since + timedelta(hours=1))])
    [chart] = jobs_part(tallied(files, period), NO_PREFECT, period).charts
    assert [*chart.labels[:3]] == labels and chart.values[0] == 1
