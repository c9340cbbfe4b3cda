"""Drift: what is a shift, and what is chance."""

import random
from collections.abc import Callable

import pytest

from tasks.quality.audit.drift import LEAST_COUNT, DriftRow, drift
from tasks.quality.audit.job_row import JobRow
from tests.fakes.stored_jobs import DAY

Make = Callable[[random.Random], dict[str, object]]


def rows(seed: int, number: int, make: Make) -> list[JobRow]:
    chance = random.Random(seed)
    return [
        JobRow(job_id=f"{seed}-{index}", finished_at=DAY, kind="audio", status="complete", **make(chance))  # type: ignore[arg-type]
        for index in range(number)
    ]


def of(measure: str, found: list[DriftRow]) -> DriftRow:
    [row] = [row for row in found if row.measure == measure]
    return row


def test_the_index_is_that_of_a_hand() -> None:
    """300 of en and 100 of vi, then 200 and 200: (3/4 - 1/2) ln(3/2) + (1/4 - 1/2) ln(1/2), up to half a job each."""
    before = rows(1, 300, lambda _: {"language": "en"}) + rows(2, 100, lambda _: {"language": "vi"})
    now = rows(3, 200, lambda _: {"language": "en"}) + rows(4, 200, lambda _: {"language": "vi"})
    found = of("language", drift(now, before))
    assert found.psi == pytest.approx(0.2747, abs=0.003)
    assert (found.commonest, found.commonest_before) == ("en 50%", "en 75%")
    assert found.psi_noise is not None and found.psi_noise < 0.12


@pytest.mark.parametrize("number", [LEAST_COUNT, 300])
def test_chance_is_no_drift(number: int) -> None:
    def make(chance: random.Random) -> dict[str, object]:
        return {"confidence": chance.gauss(0.8, 0.05), "repeated_share": max(0.0, chance.gauss(-0.1, 0.1))}

    for seed in range(60):
        found = drift(rows(seed, number, make), rows(1000 + seed, number, make))
        assert {row.psi_beyond_noise for row in found} == {0.0}, seed


@pytest.mark.parametrize("number", [LEAST_COUNT, 1000])
def test_a_shift_by_two_deviations_is_drift(number: int) -> None:
    now = rows(1, number, lambda chance: {"confidence": chance.gauss(0.7, 0.05)})
    before = rows(2, number, lambda chance: {"confidence": chance.gauss(0.8, 0.05)})
    found = of("confidence", drift(now, before))
    assert found.psi_beyond_noise is not None and found.psi_beyond_noise > 0.25


def test_a_measure_that_was_always_zero_drifts_when_it_is_not() -> None:
    now = rows(1, 100, lambda chance: {"repeated_share": 0.5 if chance.random() < 0.5 else 0.0})
    before = rows(2, 100, lambda _: {"repeated_share": 0.0})
    found = of("repeated_share", drift(now, before))
    assert found.psi_beyond_noise is not None and found.psi_beyond_noise > 0.25
    assert of("repeated_share", drift(before, before)).psi == 0.0


def test_few_jobs_are_not_compared() -> None:
    few, many = rows(1, LEAST_COUNT - 1, lambda _: {"rtf": 5.0}), rows(2, 500, lambda _: {"rtf": 0.1})
    found = of("rtf", drift(few, many))
    assert (found.psi, found.psi_beyond_noise, found.mean, found.n, found.n_before) == (None, None, 5.0, 49, 500)
    assert drift(many, []) == []
