"""A log shortened, and entries of it erased, by a process that is killed at any of its calls."""

from pathlib import Path

from blocks.audit.blank import erase
from blocks.audit.shorten import due, shorten
from tests.blocks.audit.audits import KEY, checked, entry, open_log, written

NOBODY = "2026-11-05"


def prepare(folder: Path) -> None:
    log = written(folder, 2, 1)
    log.append(entry("anna", user="anna", arguments={"said": "marker"}))
    written(folder, 0, 0, 1)


def cut(folder: Path) -> None:
    what = due(folder, KEY, NOBODY, lambda entry: False)
    shorten(open_log(folder), folder, KEY, (), what)


def check_cut(folder: Path, killed: bool) -> None:
    verdict = checked(folder)
    assert verdict.ok or all(fault.kind == "torn" for fault in verdict.faults), verdict
    if killed:
        open_log(folder).head()  # moves aside what was cut off
        cut(folder)
    assert checked(folder).ok
    assert sorted(path.stem for path in folder.glob("*.jsonl"))[0] == NOBODY


def blank(folder: Path) -> None:
    erase(open_log(folder), folder, lambda entry: entry.get("user") == "anna", "e1")


def check_blank(folder: Path, killed: bool) -> None:
    verdict = checked(folder)
    assert verdict.ok or all(fault.kind == "torn" for fault in verdict.faults), verdict
    if killed:
        open_log(folder).head()
        blank(folder)
    assert checked(folder).ok
    assert not any(b"marker" in path.read_bytes() for path in folder.iterdir() if not path.name.startswith("."))


CASES = [(prepare, cut, check_cut), (prepare, blank, check_blank)]
