"""Parts as the gateway looks at them: told again for a while, never waited for long, and none that breaks another."""

import asyncio
from collections.abc import Sequence

import pytest
from prometheus_client.metrics_core import Metric as Family

from deployments.gateway.metrics import part as module
from deployments.gateway.metrics.families import exposed, gauge_family
from deployments.gateway.metrics.part import Part
from deployments.gateway.metrics.served import ServedMetrics

UP = "c500_incident_up"
UNBRIEFED = "c500_incident_unbriefed"


class Looks:
    """A part that is looked at; says how often."""

    def __init__(self, *found: float | Exception | None) -> None:
        self.found = list(found)
        self.count = 0

    async def read(self) -> Sequence[Family] | None:
        self.count += 1
        found = self.found[min(self.count, len(self.found)) - 1]
        if isinstance(found, Exception):
            raise found
        return None if found is None else [gauge_family(UNBRIEFED, found)]


def values(families: Sequence[Family]) -> dict[str, float]:
    return {sample.name: sample.value for family in families for sample in family.samples}


async def test_a_part_says_that_it_is_up_and_what_was_found() -> None:
    assert values(await Part("incident", Looks(3).read, 60).told()) == {UP: 1, UNBRIEFED: 3}


async def test_what_is_not_there_is_not_told() -> None:
    part = Part("incident", Looks(None).read, 60)
    assert (values(await part.told()), part.age_s) == ({}, None)


async def test_it_is_looked_at_once_for_as_long_as_that_is_fresh() -> None:
    looks = Looks(1)
    part = Part("incident", looks.read, 60)
    await asyncio.gather(*(part.told() for _ in range(20)))
    await part.told()
    assert looks.count == 1
    eager = Part("incident", looks.read, 0)
    for _ in range(3):
        await eager.told()
    assert looks.count == 4


@pytest.mark.parametrize("error", [OSError("the disk is gone"), KeyError("status"), RuntimeError("a fault of ours")])
async def test_a_part_that_is_broken_is_down_and_comes_back(error: Exception) -> None:
    part = Part("incident", Looks(1, error, 2).read, 0)
    assert [values(await part.told()) for _ in range(3)] == [{UP: 1, UNBRIEFED: 1}, {UP: 0}, {UP: 1, UNBRIEFED: 2}]


async def test_a_broken_part_takes_no_other_with_it() -> None:
    broken = Part("incident", Looks(OSError("gone")).read, 0)
    well = Part("drift", Looks(1).read, 0)
    text = (await ServedMetrics([broken, well]).exposed()).decode()
    assert "c500_incident_up 0.0" in text
    assert "c500_drift_up 1.0" in text


async def test_a_slow_look_is_not_waited_for_and_the_last_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SOON_S", 0.01)
    slow, goes_on = False, asyncio.Event()

    async def read() -> Sequence[Family]:
        if slow:
            await goes_on.wait()
        return [gauge_family(UNBRIEFED, float(slow))]

    part = Part("incident", read, 0)
    before = values(await part.told())
    slow = True
    meanwhile = [values(await part.told()) for _ in range(3)]
    goes_on.set()
    await part._looking  # type: ignore[misc]
    part._fresh_s = 60
    assert [before, *meanwhile] == [{UP: 1, UNBRIEFED: 0}] * 4
    assert values(await part.told()) == {UP: 1, UNBRIEFED: 1}


async def test_the_first_look_is_not_waited_for_either_and_one_that_hangs_is_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)

    async def hangs() -> Sequence[Family]:
        await asyncio.Event().wait()
        return []

    part = Part("incident", hangs, 0)
    assert values(await part.told()) == {}
    monkeypatch.setattr(module, "HUNG_S", 0)
    assert values(await part.told()) == {UP: 0}
    await part.close()


async def test_looks_that_take_long_are_rare() -> None:
    looks = Looks(1)
    part = Part("incident", looks.read, 0, rest=1e9)
    for _ in range(3):
        await part.told()
    assert looks.count == 1


def test_what_is_told_is_in_the_form_of_prometheus() -> None:
    assert exposed([gauge_family("c500_incident_open", {("high",): 2.0})]).decode().splitlines() == [
        "# HELP c500_incident_open Open incidents.",
        "# TYPE c500_incident_open gauge",
        'c500_incident_open{severity="high"} 2.0',
    ]
