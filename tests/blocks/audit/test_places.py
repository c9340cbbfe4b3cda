"""A glance at the end of a home's audit log."""

from pathlib import Path

import pytest

from blocks.audit import Anchors, AuditBroken, Head
from blocks.audit.places import AuditPlaces, checked_head, open_audit
from blocks.errors import NotFound, StoreFailed
from tests.blocks.audit.audits import edited, entry


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Of a log with two records, of which the first is anchored."""
    log = open_audit(tmp_path)
    Anchors(AuditPlaces(tmp_path).anchors).append(log.append(entry(1)))
    log.append(entry(2))
    return tmp_path


def latest(home: Path) -> Path:
    return max(AuditPlaces(home).folder.glob("*.jsonl"))


def test_a_whole_log_gives_its_head(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert checked_head(home) == open_audit(home).head()
    assert checked_head(tmp_path_factory.mktemp("new")).seq == 0


def test_a_write_that_is_under_way_is_passed_over(home: Path) -> None:
    before = checked_head(home)
    with latest(home).open("ab") as stream:
        stream.write(b'{"at":')
    (AuditPlaces(home).folder / "9999-01-01.jsonl").write_bytes(b'{"at":')
    assert checked_head(home) == before


def test_a_changed_end_is_found(home: Path) -> None:
    *lines, last = latest(home).read_bytes().splitlines(keepends=True)
    latest(home).write_bytes(b"".join([*lines, edited(last, outcome="another")]))
    with pytest.raises(StoreFailed, match="not as it was written"):
        checked_head(home)


@pytest.mark.parametrize("left", [0, 1])
def test_an_end_that_was_cut_off_is_found(home: Path, left: int) -> None:
    Anchors(AuditPlaces(home).anchors).append(checked_head(home))
    lines = latest(home).read_bytes().splitlines(keepends=True)
    latest(home).write_bytes(b"".join(lines[:left]))
    with pytest.raises(AuditBroken, match=f"ends with record {left}"):
        checked_head(home)


def test_another_record_than_the_anchored_one_is_found(home: Path) -> None:
    Anchors(AuditPlaces(home).anchors).append(Head(seq=2, hash="0" * 64))
    with pytest.raises(AuditBroken):
        checked_head(home)


def test_a_log_without_its_key_is_told(home: Path) -> None:
    AuditPlaces(home).key.unlink()
    with pytest.raises(NotFound, match="no key"):
        checked_head(home)
