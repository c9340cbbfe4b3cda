"""Rollouts watched through a real Prometheus that scrapes a service on loopback."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from blocks.errors import BadInput
from blocks.hosts.inventory import ONLY_HERE
from blocks.store import open_store
from tasks.ops.rollout.plan import FORM
from tasks.ops.rollout.watch import Watch, watch
from tests.tasks.ops.conftest import MakePerformer
from tests.tasks.ops.rollout.exporter import Exporter, exporting, prometheus

FAILED, ALL = 'sum(http_requests_total{{track="{0}",code="500"}})', 'sum(http_requests_total{{track="{0}"}})'
ERRORS: dict[str, Any] = {
    "name": "error-rate",
    "kind": "ratio",
    "canary": FAILED.format("canary"),
    "canary_total": ALL.format("canary"),
    "baseline": FAILED.format("baseline"),
    "baseline_total": ALL.format("baseline"),
    "least_events": 10,
    "critical": {"at": 0.05, "of_baseline": 3, "from_value": 0.01},
}


@pytest.fixture
def exporter() -> Exporter:
    return Exporter()


@pytest.fixture
def url(exporter: Exporter, tmp_path: Path) -> Iterator[str]:
    with exporting(exporter) as port, prometheus(tmp_path / "prometheus", port) as address:
        yield address


class Traffic:
    """Between two looks: more requests, and then until Prometheus has seen them."""

    def __init__(self, exporter: Exporter, url: str, between: Callable[[int, Exporter], None]) -> None:
        self._exporter, self._url, self._between, self._look = exporter, url, between, 0

    async def __call__(self, _seconds: float) -> None:
        self._look += 1
        self._between(self._look, self._exporter)
        wanted = sum(self._exporter.counts.values())
        async with httpx.AsyncClient(base_url=self._url) as client:
            while True:
                answer = await client.get("/api/v1/query", params={"query": "sum(http_requests_total)"})
                if float(answer.json()["data"]["result"][0]["value"][1]) == wanted:
                    return
                await asyncio.sleep(0.05)  # a scrape; nothing tells us when


Run = Callable[..., Awaitable[Watch]]


@pytest.fixture
def run(url: str, exporter: Exporter, tmp_path: Path, make_performer: MakePerformer) -> Run:
    async def watched(between: Callable[[int, Exporter], None], metric: dict[str, Any] = ERRORS) -> Watch:
        plan = FORM.validate_python(
            {
                "service": "payments",
                "version": "1.4.2",
                "source": {"prometheus": url},
                "metrics": [metric],
                "interval_s": 1,
                "bake_s": 4,
                "most_s": 30,
                "most_missing": 3,
                "rollback": [{"name": "undo", "argv": ["sh", "-c", f"echo undone >> {tmp_path}/undone"]}],
            }
        )
        performer = make_performer(flow="watch-rollout")
        return await watch(performer, open_store(), ONLY_HERE, plan, wait=Traffic(exporter, url, between))

    return watched


def traffic(canary_failed: float, baseline_failed: float = 0) -> Callable[[int, Exporter], None]:
    def between(_look: int, exporter: Exporter) -> None:
        for track, failed in (("canary", canary_failed), ("baseline", baseline_failed)):
            exporter.add(track, "500", failed)
            exporter.add(track, "200", 100 - failed)

    return between


async def test_a_good_canary_passes(run: Run, tmp_path: Path) -> None:
    result = await run(traffic(0))
    assert (result.status, result.state.good_looks) == ("passed", 4)
    assert not (tmp_path / "undone").exists()


async def test_a_bad_canary_is_taken_back_once(run: Run, tmp_path: Path) -> None:
    result = await run(traffic(20))
    assert (result.status, sum(result.state.recent)) == ("rolled_back", 3)
    assert (tmp_path / "undone").read_text() == "undone\n"
    assert "0.2 passes 0.05" in result.why


async def test_a_canary_worse_than_its_baseline_is_taken_back(run: Run) -> None:
    assert (await run(traffic(4, 1))).status == "rolled_back"


async def test_a_canary_that_restarts_is_not_taken_for_better_or_worse(run: Run) -> None:
    def between(look: int, exporter: Exporter) -> None:
        if look == 3:
            exporter.restart("canary")
        traffic(0)(look, exporter)

    result = await run(between)
    assert result.status == "passed"
    assert all(one.canary == 0 for one in result.state.last.metrics)  # type: ignore[union-attr]


RATE = {
    "name": "error-rate",
    "canary": 'sum(rate(http_requests_total{track="canary",code="500"}[5s]))'
    ' / sum(rate(http_requests_total{track="canary"}[5s]))',
    "critical": {"at": 0.05},
}


async def test_no_traffic_is_no_number_and_no_verdict(run: Run) -> None:
    result = await run(lambda _look, _exporter: None, RATE)
    assert result.status == "no_data"
    assert "nan" in result.why or "no series" in result.why


async def test_a_query_that_is_none_is_refused(run: Run) -> None:
    with pytest.raises(BadInput, match="Prometheus does not take"):
        await run(traffic(0), {**RATE, "canary": "sum(rate("})


async def test_several_series_are_no_value(run: Run) -> None:
    result = await run(traffic(0), {**RATE, "canary": "http_requests_total"})
    assert (result.status, "4 series" in result.why) == ("no_data", True)


async def test_a_prometheus_that_is_away_is_missing_data(make_performer: MakePerformer) -> None:
    plan = FORM.validate_python(
        {
            "service": "payments",
            "version": "1.4.2",
            "source": {"prometheus": "http://127.0.0.1:9"},
            "metrics": [RATE],
            "interval_s": 1,
            "bake_s": 10,
            "most_missing": 2,
        }
    )

    async def wait(_seconds: float) -> None:
        return

    result = await watch(make_performer(), open_store(), ONLY_HERE, plan, wait=wait)
    assert (result.status, result.state.looks) == ("no_data", 2)
