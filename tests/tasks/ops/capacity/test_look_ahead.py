"""Outlooks of resources: from files and a real Prometheus, with advice and charts."""

import math
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blocks.errors import BadInput
from blocks.settings import settings
from blocks.store import open_store
from tasks.ops.capacity.history import Samples
from tasks.ops.capacity.look_ahead import look_ahead, recommend
from tasks.ops.capacity.look_ahead import outlook_of as outlook_at
from tasks.ops.capacity.plan import FORM, USUAL_RULES, CapacityPlan, Resource, read_plan
from tasks.ops.capacity.report import CapacityReport, Outlook, amount, headline, report_markdown
from tests.fakes.monitoring import running_prometheus
from tests.tasks.ops.capacity.series import BEGIN_S, DAY_S, samples, straight

PNG = b"\x89PNG\r\n\x1a\n"


def plan_of(folder: Path, **resource: Any) -> CapacityPlan:
    told = {"name": "disk", "source": {"kind": "csv", "file": "h.csv"}, "limit": 400.0, **resource}
    return FORM.validate_python({"resources": [told]}).model_copy(update={"folder": folder})


def resource_of(**more: Any) -> Resource:
    return plan_of(Path(), **more).resources[0]


def write_csv(folder: Path, values: Any, head: str = "time,value") -> Path:
    lines = [
        f"{datetime.fromtimestamp(BEGIN_S + day * DAY_S, UTC).isoformat()},{one}" for day, one in enumerate(values)
    ]
    path = folder / "h.csv"
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


def after(days: float) -> datetime:
    """So long after the begin of all series."""
    return datetime.fromtimestamp(BEGIN_S, UTC) + timedelta(days=days)


def outlook_of(resource: Resource, given: Samples) -> tuple[Outlook, bytes | None]:
    """The outlook on the day after the last sample."""
    return outlook_at(resource, given, after(len(given.values)))


async def planned(plan: CapacityPlan, now: datetime | None = None) -> CapacityReport:
    outlooks = await look_ahead(plan, open_store(), "run-1", now or datetime.now(UTC))
    return CapacityReport(run_id="run-1", plan="plan.yaml", outlooks=outlooks)


async def test_a_file_gives_days_interval_advice_and_a_chart(tmp_path: Path) -> None:
    write_csv(tmp_path, straight(np.random.default_rng(1), 120))
    report = await planned(plan_of(tmp_path), after(120))
    (one,) = report.outlooks
    assert one.status == "forecast" and one.earliest_days is not None and one.latest_days is not None
    assert one.likely_days is not None and one.earliest_days <= one.likely_days <= one.latest_days
    assert one.likely_days == pytest.approx(80, abs=12)  # 100 + 1.5 · 200 = 400
    assert (one.level, report.ok) == ("notice", True) and one.says == USUAL_RULES[2].say
    assert one.chart is not None and open_store().read_bytes(one.chart).startswith(PNG)
    text = report_markdown(report)
    assert str(one.model) in text and "days, with 90% between" in text and "Capacity: 1 notice" in headline(report)


async def test_lines_that_cannot_be_read_are_gaps_and_told(tmp_path: Path) -> None:
    values: list[Any] = list(straight(np.random.default_rng(1), 120))
    values[10:14] = ["NaN", "", "n/a", "$(reboot)"]
    path = write_csv(tmp_path, values)
    path.write_text(path.read_text() + "yesterday,5\n")
    (one,) = (await planned(plan_of(tmp_path), after(120))).outlooks
    assert (one.status, one.gaps, one.dropped) == ("forecast", 4, 5)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "there is no file"),
        ("when,value\n1,2\n", "no column time"),
        ("time,used\n1,2\n", "no column value"),
        ("time,value\nfoo,1\nbar,2\n", "h.csv:2: most rows"),
        ("", "no column"),
    ],
)
async def test_a_bad_file_is_told_and_stops_no_other(tmp_path: Path, text: str | None, told: str) -> None:
    if text is not None:
        (tmp_path / "h.csv").write_text(text)
    report = await planned(plan_of(tmp_path))
    assert report.outlooks[0].status == "failed" and told in report.outlooks[0].says and not report.ok


async def test_too_little_history_is_told(tmp_path: Path) -> None:
    write_csv(tmp_path, range(9))
    (one,) = (await planned(plan_of(tmp_path))).outlooks
    assert (one.status, one.level, one.likely_days, one.chart) == ("too_little", "unknown", None, None)
    assert "Too little history: there are 9" in one.says


def test_what_has_run_out_is_critical() -> None:
    outlook, picture = outlook_of(resource_of(), samples(range(350, 410), limit=400.0))
    assert (outlook.status, outlook.level, outlook.likely_days) == ("exhausted", "critical", 0.0)
    assert picture is not None and picture.startswith(PNG)


def test_without_a_limit_nothing_is_said() -> None:
    outlook, _ = outlook_of(resource_of(), samples(range(60), limit=math.nan))
    assert outlook.level == "unknown" and "no limit" in outlook.says


def test_a_clean_up_is_taken_out_and_told() -> None:
    values = straight(np.random.default_rng(2), 100)
    values[50:] -= 70
    outlook, picture = outlook_of(resource_of(), samples(values, limit=400.0))
    assert len(outlook.resets) == 1 and outlook.per_day == pytest.approx(1.5, abs=0.4) and picture


def test_days_begin_now_though_the_history_ended_before() -> None:
    given = samples(straight(np.random.default_rng(1), 120), limit=400.0)
    fresh, _ = outlook_of(resource_of(), given)
    old, picture = outlook_at(resource_of(), given, after(120 + 70))
    assert fresh.likely_days and old.likely_days == pytest.approx(fresh.likely_days - 70, abs=2)
    assert (fresh.level, old.level) == ("notice", "critical") and picture is not None
    assert fresh.needed and old.needed == pytest.approx(fresh.needed + 1.5 * 70, rel=0.05)
    report = CapacityReport(run_id="r", plan="p", outlooks=(old,))
    assert f"to {after(120):%Y-%m-%d} 00:00 UTC" in report_markdown(report)
    gone, _ = outlook_at(resource_of(), given, after(120 * 6))
    assert (gone.status, gone.level) == ("failed", "unknown") and "ended 600 days ago" in gone.says


def test_what_reached_its_limit_this_morning_has_run_out() -> None:
    values = [*([300.0] * 24 * 40), 300.0, 401.0, 402.0]  # three hours of a new day
    outlook, _ = outlook_at(resource_of(), samples(values, 400.0, step_s=3600), after(40.2))
    assert (outlook.status, outlook.now) == ("exhausted", 402.0)


def test_what_has_run_out_comes_first_and_is_not_said_to_need_nothing() -> None:
    out, _ = outlook_of(resource_of(rules=[]), samples(range(350, 410), limit=400.0, name="out"))
    soon, _ = outlook_of(resource_of(), samples(range(300, 398), limit=400.0, name="soon"))
    assert out.says == "It has run out." and soon.level == out.level == "critical"
    text = report_markdown(CapacityReport(run_id="r", plan="p", outlooks=(soon, out)))
    assert text.index("critical: `out`") < text.index("critical: `soon`")


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.0, "0"), (1.23456, "1.235"), (12_345.6, "12346"), (999_999.0, "999999"), (-2.5e9, "-2.5 G"), (4e15, "4 P")],
)
def test_amounts_are_for_people(value: float, told: str) -> None:
    assert amount(value) == told


def test_names_from_outside_are_only_text() -> None:
    hostile = samples(straight(np.random.default_rng(1), 60), 400.0, "disk{a=$\\frac{, `x`\n# head, <img src=x>}")
    outlook, picture = outlook_of(resource_of(unit="$\\bad{"), hostile)
    assert picture is not None
    text = report_markdown(CapacityReport(run_id="r", plan="p", outlooks=(outlook,)))
    assert "\n# head" not in text


def test_the_rule_of_the_fewest_days_that_holds_is_taken() -> None:
    levels = [recommend(USUAL_RULES, days) for days in (3, 14, 30, 100, 500, None)]
    assert [one and one.level for one in levels] == ["critical", "critical", "warn", "notice", None, None]


def test_faults_of_a_plan_are_told(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(
        "resources:\n"
        "  - {name: a, source: {kind: csv, file: a.csv}}\n"
        "  - {name: b, source: {kind: prometheus, query: up, limit_query: '1'}, limit: .nan}\n"
    )
    with pytest.raises(BadInput) as caught:
        read_plan(path)
    assert "plan.yaml:2" in caught.value.message and "give limit" in caught.value.message
    assert caught.value.details["field"] == "plan"


DISKS = ("db-1", "db-2")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Prometheus with sixty days of two disks, the second of which has gaps; its address."""
    if not shutil.which("prometheus") or not shutil.which("promtool"):
        pytest.skip("no Prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    begun = int(datetime.now(UTC).timestamp())
    now = begun // 3600 * 3600
    random = np.random.default_rng(9)
    lines = ["# TYPE used_bytes gauge"]
    for disk in DISKS:
        for hour in range(60 * 24):
            used = (4e9 if disk == "db-1" else 1e9) + 2e6 * hour + random.normal(0, 2e7)
            if disk == "db-1" or not 300 <= hour < 500:
                lines.append(f'used_bytes{{disk="{disk}"}} {used} {now - (60 * 24 - hour) * 3600}')
    lines.append("# TYPE size_bytes gauge")
    lines += [f'size_bytes{{disk="{disk}"}} 1e10 {begun - 60 * ago}' for disk in DISKS for ago in range(60, -60, -1)]
    (folder / "history").write_text("\n".join([*lines, "# EOF"]) + "\n")
    made = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=720h"]
    subprocess.run([*made, str(folder / "history"), str(folder / "data")], check=True, capture_output=True)
    with running_prometheus(folder, {"scrape_configs": []}, "--storage.tsdb.retention.time=1y") as url:
        yield url


@pytest.fixture
def asked(prometheus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_URL", prometheus)
    settings.cache_clear()


@pytest.mark.usefixtures("asked")
async def test_a_real_prometheus_gives_each_series_its_outlook(tmp_path: Path) -> None:
    source = {"kind": "prometheus", "query": "used_bytes", "days": 60, "limit_query": "size_bytes"}
    report = await planned(plan_of(tmp_path, source=source, limit=None, unit="bytes", aggregate="mean"))
    assert len(report.outlooks) == 2, report.outlooks
    first, second = report.outlooks
    assert (first.name, second.name) == ("disk{disk=db-1}", "disk{disk=db-2}")
    assert first.status == second.status == "forecast" and first.limit == second.limit == 1e10
    # 48 MB a day: of 10 GB the first has 6.88 in use, and the second 3.88.
    assert first.likely_days == pytest.approx((10 - 6.88) / 0.048, rel=0.1)
    assert second.likely_days == pytest.approx((10 - 3.88) / 0.048, rel=0.15) and second.gaps > 5
    assert first.per_day == pytest.approx(4.8e7, rel=0.1)


@pytest.mark.usefixtures("asked")
async def test_series_that_differ_only_at_the_end_of_long_labels_are_two(tmp_path: Path) -> None:
    query = f'label_replace(used_bytes, "about", "{"x" * 200}", "disk", ".*")'
    plan = plan_of(tmp_path, source={"kind": "prometheus", "query": query, "days": 60}, limit=1e10, aggregate="mean")
    first, second = (await planned(plan)).outlooks
    assert (first.name, second.name) == ("disk{disk=db-1}", "disk{disk=db-2}")
    assert first.now == pytest.approx(6.88e9, rel=0.05) and second.now == pytest.approx(3.88e9, rel=0.05)


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(("query", "told"), [("used_bytes{", "refuses"), ("nothing_of_the_kind", "no series")])
async def test_bad_queries_are_told(tmp_path: Path, query: str, told: str) -> None:
    report = await planned(plan_of(tmp_path, source={"kind": "prometheus", "query": query}))
    assert report.outlooks[0].status == "failed" and told in report.outlooks[0].says


async def test_a_prometheus_that_has_only_begun_is_told_apart_from_a_wrong_query(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shutil.which("prometheus"):
        pytest.skip("Prometheus is not installed")
    began = (
        datetime.now(UTC).timestamp() // 3600 * 3600 + 0.5
    )  # after the latest whole hour, which is what is asked for
    query = f"vector(1) and on() (vector(time()) > {began})"
    source = {"kind": "prometheus", "query": query, "days": 1, "step_s": 3600}
    with running_prometheus(tmp_path, {"scrape_configs": []}) as url:
        monkeypatch.setenv("PROMETHEUS_URL", url)
        settings.cache_clear()
        (young,) = (await planned(plan_of(tmp_path, source=source))).outlooks
        (wrong,) = (await planned(plan_of(tmp_path, source=source | {"query": "no_such_metric"}))).outlooks
    assert "has values now, but none yet" in young.says and "wait" in young.says
    assert "gives no series" in wrong.says and "correct the query" in wrong.says


async def test_without_prometheus_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(tmp_path, source={"kind": "prometheus", "query": "up"})
    assert "PROMETHEUS_URL" in (await planned(plan)).outlooks[0].says
    monkeypatch.setenv("PROMETHEUS_URL", "http://127.0.0.1:9")
    settings.cache_clear()
    assert "does not answer" in (await planned(plan)).outlooks[0].says
