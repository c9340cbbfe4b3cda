"""Recorded metrics, and plans that play them back."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.ops.rollout.plan import FORM, RolloutPlan

INTERVAL_S = 10


def record(path: Path, series: Mapping[str, Sequence[float | str | None]]) -> Path:
    """Write a recording: a value at each look; None where there is none."""
    rows = ["at,series,value"]
    for name, values in series.items():
        rows += [f"{look * INTERVAL_S},{name},{value}" for look, value in enumerate(values) if value is not None]
    path.write_text("\n".join(rows) + "\n")
    return path


def plan(csv: Path, *metrics: Mapping[str, Any], **facts: Any) -> RolloutPlan:
    """A plan over a recording: a bake of five looks, three critical ones of five lead back."""
    given: dict[str, Any] = {
        "service": "payments",
        "version": "1.4.2",
        "source": {"csv": str(csv), "stale_s": 5},
        "metrics": list(metrics) or [ERRORS],
        "interval_s": INTERVAL_S,
        "bake_s": 50,
        "most_s": 400,
        "most_missing": 4,
    }
    return FORM.validate_python(given | facts)


ERRORS: dict[str, Any] = {
    "name": "error-rate",
    "canary": "errors",
    "warn": {"at": 0.01},
    "critical": {"at": 0.05},
}
"""As published: 1 % is told, 5 % counts."""
