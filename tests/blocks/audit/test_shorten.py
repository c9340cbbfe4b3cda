"""The oldest days of a log go, and what is left still proves itself."""

import subprocess
import sys
from pathlib import Path

import pytest

from blocks.audit import AuditBroken, Head
from blocks.audit.checkpoint import FILE
from blocks.audit.shorten import Shortening, due, shorten
from tests.blocks.audit.audits import KEY, checked, entry, lines, open_log, put, told, written

ALL = "2026-11-30"


def nothing(_: object) -> bool:
    return False


def shortened(folder: Path, before: str = "2026-11-05", *anchors: Head) -> Shortening:
    return shorten(open_log(folder), folder, KEY, anchors, due(folder, KEY, before, nothing))


def days(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.jsonl"))


def test_old_days_go_and_the_rest_verifies(tmp_path: Path) -> None:
    log = written(tmp_path, 3, 2, 4)
    anchors = [record.head for record in log.read()]
    what = shortened(tmp_path)
    assert what.days == ("2026-11-03", "2026-11-04")
    assert days(tmp_path)[0] == "2026-11-05"
    verdict = checked(tmp_path, *anchors)
    assert (verdict.ok, verdict.since, verdict.entries) == (True, 5, 5)
    assert "after record 5" in verdict.summary
    open_log(tmp_path).append(entry("later"))
    assert checked(tmp_path, *anchors).ok


def test_the_latest_day_stays_however_old(tmp_path: Path) -> None:
    written(tmp_path, 2, 2)
    assert due(tmp_path, KEY, ALL, nothing).days == ("2026-11-03",)


def test_a_held_entry_keeps_its_day_and_all_after_it(tmp_path: Path) -> None:
    log = written(tmp_path, 1, 1, 1, 1)
    what = due(tmp_path, KEY, ALL, lambda entry: str(entry["entry_id"]).endswith("/1-0"))
    assert (what.days, what.held_on) == (("2026-11-03",), "2026-11-04")
    assert log.head().seq == 4


def test_again_and_again(tmp_path: Path) -> None:
    written(tmp_path, 1, 1, 1, 1)
    shortened(tmp_path, "2026-11-04")
    assert shortened(tmp_path, "2026-11-04").days == ()
    assert shortened(tmp_path, "2026-11-06").days == ("2026-11-04", "2026-11-05")
    assert checked(tmp_path).since == 3


def test_a_broken_log_is_not_shortened(tmp_path: Path) -> None:
    written(tmp_path, 2, 1)
    put(tmp_path, lines(tmp_path)[1:])
    with pytest.raises(AuditBroken):
        shortened(tmp_path)
    assert len(days(tmp_path)) == 2


def test_without_its_checkpoint_the_days_are_missing(tmp_path: Path) -> None:
    written(tmp_path, 2, 1, 1)
    shortened(tmp_path)
    (tmp_path / FILE).unlink()
    assert told(checked(tmp_path)) == [("missing", "2026-11-05.jsonl", 1)]


def test_a_checkpoint_that_was_changed_is_a_fault(tmp_path: Path) -> None:
    written(tmp_path, 2, 1, 1)
    shortened(tmp_path)
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes().replace(b'"seq":3', b'"seq":2'))
    assert [kind for kind, _, _ in told(checked(tmp_path))] == ["checkpoint", "missing"]


def test_an_older_checkpoint_put_back_hides_nothing(tmp_path: Path) -> None:
    written(tmp_path, 1, 1, 1, 1)
    shortened(tmp_path, "2026-11-04")
    old = (tmp_path / FILE).read_bytes()
    shortened(tmp_path, "2026-11-06")
    (tmp_path / FILE).write_bytes(old)
    assert [kind for kind, _, _ in told(checked(tmp_path))] == ["missing"]


def test_days_after_the_checkpoint_that_are_gone_are_missing(tmp_path: Path) -> None:
    written(tmp_path, 1, 1, 1, 1)
    shortened(tmp_path, "2026-11-04")
    (tmp_path / "2026-11-04.jsonl").unlink()
    assert [kind for kind, _, _ in told(checked(tmp_path))] == ["missing"]


def test_an_anchor_of_another_log_shows(tmp_path: Path) -> None:
    written(tmp_path, 1, 1, 1)
    shortened(tmp_path)
    assert [kind for kind, _, _ in told(checked(tmp_path, Head(seq=2, hash="0" * 64)))] == ["anchor"]


def test_a_log_cut_before_its_checkpoint_shows(tmp_path: Path) -> None:
    written(tmp_path, 1, 1, 1)
    shortened(tmp_path)
    for path in tmp_path.glob("*.jsonl"):
        path.unlink()
    assert [kind for kind, _, _ in told(checked(tmp_path))] == ["cut"]


def test_what_was_moved_aside_goes_with_its_day(tmp_path: Path) -> None:
    written(tmp_path, 1)
    with (tmp_path / "2026-11-03.jsonl").open("ab") as stream:
        stream.write(b'{"half')
    written(tmp_path, 1, 1)  # the first record moves it aside
    assert list(tmp_path.glob("*.torn"))
    shortened(tmp_path)
    assert not list(tmp_path.glob("*.torn"))
    assert checked(tmp_path).ok


def test_killed_at_any_call_it_verifies_and_goes_on(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.blocks.crashes",
        "tests.blocks.audit.crash_cases",
        str(tmp_path / "crashes"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [int(line) > 10 for line in done.stdout.split()] == [True, True]
