"""Figures of a period beside those of the one before it, marked where they differ by more than chance does."""

from collections.abc import Sequence

from tasks.quality.report.noise import means_differ, quantile, quantiles_differ, shares_differ, totals_differ
from tasks.quality.report.report import Better, Figure, Unit


def count_of(name: str, label: str, now: int | None, before: int | None = None, better: Better = "") -> Figure:
    """A number that no test is made of; None where it is not known."""
    return Figure(name=name, label=label, value=now, before=before, better=better)


def counts_of(name: str, label: str, both: Sequence[int], better: Better = "") -> Figure:
    """The same for two periods, as they come together."""
    now, before = both
    return count_of(name, label, now, before, better)


def total_of(
    name: str,
    label: str,
    now: Sequence[float],
    before: Sequence[float] | None,
    *,
    unit: Unit = "count",
    better: Better = "",
) -> Figure:
    """A total, by its parts in slices of the two periods; None for a period that nobody knows of."""
    return Figure(
        name=name,
        label=label,
        value=sum(now),
        unit=unit,
        before=None if before is None else sum(before),
        is_news=before is not None and totals_differ(now, before, are_counts=unit == "count"),
        better=better,
    )


def share_of(name: str, label: str, now: tuple[int, int], before: tuple[int, int], better: Better = "") -> Figure:
    """A share: a part and the whole, of each period."""
    value, value_before = (part / whole if whole else None for part, whole in (now, before))
    return Figure(
        name=name,
        label=label,
        value=value,
        unit="share",
        before=value_before,
        is_news=shares_differ(*now, *before),
        better=better,
    )


def mean_of(
    name: str, label: str, now: Sequence[float], before: Sequence[float], unit: Unit, better: Better = ""
) -> tuple[Figure, ...]:
    """A mean; none where there is nothing of it in either period."""
    if not now and not before:
        return ()
    value, value_before = (sum(one) / len(one) if one else None for one in (now, before))
    news = means_differ(now, before)
    return (Figure(name=name, label=label, value=value, unit=unit, before=value_before, is_news=news, better=better),)


def quantile_of(
    name: str,
    label: str,
    percent: int,
    now: Sequence[float],
    before: Sequence[float],
    *,
    unit: Unit,
    better: Better = "less",
) -> Figure:
    """A percentile, of values in any order."""
    ordered, ordered_before = sorted(now), sorted(before)
    return Figure(
        name=name,
        label=label,
        value=quantile(ordered, percent),
        unit=unit,
        before=quantile(ordered_before, percent),
        is_news=quantiles_differ(ordered, ordered_before, percent),
        better=better,
    )
