"""Whatever is done to a log is found, with its file and line."""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from blocks.audit import Anchors, Head
from blocks.audit import verdict as verdict_module
from blocks.errors import StoreFailed
from tests.blocks.audit.audits import KEY, Clock, checked, edited, entry, lines, open_log, put, told, written

FILE = "2026-11-03.jsonl"

Tampering = Callable[[list[bytes]], list[bytes]]


def forged(line: bytes, key: bytes) -> bytes:
    """The line, changed and sealed anew with a key."""
    record = json.loads(edited(line, outcome="forged"))
    del record["hash"]
    body = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    record["hash"] = hmac.new(key, f"{record['prev']}\n{body}".encode(), hashlib.sha256).hexdigest()
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


CASES: dict[str, tuple[Tampering, list[tuple[str, int]]]] = {
    "edit": (lambda of: [*of[:2], edited(of[2], outcome="x"), *of[3:]], [("changed", 3)]),
    "edit of a time": (lambda of: [*of[:2], of[2].replace(b"T12", b"T13"), *of[3:]], [("changed", 3)]),
    "edit of a hash": (
        lambda of: [*of[:2], of[2].replace(json.loads(of[2])["hash"].encode(), b"0" * 64), *of[3:]],
        [("changed", 3), ("link", 4)],
    ),
    "edit with another key": (lambda of: [*of[:2], forged(of[2], b"guess"), *of[3:]], [("changed", 3), ("link", 4)]),
    "edit with the key": (lambda of: [*of[:2], forged(of[2], KEY), *of[3:]], [("link", 4)]),
    "other blanks": (lambda of: [*of[:2], of[2].replace(b'":"', b'": "', 1), *of[3:]], [("unreadable", 3)]),
    "deletion": (lambda of: [*of[:2], *of[3:]], [("missing", 3)]),
    "deletion of the first": (lambda of: of[1:], [("missing", 1)]),
    "deletion of several": (lambda of: [of[0], of[4]], [("missing", 2)]),
    "swap": (lambda of: [of[0], of[2], of[1], *of[3:]], [("missing", 2), ("order", 3)]),
    "repetition": (lambda of: [*of[:3], of[1], *of[3:]], [("order", 4)]),
    "insertion of garbage": (lambda of: [*of[:2], b"garbage\n", *of[2:]], [("unreadable", 3)]),
    "a line replaced by garbage": (lambda of: [*of[:2], b"{}\n", *of[3:]], [("unreadable", 3)]),
    "an empty line": (lambda of: [*of[:2], b"\n", *of[2:]], [("unreadable", 3)]),
    "half a line at the end": (lambda of: [*of, of[0][:40]], [("torn", 6)]),
    "no UTF-8": (lambda of: [*of[:2], b"\xff\xfe\n", *of[3:]], [("unreadable", 3)]),
    "a number too long to read": (lambda of: [*of[:2], b"9" * 5000 + b"\n", *of[2:]], [("unreadable", 3)]),
    "nesting too deep to read": (lambda of: [*of[:2], b"[" * 100_000 + b"\n", *of[2:]], [("unreadable", 3)]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_change_is_found_where_it_is(tmp_path: Path, case: str) -> None:
    tamper, expected = CASES[case]
    written(tmp_path, 5)
    put(tmp_path, tamper(lines(tmp_path)))
    verdict = checked(tmp_path)
    assert not verdict.ok
    assert told(verdict) == [(kind, FILE, line) for kind, line in expected]


def test_a_record_of_another_log_with_the_key_does_not_fit(tmp_path: Path) -> None:
    written(tmp_path / "one", 3)
    other = open_log(tmp_path / "other", Clock())
    for number in range(3):
        other.append(entry(number, outcome="other"))
    put(tmp_path / "one", [*lines(tmp_path / "one")[:2], lines(tmp_path / "other")[2]])
    assert told(checked(tmp_path / "one")) == [("link", FILE, 3)]


def test_a_missing_day_is_found(tmp_path: Path) -> None:
    written(tmp_path, 2, 3, 1)
    (tmp_path / "2026-11-04.jsonl").unlink()
    (fault,) = checked(tmp_path).faults
    assert (fault.kind, fault.file, fault.line) == ("missing", "2026-11-05.jsonl", 1)
    assert "records 3 to 5 are gone" in fault.message


def test_records_in_the_file_of_another_day_are_found(tmp_path: Path) -> None:
    written(tmp_path, 1, 1)
    (tmp_path / "2026-11-04.jsonl").rename(tmp_path / "2026-11-06.jsonl")
    assert told(checked(tmp_path)) == [("time", "2026-11-06.jsonl", 1)]


def test_a_cut_end_shows_only_by_an_anchor(tmp_path: Path) -> None:
    head = written(tmp_path, 5).head()
    put(tmp_path, lines(tmp_path)[:3])
    assert checked(tmp_path).ok
    verdict = checked(tmp_path, head)
    assert told(verdict) == [("cut", FILE, 3)]
    assert verdict.faults[0].seq == 5


def test_a_missing_last_day_shows_by_an_anchor(tmp_path: Path) -> None:
    head = written(tmp_path, 2, 2).head()
    (tmp_path / "2026-11-04.jsonl").unlink()
    assert told(checked(tmp_path, head)) == [("cut", FILE, 2)]


def test_a_log_that_is_gone_shows_by_an_anchor(tmp_path: Path) -> None:
    assert [fault.kind for fault in checked(tmp_path / "none", Head(seq=1, hash="0" * 64)).faults] == ["cut"]


def test_a_log_written_anew_with_the_key_shows_by_an_anchor(tmp_path: Path) -> None:
    log = written(tmp_path, 2)
    anchored = log.head()
    for number in range(2):
        log.append(entry(f"later-{number}"))
    for path in tmp_path.glob("2026*"):
        path.unlink()
    written(tmp_path / "new", 0, 4)
    (tmp_path / "new" / "2026-11-04.jsonl").rename(tmp_path / "2026-11-04.jsonl")
    assert checked(tmp_path).ok
    assert [fault.kind for fault in checked(tmp_path, anchored).faults] == ["anchor"]


def test_two_anchors_that_contradict_each_other_are_a_fault(tmp_path: Path) -> None:
    head = written(tmp_path, 2).head()
    assert [fault.kind for fault in checked(tmp_path, Head(seq=2, hash="a" * 64), head).faults] == ["anchor"]
    assert checked(tmp_path, head, head).ok


def test_another_key_is_one_fault(tmp_path: Path) -> None:
    written(tmp_path, 4)
    verdict = checked(tmp_path, key=bytes(32))
    assert told(verdict) == [("key", FILE, 1)]


def test_faults_say_what_a_person_can_read(tmp_path: Path) -> None:
    written(tmp_path, 3)
    put(tmp_path, [lines(tmp_path)[0], lines(tmp_path)[2]])
    (fault,) = checked(tmp_path).faults
    assert str(fault) == "2026-11-03.jsonl:2: record 2 is gone before it"


def test_a_log_is_looked_at_as_far_as_it_was_when_the_look_began(tmp_path: Path, monkeypatch: Any) -> None:
    log = written(tmp_path, 2)
    lines_of = verdict_module._lines

    def written_meanwhile(path: Path, size: int) -> Iterator[bytes]:
        log.append(entry("more"))
        return lines_of(path, size)

    monkeypatch.setattr(verdict_module, "_lines", written_meanwhile)
    verdict = checked(tmp_path)
    assert verdict.ok
    assert verdict.entries == 2


def test_anchors_are_kept_in_order_and_once(tmp_path: Path) -> None:
    anchors, heads = Anchors(tmp_path / "a" / "anchors.jsonl"), [Head(seq=n, hash=f"{n:064x}") for n in range(3)]
    assert anchors.read() == ()
    for head in (heads[0], heads[1], heads[1], heads[2]):
        anchors.append(head)
    assert anchors.read() == tuple(heads)


def test_an_anchor_whose_write_was_cut_off_makes_room_for_the_next(tmp_path: Path) -> None:
    path, head = tmp_path / "anchors.jsonl", Head(seq=7, hash="7" * 64)
    path.write_bytes(b'{"seq": 6, "ha')
    assert Anchors(path).read() == ()
    Anchors(path).append(head)
    assert Anchors(path).read() == (head,)


def test_an_anchor_that_was_damaged_is_told(tmp_path: Path) -> None:
    path = tmp_path / "anchors.jsonl"
    path.write_bytes(b"x\n")
    with pytest.raises(StoreFailed, match="line 1"):
        Anchors(path).read()


@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(place=st.integers(0), change=st.integers(1, 255))
def test_no_byte_can_be_changed_unseen(tmp_path_factory: pytest.TempPathFactory, place: int, change: int) -> None:
    folder = _of_three(tmp_path_factory)
    path = folder / FILE
    content = path.read_bytes()
    at = place % len(content)
    path.write_bytes(content[:at] + bytes([content[at] ^ change]) + content[at + 1 :])
    try:
        assert not checked(folder).ok
    finally:
        path.write_bytes(content)


_made: list[Path] = []


def _of_three(factory: pytest.TempPathFactory) -> Path:
    if not _made:
        _made.append(factory.mktemp("three"))
        written(_made[0], 3)
    return _made[0]
