"""What a record told is erased, and the chain proves itself all the same."""

import json
from pathlib import Path

from blocks.audit.blank import erase, find
from tests.blocks.audit.audits import KEY, Clock, checked, entry, lines, open_log, put, told, written

MARK = "marker-of-anna"


def of_anna(entry: object) -> bool:
    return isinstance(entry, dict) and entry.get("user") == "anna"


def mixed(folder: Path) -> None:
    """Two days; of eight records three are of Anna."""
    log = written(folder, 2, 3)
    for number in range(3):
        log.append(entry(f"anna-{number}", user="anna", arguments={"said": MARK * (number + 1)}))


def whole(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def test_what_was_erased_is_gone_and_the_log_verifies(tmp_path: Path) -> None:
    mixed(tmp_path)
    others = [line for line in lines(tmp_path) + lines(tmp_path, "2026-11-04") if b"anna" not in line]
    sizes = [path.stat().st_size for path in sorted(tmp_path.glob("*.jsonl"))]
    assert erase(open_log(tmp_path), tmp_path, of_anna, "e1") == 3
    verdict = checked(tmp_path)
    assert (verdict.ok, verdict.erased, verdict.entries) == (True, 3, 9)
    assert MARK.encode() not in whole(tmp_path)
    assert b"anna" not in whole(tmp_path)
    left = lines(tmp_path) + lines(tmp_path, "2026-11-04")
    assert [line for line in left if b'"erased":"-' not in line][: len(others)] == others
    assert [path.stat().st_size for path in sorted(tmp_path.glob("*.jsonl"))][:2] == sizes
    assert "3 of them erased" in verdict.summary


def test_again_nothing_is_left_to_erase(tmp_path: Path) -> None:
    mixed(tmp_path)
    erase(open_log(tmp_path), tmp_path, of_anna, "e1")
    before = whole(tmp_path)
    assert erase(open_log(tmp_path), tmp_path, of_anna, "e1") == 0
    assert whole(tmp_path) == before
    assert find(tmp_path, of_anna) == []


def test_a_process_that_has_the_log_open_writes_on(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(entry("a", user="anna"))
    log.append(entry("b"))
    erase(open_log(tmp_path), tmp_path, of_anna, "e1")
    log.append(entry("c"))
    assert log.append(entry("b")).seq == 2  # the index still finds it
    assert checked(tmp_path).ok


def test_a_record_blanked_by_somebody_else_is_a_fault(tmp_path: Path) -> None:
    mixed(tmp_path)
    erase(open_log(tmp_path), tmp_path, of_anna, "e1")
    day = lines(tmp_path)
    record = json.loads(day[0])
    bare = json.dumps(record | {"entry": {"erased": ""}}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    filled = bare.replace('"erased":""', f'"erased":"{"-" * (len(day[0]) - len(bare) - 1)}"')
    put(tmp_path, [f"{filled}\n".encode(), *day[1:]])
    assert told(checked(tmp_path)) == [("changed", "2026-11-03.jsonl", 1)]


def test_the_word_that_some_were_erased_cannot_be_forged(tmp_path: Path) -> None:
    mixed(tmp_path)
    erase(open_log(tmp_path, key=KEY), tmp_path, of_anna, "e1")
    for path in tmp_path.glob("*.jsonl"):
        path.write_bytes(path.read_bytes().replace(b'"records":"6-8"', b'"records":"1-8"'))
    assert not checked(tmp_path).ok


def test_what_comes_after_a_killed_erasure_is_told_of_too(tmp_path: Path) -> None:
    log = open_log(tmp_path, Clock())
    for number in range(900):  # every other record, so that what names them is long
        log.append(entry(f"a{number}", user="anna" if number % 2 else "bob"))
    seqs = [seq for seq, _ in find(tmp_path, of_anna)]
    before = lines(tmp_path)
    erase(open_log(tmp_path, Clock()), tmp_path, of_anna, "e1")
    put(tmp_path, [*before, lines(tmp_path)[-1]])  # as after a kill: the word is written, and nothing blanked
    open_log(tmp_path, Clock()).append(entry("late", user="anna"))
    assert erase(open_log(tmp_path, Clock()), tmp_path, of_anna, "e1") == len(seqs) + 1
    assert checked(tmp_path).ok


def test_nothing_can_be_written_into_what_is_blank(tmp_path: Path) -> None:
    mixed(tmp_path)
    erase(open_log(tmp_path), tmp_path, of_anna, "e1")
    blank = b'"erased":"' + b"-" * 20
    for forged in (b'"erased":"it was bob who di', b'"erased":"forged, as long as it'):
        for path in tmp_path.glob("*.jsonl"):
            content = path.read_bytes()
            path.write_bytes(content.replace(blank, forged[: len(blank)]))
            faults = told(checked(tmp_path))
            path.write_bytes(content)
            assert blank not in content or faults
