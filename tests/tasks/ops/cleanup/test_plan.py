"""What is cleaned: settings, and the file beyond them, checked before anything is done."""

from pathlib import Path

import pytest

from blocks.errors import BadInput, NotFound
from blocks.settings import settings
from tasks.ops.cleanup.plan import CleanupPlan, at_once, log_trees, read_plan
from tasks.ops.cleanup.rules import Retention, due

DAY_NS = 86_400 * 10**9


def given(monkeypatch: pytest.MonkeyPatch, **environment: str) -> CleanupPlan:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    return read_plan(settings())


def test_without_anything_both_are_kept_for_seven_days_and_the_trash_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = given(monkeypatch)
    assert (plan.logs.days, plan.audio.days, plan.logs.trash_days) == (7, 7, 1)
    assert settings().disk_threshold == 80
    assert not (settings().emergency_cleanup or settings().dry_run or settings().skip_cache)


def test_settings_say_how_long_and_the_file_says_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "cleanup.yaml"
    file.write_text("""
logs: {compress_days: 2, protected: ["audit/*"], keep_newest: 3}
audio: {days: 14}
trees:
  - {name: nginx, root: /var/log/nginx, retention: {days: 30}}
""")
    plan = given(monkeypatch, DAYS_TO_KEEP="30", RETENTION_DAYS="3", CLEANUP_FILE=str(file))
    assert (plan.logs.days, plan.logs.compress_days, plan.audio.days) == (30, 2, 14)
    logs, nginx = log_trees(plan, tmp_path)
    assert logs.protects("audit/a.log", "a.log")
    assert logs.protects("c500.jsonl", "c500.jsonl")
    assert logs.protects("service/server.log", "server.log")
    assert logs.protects(".hidden.log", ".hidden.log")
    assert not logs.protects("service/server.log.1", "server.log.1")
    assert (nginx.name, nginx.retention.days) == ("nginx", 30)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("logs: {days: -1}", "cleanup.yaml:1: logs.days"),
        ("logs: {cross_mounts: true}", "trash_days: 0"),
        ("logs: {keep_most: 1, keep_newest: 2}", "keep_most"),
        ("audio: {keep_most: 5}", "audio is kept by days alone"),
        ("unknown: 1", "unknown"),
        ("trees:\n  - {name: logs, root: /x}", "name of its own"),
        ("trees:\n  - {name: x, root: /x, below: ../up}", "cleanup.yaml:2: trees.0.below"),
    ],
)
def test_a_wrong_file_is_told_with_its_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "cleanup.yaml").write_text(text)
    with pytest.raises(BadInput, match=told):
        given(monkeypatch, CLEANUP_FILE=str(tmp_path / "cleanup.yaml"))
    with pytest.raises(NotFound, match="there is no file"):
        given(monkeypatch, CLEANUP_FILE=str(tmp_path / "none.yaml"))


def test_in_an_emergency_nothing_goes_through_the_trash() -> None:
    kept = at_once(Retention(days=3, trash_days=5, compress_days=1))
    assert (kept.days, kept.trash_days, kept.compress_days) == (3, 0, None)


def test_age_and_number_decide_and_what_is_of_the_future_counts_for_nothing() -> None:
    ages = [-DAY_NS, 0, 2 * DAY_NS, 4 * DAY_NS, 8 * DAY_NS, 9 * DAY_NS]
    assert due(ages, Retention()) == ["future", "young", "young", "young", "trash", "trash"]
    kept = Retention(trash_days=0, keep_newest=1, keep_most=3, compress_days=1)
    assert due(ages, kept) == ["future", "newest", "compress", "compress", "delete", "delete"]
    assert due(ages, Retention(keep_newest=5, keep_most=5))[1:] == ["newest"] * 5
