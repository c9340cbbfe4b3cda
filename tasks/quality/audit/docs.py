"""Data Docs: the site that tells what was judged, as plain pages without scripts, which any browser opens offline.

The pages that great-expectations itself would write fetch their scripts and styles from six other hosts.
"""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blocks.page import document
from blocks.store.files import Files
from tasks.quality.audit.drift import DriftRow
from tasks.quality.audit.history import PeriodRow
from tasks.quality.audit.judged import AuditReport
from tasks.quality.audit.period import Period
from tasks.quality.audit.suite_files import KEYS
from tasks.quality.report.listing import INDEX as REPORTS

if TYPE_CHECKING:
    from jinja2 import Environment

DOCS = "quality/docs"
INDEX = f"{DOCS}/index.html"
PAGES = Path(__file__).parent / "pages"
STYLE = PAGES / "style.css"
HTML = "text/html; charset=utf-8"

MOST_LISTED = 100
LONGEST_LIST = 400
"""Periods of one length on the first page: more than a year of days."""

TREND = 30
"""Periods of a trend."""

WIDTH, HEIGHT, MARGIN = 100, 30, 2
SHIFT, WIDEST = 0.25, 0.5

FIGURES: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("jobs", "Jobs", lambda value: f"{value:,.0f}"),
    ("audio_min", "Audio", lambda value: _length(value)),
    ("coverage", "Speech coverage", lambda value: f"{value:.0%}"),
    ("confidence", "Confidence", lambda value: f"{value:.2f}"),
    ("rtf", "Real-time factor", lambda value: f"{value:.3g}"),
    ("edit_rate", "Edit rate", lambda value: f"{value:.1%}"),
    ("summary_filled", "Summary fields filled", lambda value: f"{value:.0%}"),
    ("partial_share", "Partial jobs", lambda value: f"{value:.1%}"),
    ("no_speech_share", "Without speech", lambda value: f"{value:.1%}"),
    ("cost_usd", "Cost", lambda value: f"${value:,.2f}"),
    ("cost_per_min", "Cost per minute", lambda value: f"${value:.4f}"),
)


def publish(files: Files, report: AuditReport, periods: Sequence[PeriodRow]) -> str:
    """Put the page of an audit into the store, and then the first page, which names it; the place of the page.

    Each file is written whole, and a page before what links to it: a process that dies in between leaves the old site,
    or the new page without a link.

    Args:
        files: The store.
        report: The audit.
        periods: All that were audited before.
    """
    others = [row for row in periods if row.name != report.period.name]
    rows = sorted([*others, report.period], key=lambda row: (row.since, row.until))
    key = page_key(report.period.name)
    files.put_bytes(key, period_page(report, rows).encode(), HTML)
    files.put_bytes(INDEX, index_page(rows, with_reports=files.exists(REPORTS)).encode(), HTML)
    return key


def page_key(name: str) -> str:
    """Where the page of a period lies."""
    return f"{DOCS}/periods/{name}.html"


def period_page(report: AuditReport, periods: Sequence[PeriodRow]) -> str:
    """The page of an audit.

    Args:
        report: The audit.
        periods: All audited periods with this one, by their begin.
    """
    row = report.period
    alike = [one for one in periods if _kind(one) == _kind(row) and one.since <= row.since]
    period = Period(since=row.since, until=row.until)
    expectations = [one for suite in report.suites for one in suite.expectations]
    not_judged = sum(one.outcome == "not_judged" for one in expectations)
    return _page(
        "period.html.jinja",
        f"Quality of {row.name}: {report.verdict}",
        report=report,
        verdict=_verdict(report),
        since=f"{row.since:%Y-%m-%d %H:%M}",
        until=f"{row.until:%Y-%m-%d %H:%M}",
        audited=f"{row.audited_at:%Y-%m-%d %H:%M} UTC",
        judged=len(expectations) - not_judged,
        not_judged=not_judged,
        tiles=_tiles(alike),
        keys={suite.name: KEYS[suite.table] for suite in report.suites},
        drift=[_drift(one) for one in report.drift],
        previous=period.previous.name,
        most=MOST_LISTED,
    )


def index_page(periods: Sequence[PeriodRow], *, with_reports: bool = False) -> str:
    """The first page.

    Args:
        periods: All audited periods, by their begin.
        with_reports: Whether there are reports of operations, which it links to.
    """
    ordered = sorted(periods, key=_kind)
    groups: list[dict[str, Any]] = []
    for (_, title), found in groupby(ordered, key=_kind):
        rows = sorted(found, key=lambda row: row.since)
        listed = [_listed(row) for row in reversed(rows[-LONGEST_LIST:])]
        groups.append({"title": title, "rows": listed, "tiles": _tiles(rows)})
    return _page("index.html.jinja", "Quality of results", groups=groups, with_reports=with_reports)


def _kind(row: PeriodRow) -> tuple[int, str]:
    """Periods of one kind are compared with each other."""
    for place, (form, title) in enumerate((("-W", "Weeks"), ("T", "Other periods"))):
        if form in row.name:
            return 1 + 2 * place, title
    return (0, "Days") if len(row.name) == len("2026-11-21") else (2, "Months")


def _verdict(report: AuditReport) -> str:
    if not report.bad:
        return "passed: everything is met"
    number = len(report.bad)
    return f"{report.verdict}: {number} expectation{'' if number == 1 else 's'} not met"


def _listed(row: PeriodRow) -> dict[str, str]:
    shown = {name: _shown(row, name, form) for name, _, form in FIGURES}
    return shown | {
        "name": row.name,
        "verdict": row.verdict,
        "audio": shown["audio_min"],
        "failed": ", ".join(row.failed),
    }


def _tiles(rows: Sequence[PeriodRow]) -> list[dict[str, str]]:
    """A tile for each figure that the last row has, with its trend."""
    tiles: list[dict[str, str]] = []
    for name, label, form in FIGURES:
        if not rows or getattr(rows[-1], name) is None:
            continue
        values = [float(value) for row in rows[-TREND:] if (value := getattr(row, name)) is not None]
        tile = {"label": label, "value": form(values[-1]), "before": "", "points": ""}
        if len(values) > 1:
            tile["before"] = form(values[-2])
        if len(values) > 2:
            tile["points"] = _points(values)
            tile["trend"] = f"{label} of the last {len(values)}: {', '.join(map(form, values))}"
        tiles.append(tile)
    return tiles


def _points(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    step = WIDTH / (len(values) - 1)
    heights = [HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (value - low) / span for value in values]
    if low == high:
        heights = [HEIGHT / 2] * len(values)
    return " ".join(f"{number * step:.1f},{height:.1f}" for number, height in enumerate(heights))


def _drift(row: DriftRow) -> dict[str, Any]:
    means = [f"{mean:.3g}" if mean is not None else "" for mean in (row.mean, row.mean_before)]
    index = row.psi
    return {
        "measure": row.measure,
        "now": row.commonest or means[0],
        "before": row.commonest_before or means[1],
        "jobs": f"{row.n:,} / {row.n_before:,}",
        "index": "too few" if index is None else f"{index:.3f}",
        "noise": "" if row.psi_noise is None else f"{row.psi_noise:.3f}",
        "width": None if index is None else round(100 * min(index, WIDEST) / WIDEST, 1),
        "is_over": (row.psi_beyond_noise or 0) > SHIFT,
    }


def _shown(row: PeriodRow, name: str, form: Callable[[float], str]) -> str:
    value = getattr(row, name)
    return "" if value is None else form(value)


def _length(minutes: float) -> str:
    return f"{minutes:,.0f} min" if minutes < 600 else f"{minutes / 60:,.0f} h"


def _page(template: str, title: str, **values: Any) -> str:
    return document(title, _environment().get_template(template).render(values), STYLE)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
