"""The names of metrics follow one scheme."""

import re
from pathlib import Path

import pytest

import deployments
from blocks.agent_metrics.names import NAME, REFERENCE, UNITS
from deployments.gateway.metrics.table import PARTS, TABLE

ENDINGS = {"total", "bucket", "count", "sum", "created", "info"}
NO_UNITS = re.compile(r"_(ms|milliseconds|minutes|hours|days|mb|kb|gb|megabytes|percent|dollars|s)(_|$)")
DOCS = Path(deployments.__file__).parent.parent / "docs" / "monitoring.md"


@pytest.mark.parametrize("name", TABLE)
def test_a_name_says_part_what_and_base_unit(name: str) -> None:
    metric, words = TABLE[name], name.split("_")
    assert NAME.fullmatch(name)
    assert (words[-1] == "total") == (metric.kind == "counter")
    assert words[-1] not in ENDINGS - {"total"} or name.endswith("_info")
    assert not NO_UNITS.search(name)
    inner = words[2:-1] if metric.kind != "counter" else words[2:-2]
    # A unit stands last. `jobs_per_second` would be none of Prometheus' units, a rate is what it makes itself.
    assert not set(inner) & set(UNITS) or name.endswith("_timestamp_seconds")
    assert metric.told.endswith(".")


def test_a_counter_with_a_unit_has_total_after_it() -> None:
    assert "c500_job_audio_seconds_total" in TABLE
    assert all(name.endswith("_total") for name in TABLE if TABLE[name].kind == "counter")


def test_nothing_is_told_by_user_job_or_session() -> None:
    labels = {label for metric in TABLE.values() for label in metric.labels}
    assert not labels & {"user", "job", "job_id", "run", "run_id", "session", "session_id", "incident", "key", "path"}


def test_each_part_that_is_looked_at_says_whether_it_is_up() -> None:
    own = {"http", "gateway", "worker", "swarm"}  # counted here, or told with another part
    assert {part for part in PARTS if f"c500_{part}_up" not in TABLE} == own


def test_the_books_names_are_told_too_and_are_nobodys_else() -> None:
    assert REFERENCE.keys() <= TABLE.keys()
    assert len(set(REFERENCE.values())) == len(REFERENCE)
    assert not set(REFERENCE.values()) & TABLE.keys()


def test_the_page_has_each_metric_with_its_labels() -> None:
    rows = dict(re.findall(r"^\| `(c500_\w+)` \| ([^|]*) \|", DOCS.read_text(), re.MULTILINE))
    assert rows.keys() == TABLE.keys()
    for name, metric in TABLE.items():
        assert tuple(part.strip() for part in rows[name].split(",") if part.strip()) == metric.labels, name
