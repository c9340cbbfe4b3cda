"""Differences are marked where they are more than chance, and not where they are chance; simulated, seeded."""

import random

import pytest

from blocks.percentiles import interval
from tasks.quality.report.noise import (
    means_differ,
    quantile,
    quantiles_differ,
    shares_differ,
    totals_differ,
)

ROUNDS = 300


def marked(differ: object, make: object, chance: random.Random) -> float:
    """Share of rounds in which two samples are marked."""
    return sum(differ(make(chance), make(chance)) for _ in range(ROUNDS)) / ROUNDS  # type: ignore[operator]


def busy_day(chance: random.Random, size: float = 1.0) -> list[float]:
    """Jobs by hour: none at night, many at noon, in bursts."""
    return [size * chance.gauss(usual, usual**0.5) if usual else 0.0 for usual in [0] * 8 + [40] * 10 + [0] * 6]


def test_chance_is_not_marked() -> None:
    chance = random.Random(1)
    assert marked(lambda a, b: totals_differ(a, b, are_counts=True), busy_day, chance) < 0.02
    assert marked(means_differ, lambda one: [one.gauss(0.9, 0.05) for _ in range(80)], chance) < 0.02
    assert marked(lambda a, b: quantiles_differ(a, b, 50), lambda one: sorted(one.lognormvariate(0, 1) for _ in range(80)), chance) < 0.03  # fmt: skip # noqa: E501
    assert marked(lambda a, b: quantiles_differ(a, b, 95), lambda one: sorted(one.lognormvariate(0, 1) for _ in range(200)), chance) < 0.03  # fmt: skip # noqa: E501
    assert marked(lambda a, b: shares_differ(a, 200, b, 200), lambda one: sum(one.random() < 0.1 for _ in range(200)), chance) < 0.02  # fmt: skip # noqa: E501


def test_a_real_change_is_marked() -> None:
    chance = random.Random(2)
    assert all(totals_differ(busy_day(chance, 2.0), busy_day(chance), are_counts=True) for _ in range(20))
    found = sum(totals_differ(busy_day(chance, 1.5), busy_day(chance), are_counts=True) for _ in range(100))
    assert found > 80
    assert shares_differ(40, 200, 10, 200) and means_differ([0.8, 0.81] * 20, [0.9, 0.91] * 20)
    slow, fast = (sorted(chance.lognormvariate(mean, 0.5) for _ in range(100)) for mean in (0.7, 0))
    assert quantiles_differ(slow, fast, 50) and quantiles_differ(fast, slow, 50)


def test_one_burst_is_no_change_and_the_same_at_all_hours_is() -> None:
    assert not totals_differ([10, *[0] * 23], [0] * 24, are_counts=True), "whatever made one hour busy"
    assert not totals_differ([*[1] * 6, *[0] * 18], [0] * 24, are_counts=True)
    assert totals_differ([*[3] * 10, *[0] * 14], [0] * 24, are_counts=True)
    assert totals_differ([2.0] * 24, [1.0] * 24), "each hour the same amount more"
    assert not totals_differ([1.02] * 24, [1.0] * 24), "a little more"
    assert not totals_differ([1.0] * 24, [1.0] * 24) and not totals_differ([1], [0])


def test_too_little_says_nothing() -> None:
    assert not shares_differ(2, 2, 0, 100) and not shares_differ(5, 10, 0, 0)
    assert not means_differ([1.0] * 4, [9.0] * 4)
    assert not quantiles_differ([1.0] * 5, [9.0] * 5, 95) and quantile([], 50) is None


def test_percentiles_are_those_of_the_nearest_rank() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [quantile(values, percent) for percent in (50, 95, 100)] == [50, 95, 100]
    assert quantile([3.0, 8.0], 50) == 3.0
    # 100 values, p50: ranks floor(50 - 1.96 * 5) = 40 and ceil(50 + 9.8) + 1 = 61.
    assert interval(values, 50) == (40, 61) and interval(values[:5], 95)[1] is None


@pytest.mark.parametrize("size", [0, 1])
def test_equal_zeros_do_not_divide(size: int) -> None:
    assert not totals_differ([0.0] * size, [0.0] * size)
    assert not shares_differ(0, 10, 0, 10)
