"""The table of docs/operations/rollouts.md: every row is a test, on a recording that is played back."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from blocks.hosts.inventory import ONLY_HERE
from blocks.progress import notices
from blocks.store import open_store
from tasks.ops.rollout.judge import Counted, WatchState, after, increase, judge
from tasks.ops.rollout.look import look
from tasks.ops.rollout.plan import Metric
from tasks.ops.rollout.sources import Recorded
from tasks.ops.rollout.watch import Watch, watch
from tests.tasks.ops.conftest import MakePerformer
from tests.tasks.ops.rollout.recording import ERRORS, plan, record

BAD, OK, WARN = 0.2, 0.001, 0.02


class Watched:
    """Plays a recording back."""

    def __init__(self, folder: Path, make_performer: MakePerformer) -> None:
        self._folder, self._make = folder, make_performer

    async def __call__(self, *metrics: Any, series: dict[str, Sequence[Any]], **facts: Any) -> Watch:
        csv = record(self._folder / "metrics.csv", series)
        facts = {"rollback": _rollback(self._folder), **facts}
        return await watch(self._make(flow="watch-rollout"), open_store(), ONLY_HERE, plan(csv, *metrics, **facts))

    @property
    def undone(self) -> int:
        """How often the rollback was done."""
        found = self._folder / "undone.txt"
        return len(found.read_text().splitlines()) if found.exists() else 0


def _rollback(folder: Path) -> list[dict[str, Any]]:
    return [{"name": "undo", "argv": ["sh", "-c", f"echo {{version}} >> {folder}/undone.txt"]}]


@pytest.fixture
def watched(tmp_path: Path, make_performer: MakePerformer) -> Watched:
    return Watched(tmp_path, make_performer)


async def test_only_what_changes_is_said_of_a_recording(watched: Watched) -> None:
    said: list[str] = []
    token = notices.set(said.append)
    await watched(series={"errors": [OK, OK, BAD, OK, OK, OK, OK]})
    notices.reset(token)
    assert [line.split(" look ")[1].split(",")[0] for line in said] == ["1", "3", "4"]


async def test_a_watch_that_goes_on_says_so_every_minute(
    tmp_path: Path, make_performer: MakePerformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    token = notices.set(said.append)
    monkeypatch.setattr(Recorded, "waits", True)  # as if it happened now

    async def at_once(_: float) -> None:
        """The recording has its own clock."""

    csv = record(tmp_path / "metrics.csv", {"errors": [OK] * 20})
    performer = make_performer(flow="watch-rollout")
    await watch(performer, open_store(), ONLY_HERE, plan(csv, bake_s=150), wait=at_once)
    notices.reset(token)
    assert [line.split(" look ")[1].split(",")[0] for line in said] == ["1", "7", "13"]


@pytest.mark.parametrize(
    ("values", "status", "looks"),
    [
        pytest.param([OK] * 10, "passed", 5, id="all is good"),
        pytest.param([BAD] * 10, "rolled_back", 3, id="critical without end"),
        pytest.param([OK, BAD, OK, OK, OK, OK, OK], "passed", 5, id="critical once"),
        pytest.param([BAD, OK, BAD, OK, BAD, OK], "rolled_back", 5, id="flapping: three of five"),
        pytest.param([BAD, OK, OK, OK, BAD, OK, OK, OK, OK, OK], "passed", 7, id="flapping: two of five"),
        pytest.param([WARN] * 50, "undecided", 40, id="a warning that stays"),
        pytest.param([OK, OK, OK, OK, WARN, OK, OK], "passed", 7, id="a warning at the end of the bake"),
        pytest.param([OK, None, None, OK, OK, OK, OK], "passed", 7, id="missing for a while: the bake waits"),
        pytest.param([OK, None, None, None, None], "no_data", 5, id="missing for too long"),
        pytest.param([BAD, None, BAD, None, BAD], "rolled_back", 5, id="missing between critical looks"),
        pytest.param([OK, "NaN", "NaN", "NaN", "NaN"], "no_data", 5, id="no number is as missing"),
        pytest.param(["inf"] * 3, "rolled_back", 3, id="infinite is the worst"),
        pytest.param(["-inf"] * 4, "no_data", 4, id="infinite the other way is as missing"),
        pytest.param([0.05] * 40, "undecided", 40, id="a limit that is reached is not passed"),
    ],
)
async def test_looks_lead_to_what_the_table_says(values: list[Any], status: str, looks: int, watched: Watched) -> None:
    result = await watched(series={"errors": values, "other": [0] * 50})
    assert (result.status, result.state.looks) == (status, looks)
    assert watched.undone == (1 if status == "rolled_back" else 0)


async def test_flapping_between_warning_and_critical_is_counted_like_any_other(watched: Watched) -> None:
    result = await watched(series={"errors": [WARN, BAD] * 3}, out_of=6)
    assert (result.status, result.state.looks) == ("rolled_back", 6)


async def test_missing_data_leads_back_only_where_the_plan_says_so(watched: Watched) -> None:
    series = {"errors": [OK], "other": [0] * 50}
    assert (await watched(series=series, on_missing="rollback")).status == "rolled_back"
    assert watched.undone == 1


RATIO = {**ERRORS, "kind": "ratio", "canary": "failed", "canary_total": "all", "least_events": 10}


@pytest.mark.parametrize(
    ("failed", "whole", "statuses"),
    [
        pytest.param([0, 1, 2], [100, 200, 300], ["warming", "good", "good"], id="counters"),
        pytest.param([50, 52, 1], [1000, 1100, 50], ["warming", "warn", "warn"], id="reset: what came since counts"),
        pytest.param([0, 40, 0], [100, 200, 100], ["warming", "critical", "good"], id="reset: and is no fall"),
        pytest.param([0, 5, 5], [100, 105, 400], ["warming", "missing", "good"], id="too few events"),
        pytest.param([0, "NaN", 9], [100, 200, 400], ["warming", "missing", "warn"], id="no number is not remembered"),
    ],
)
async def test_counters(failed: list[Any], whole: list[Any], statuses: list[str]) -> None:
    found: list[str] = []
    for count in range(1, 4):
        found.append(await _status_of({"failed": failed[:count], "all": whole[:count]}))
    assert found == statuses


async def _status_of(series: dict[str, Any]) -> str:
    looks = len(series["failed"])
    asked = plan(Path("x.csv"), RATIO)
    points = {name: [(10.0 * at, float(value)) for at, value in enumerate(values)] for name, values in series.items()}
    source, state = Recorded(points, 10, 5), WatchState()
    for _ in range(looks):
        seen, counters = await look(source, asked, state)
        state = after(state, seen, asked).model_copy(update={"counters": counters})
    assert state.last
    return state.last.status


def test_a_counter_that_fell_began_anew() -> None:
    assert increase(None, 5) is None
    assert increase(Counted(value=3, at=0), 5) == 2
    assert increase(Counted(value=30, at=0), 5) == 5


@pytest.mark.parametrize(
    ("limit", "canary", "baseline", "status"),
    [
        pytest.param({"of_baseline": 2}, 900, 400, "critical", id="more than twice the baseline"),
        pytest.param({"of_baseline": 2}, 700, 400, "good", id="less than twice the baseline"),
        pytest.param({"of_baseline": 2, "from_value": 1000}, 900, 400, "good", id="compared from a value on"),
        pytest.param({"of_baseline": 2}, 900, None, "missing", id="no baseline, and no other limit"),
        pytest.param({"of_baseline": 2}, 900, math.nan, "missing", id="a baseline that is no number"),
        pytest.param({"of_baseline": 2, "at": 1000}, 900, None, "good", id="no baseline: the value alone"),
        pytest.param({"of_baseline": 2, "at": 1000}, 1100, 0, "critical", id="a baseline of 0: the value alone"),
    ],
)
def test_a_canary_against_its_baseline(
    limit: dict[str, float], canary: float, baseline: float | None, status: str
) -> None:
    metric = Metric.model_validate({"name": "p99", "canary": "c", "baseline": "b", "critical": limit})
    assert judge(metric, canary, baseline).status == status


@pytest.mark.parametrize(
    ("value", "status"), [(0.999, "good"), (0.98, "warn"), (0.9, "critical"), (-math.inf, "critical")]
)
def test_success_is_worse_when_it_is_lower(value: float, status: str) -> None:
    limits = {"warn": {"at": 0.99}, "critical": {"at": 0.95}}
    metric = Metric.model_validate({"name": "success", "worse": "lower", "canary": "c", **limits})
    assert judge(metric, value, None).status == status


async def test_one_critical_metric_counts_though_another_is_missing(watched: Watched) -> None:
    other = {**ERRORS, "name": "other", "canary": "other"}
    result = await watched(ERRORS, other, series={"errors": [BAD] * 3, "other": [0]})
    assert result.status == "rolled_back"


async def test_a_metric_without_data_keeps_the_bake_from_ending(watched: Watched) -> None:
    other = {**ERRORS, "name": "other", "canary": "other"}
    result = await watched(ERRORS, other, series={"errors": [OK] * 9, "other": [0]})
    assert result.status == "no_data"


async def test_people_hear_once_of_each_episode(watched: Watched, told: list[tuple[str, str]]) -> None:
    await watched(series={"errors": [WARN, WARN, OK, WARN, OK, OK, OK, OK]})
    assert [subject for subject, _ in told] == ["payments 1.4.2: warn", "payments 1.4.2: passed"]
