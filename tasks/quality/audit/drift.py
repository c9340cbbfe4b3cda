"""Whether a period's figures are spread as those of the period before it."""

import math
from collections import Counter
from collections.abc import Sequence

from pydantic import Field

from blocks.model import Frozen
from tasks.quality.audit.job_row import JobRow

NUMBERS = (
    "audio_s",
    "coverage",
    "confidence",
    "rtf",
    "edit_rate",
    "words_per_min",
    "repeated_share",
    "compression",
    "heard_share",
    "alignment",
    "summary_filled",
    "cost_per_min",
    "cost_per_ktoken",
)
KINDS = ("status", "language", "engine", "language_engine", "template")

LEAST_COUNT = 50
"""Jobs that each period needs. Source: five expected in each of ten bins is the least at which a chi-square test holds
(Cochran, "Some methods for strengthening the common chi-square tests", Biometrics 10, 1954)."""

BINS = 10
"""Source: deciles of the earlier sample, as usual for this index (Siddiqi, "Credit Risk Scorecards", 2006)."""

CHANCE = 1e-5
"""How often chance alone may pass `psi_noise`: with 18 measures a day, once in fifteen years."""


class DriftRow(Frozen):
    """One measure against the period before: the table `drift` of audits."""

    measure: str = Field(description="column of the table `jobs`")
    n: int = Field(description="jobs that have it")
    n_before: int = Field(description="jobs of the period before that have it")
    psi: float | None = Field(default=None, description="population stability index; empty with fewer than 50 jobs")
    psi_noise: float | None = Field(default=None, description="index that chance alone reaches once in 100,000 periods")
    psi_beyond_noise: float | None = Field(default=None, description="`psi` where it passes `psi_noise`, else 0")
    mean: float | None = Field(default=None, description="mean of a number")
    mean_before: float | None = Field(default=None, description="the same of the period before")
    commonest: str | None = Field(default=None, description="commonest of a kind, with its share")
    commonest_before: str | None = Field(default=None, description="the same of the period before")


def drift(now: Sequence[JobRow], before: Sequence[JobRow]) -> list[DriftRow]:
    """A row for each measure that both periods have.

    The population stability index is the sum over bins of (p - q) ln(p / q), p and q the shares of the two samples
    in a bin. Up to 0.1 a population counts as stable, from 0.25 on as shifted (Siddiqi 2006, after Lewis, "An
    Introduction to Credit Scoring", 1994). Two samples of one population have an index, too: about chi-square with
    bins - 1 degrees of freedom, times 1/n + 1/m (Yurdakul and Naranjo, "Statistical properties of the population
    stability index", Journal of Risk Model Validation 14, 2020). Only what is beyond that is drift.

    Args:
        now: Jobs of the period.
        before: Jobs of the period before.
    """
    rows = [_of_numbers(name, _values(now, name), _values(before, name)) for name in NUMBERS]
    rows += [_of_kinds(name, _values(now, name), _values(before, name)) for name in KINDS]
    return [row for row in rows if row.n and row.n_before]


def _values(rows: Sequence[JobRow], name: str) -> list[object]:
    return [value for row in rows if (value := getattr(row, name)) is not None]


def _of_numbers(name: str, now: list[object], before: list[object]) -> DriftRow:
    import numpy as np

    row = DriftRow(measure=name, n=len(now), n_before=len(before))
    if not now or not before:
        return row
    values, earlier = np.array(now, float), np.array(before, float)
    means = {"mean": float(values.mean()), "mean_before": float(earlier.mean())}
    if min(row.n, row.n_before) < LEAST_COUNT:
        return row.model_copy(update=means)
    # Bins by distinct values: a measure that is 0 nearly always has few.
    edges = np.unique(np.quantile(earlier, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    counts = [np.bincount(np.searchsorted(edges, one), minlength=len(edges) + 1).tolist() for one in (values, earlier)]
    return row.model_copy(update=means | _index(counts[0], counts[1]))


def _of_kinds(name: str, now: list[object], before: list[object]) -> DriftRow:
    row = DriftRow(measure=name, n=len(now), n_before=len(before))
    if not now or not before:
        return row
    counted, earlier = Counter(map(str, now)), Counter(map(str, before))
    told = {"commonest": _commonest(counted), "commonest_before": _commonest(earlier)}
    if min(row.n, row.n_before) < LEAST_COUNT:
        return row.model_copy(update=told)
    kinds = sorted(counted | earlier)
    index = _index([counted[kind] for kind in kinds], [earlier[kind] for kind in kinds])
    return row.model_copy(update=told | index)


def _commonest(counted: Counter[str]) -> str:
    [(kind, count)] = counted.most_common(1)
    return f"{kind} {count / counted.total():.0%}"


def _index(now: Sequence[int], before: Sequence[int]) -> dict[str, float]:
    """The index of two samples that were counted in the same bins, and what chance alone reaches."""
    bins = [(one, other) for one, other in zip(now, before, strict=True) if one or other]
    n, m = sum(now), sum(before)
    # Half a job more in each bin: an empty one would make the index infinite.
    shares = [((one + 0.5) / (n + 0.5 * len(bins)), (other + 0.5) / (m + 0.5 * len(bins))) for one, other in bins]
    psi = sum((p - q) * math.log(p / q) for p, q in shares)
    noise = _chi_square(len(bins) - 1) * (1 / n + 1 / m) if len(bins) > 1 else 0.0
    return {"psi": psi, "psi_noise": noise, "psi_beyond_noise": psi if psi > noise else 0.0}


def _chi_square(degrees: int) -> float:
    """The value that chance passes once in 1 / `CHANCE`.

    Source: Wilson and Hilferty, "The distribution of chi-square", PNAS 17, 1931. Here 2 to 11 % too high, which is the
    safe side, and without scipy.
    """
    z = 4.264890793922602  # of the normal distribution, at 1 - CHANCE
    part = 2 / (9 * degrees)
    return degrees * (1 - part + z * math.sqrt(part)) ** 3
