"""What the latest audit of quality found: its verdict, what was not met by suite, and the period in figures."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import get_args

from prometheus_client.metrics_core import Metric as Family

from blocks.store.files import Files
from deployments.gateway.metrics.families import Labels, gauge_family
from deployments.gateway.metrics.files import Facts
from tasks.quality.audit.history import PERIODS, PeriodRow

FIGURES: Mapping[str, str] = {
    "c500_quality_jobs": "jobs",
    "c500_quality_real_time_ratio": "rtf",
    "c500_quality_speech_ratio": "coverage",
    "c500_quality_confidence_ratio": "confidence",
    "c500_quality_edit_ratio": "edit_rate",
    "c500_quality_summary_filled_ratio": "summary_filled",
    "c500_quality_partial_ratio": "partial_share",
    "c500_quality_no_speech_ratio": "no_speech_share",
    "c500_quality_cost_usd": "cost_usd",
    "c500_quality_minute_cost_usd": "cost_per_min",
    "c500_quality_unreadable": "unreadable",
    "c500_quality_lost_jobs": "lost_jobs",
    "c500_quality_lost_rows": "rows_lost",
}
"""Fields of the period's row; one that is not known is left out."""


class QualityLook:
    """Looks at the audits in a store. Its verb blocks.

    Args:
        files: The store.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._periods = Facts(files, f"{PERIODS}/", ".json", PeriodRow.model_validate_json)

    def latest(self) -> Sequence[Family] | None:
        """Of the part `quality`; None where nothing was audited."""
        audited = [row for row in self._periods.look().values() if row is not None]
        if not audited:
            return None
        # The period that ends last; of two that end together the shorter: a day, rather than its week.
        return self._told(max(audited, key=lambda row: (_end(row), row.since)))

    def _told(self, row: PeriodRow) -> Sequence[Family]:
        from tasks.quality.audit.judged import Outcome, Verdict
        from tasks.quality.audit.keep import read_report

        report = read_report(self._files, row.name)
        outcomes, unmet = Counter[Labels](), Counter[Labels]()
        for suite in report.suites:
            outcomes.update({(suite.name, outcome): suite.count(outcome) for outcome in get_args(Outcome)})
            unmet.update({(suite.name, severity): 0 for severity in ("critical", "warning")})
            unmet.update((suite.name, one.severity) for one in suite.expectations if one.is_bad)
        figures = {name: getattr(row, field) for name, field in FIGURES.items()}
        return [
            gauge_family(
                "c500_quality_verdict",
                {(verdict,): float(verdict == report.verdict) for verdict in get_args(Verdict)},
            ),
            gauge_family("c500_quality_expectations", outcomes),
            gauge_family("c500_quality_unmet", unmet),
            gauge_family("c500_quality_audited_timestamp_seconds", _seconds(row.audited_at)),
            gauge_family("c500_quality_period_end_timestamp_seconds", _seconds(_end(row))),
            *(gauge_family(name, value) for name, value in figures.items() if value is not None),
        ]


def _end(row: PeriodRow) -> datetime:
    """Until when a period was looked at: a month that is audited on its third day hides no later audit of a day."""
    return min(row.until, row.audited_at)


def _seconds(moment: datetime) -> float:
    return moment.timestamp()
