"""Pages of Data Docs: nothing of them comes from elsewhere, and nothing in them is markup but ours."""

import re
from datetime import timedelta

from tasks.quality.audit.docs import index_page, period_page
from tasks.quality.audit.history import PeriodRow
from tasks.quality.audit.judged import AuditReport, Judged, JudgedSuite, Sample
from tasks.quality.audit.period import Period, named
from tasks.quality.audit.tell import markdown
from tasks.quality.results import Unreadable
from tests.fakes.stored_jobs import DAY

HOSTILE = '"><script>alert(1)</script><img src=//x.test onerror=alert(1)>'


def row_of(period: Period, **facts: object) -> PeriodRow:
    fields = {"name": period.name, "since": period.since, "until": period.until, "audited_at": period.until}
    return PeriodRow.model_validate(fields | {"jobs": 12, "rtf": 0.1, "verdict": "failed"} | facts)


def report(**facts: object) -> AuditReport:
    bad = Judged(
        suite="jobs",
        id="own",
        column="status",
        says=HOSTILE,
        about=HOSTILE,
        source=HOSTILE,
        severity="critical",
        outcome="failed",
        observed=HOSTILE,
        rows=3,
        samples=(Sample(key=HOSTILE, value=HOSTILE),),
        where=HOSTILE,
    )
    broken = bad.model_copy(update={"id": "broken", "outcome": "broken", "why": HOSTILE})
    suite = JudgedSuite(name="jobs", table="jobs", title=HOSTILE, rows=3, expectations=(bad, broken))
    row = row_of(named("day", "2026-03-02"), failed=(HOSTILE,))
    return AuditReport(run_id="r", period=row, suites=(suite,), notes=(HOSTILE,), lost=(HOSTILE,))


def test_what_is_not_ours_is_text() -> None:
    for page in (period_page(report(), [report().period]), index_page([report().period])):
        assert HOSTILE not in page
        assert "<script" not in page
        assert "<img" not in page
        assert "&lt;script&gt;" in page


def test_what_is_not_ours_calls_nobody_in_the_prefect_ui() -> None:
    picture = f"![x](http://x.test/y) {HOSTILE}"
    [suite] = report().suites
    bad = suite.expectations[0].model_copy(update={"observed": picture, "about": picture, "samples": ()})
    suite = suite.model_copy(update={"expectations": (bad,), "title": picture})
    told = markdown(report().model_copy(update={"suites": (suite,), "notes": (), "lost": ()}))
    assert told.count("x.test/y") == 3
    assert "![" not in told and "<script" not in told and "<img" not in told


def test_nothing_comes_from_elsewhere() -> None:
    page = period_page(report(), [report().period])
    assert re.findall(r'(?:src|href)="([^"]*)"', page) == ["data:,", "../index.html"]
    assert " style=" not in page, "the page's own policy allows its one style alone"
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")


def test_the_first_page_has_all_periods_by_their_kind() -> None:
    periods = [named("day", f"2026-03-{day:02}") for day in range(1, 8)]
    periods += [named("week", "2026-W09"), named("month", "2026-02"), Period(since=DAY, until=DAY + timedelta(hours=1))]
    page = index_page([row_of(period, coverage=0.5 + index / 100) for index, period in enumerate(periods)])
    assert re.findall(r"<h2>(.*)</h2>", page) == ["Days", "Weeks", "Months", "Other periods"]
    links = re.findall(r'href="periods/(.*)\.html"', page)
    assert links[:7] == [period.name for period in reversed(periods[:7])], "the latest first"
    assert set(links) == {period.name for period in periods}
    assert page.count("<polyline") == 4, "trends of four figures that the days have; the others are too few"


def test_the_terminal_names_what_is_damaged_or_lost_as_alerts_promise() -> None:
    damaged = tuple(Unreadable(key=f"jobs/{number}/result.json", why="no JSON | at all") for number in range(25))
    row = report().period.model_copy(update={"unreadable": 40, "lost_jobs": 1})
    told = markdown(report().model_copy(update={"period": row, "unreadable": damaged, "lost": ("0f1e2d3c4b5a6978",)}))
    assert "| `jobs/0/result.json` | no JSON \\| at all |" in told
    assert "jobs/20/" not in told and "40 in all" in told
    assert "`0f1e2d3c4b5a6978`" in told
    assert "cannot be read" not in markdown(report())
