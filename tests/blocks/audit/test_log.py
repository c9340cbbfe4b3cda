"""Entries are written once, in order, without secrets, and are found again."""

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from blocks.audit import AuditLog, Entry, Head
from blocks.audit.entry import BEGINNING
from blocks.audit.log import head_of
from blocks.errors import C500Error, StoreFailed
from tests.blocks.audit.audits import KEY, NOON, RUN, Clock, checked, entry, lines, open_log, written


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    log = open_log(tmp_path / "audit", Clock())
    whole = entry(
        1,
        call_id="c1",
        session="s",
        phase="decided",
        tool="run_command",
        arguments={"argv": ["ls", "-l"]},
        arguments_hash="ab" * 32,
        decision="ask",
        rule="commands",
        policy_version="p1",
        risk="high",
        reversible=False,
        reasoning="Vì đĩa đầy\n",
        trigger="t",
        approvers=("bob", "eve"),
        before={"a": 1.5},
        after=[None, True],
        outcome="ok",
        details={"labels": []},
    )
    head = log.append(whole)
    (record,) = log.read()
    assert record.entry == whole
    assert (record.seq, record.prev, record.at, record.head) == (1, BEGINNING.hash, NOON, head)
    assert log.head() == head == head_of(tmp_path / "audit")


def test_an_empty_log_begins_at_zero(tmp_path: Path) -> None:
    log = open_log(tmp_path / "audit")
    assert list(log.read()) == []
    assert log.head() == BEGINNING == head_of(tmp_path / "none")
    assert checked(tmp_path / "audit").ok


def test_the_same_entry_is_written_once_also_by_another_process_and_on_another_day(tmp_path: Path) -> None:
    clock = Clock()
    log = open_log(tmp_path, clock)
    first = log.append(entry(1, outcome="first"))
    second = log.append(entry(2))
    clock.now += timedelta(days=40)
    log.append(entry(3))
    assert log.append(entry(1, outcome="again")) == first
    assert open_log(tmp_path, clock).append(entry(2)) == second
    assert [record.entry.outcome for record in log.read()] == ["first", None, None]


def test_two_logs_of_one_folder_know_each_others_entries(tmp_path: Path) -> None:
    one, other = open_log(tmp_path, Clock()), open_log(tmp_path, Clock())
    heads = [one.append(entry(1)), other.append(entry(2)), one.append(entry(3))]
    assert [other.append(entry(1)), one.append(entry(2)), other.append(entry(3))] == heads
    assert [head.seq for head in heads] == [1, 2, 3]
    assert checked(tmp_path, *heads).ok


def test_runs_do_not_share_names_of_entries(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(Entry(entry_id="same", run_id="one", agent="a", user="u", phase="plan"))
    log.append(Entry(entry_id="same", run_id="two", agent="a", user="u", phase="plan"))
    assert [record.entry.run_id for record in log.read()] == ["one", "two"]


@pytest.mark.parametrize("harm", ["gone", "cut", "empty", "garbage"])
def test_a_harmed_index_hides_nothing_and_breaks_nothing(tmp_path: Path, harm: str) -> None:
    written(tmp_path, 3)
    index = tmp_path / "2026-11-03.idx"
    content = index.read_bytes()
    if harm == "gone":
        index.unlink()
    else:
        index.write_bytes({"cut": content[:30], "empty": b"", "garbage": b"x" * 72}[harm])
    log = open_log(tmp_path, Clock(NOON))
    log.append(entry("0-1"))
    log.append(entry("new"))
    assert "new" in [record.entry.entry_id.rpartition("/")[2] for record in log.read()]
    assert checked(tmp_path).ok
    assert checked(tmp_path).entries == (4 if harm != "garbage" else 5)


def test_an_index_cannot_pass_one_entry_off_as_another(tmp_path: Path) -> None:
    log = written(tmp_path, 1)
    index = tmp_path / "2026-11-03.idx"
    log.append(entry("wanted"))
    forged = index.read_bytes()[24:40] + bytes(8)  # points to the first record
    put_back = lines(tmp_path)[:1]
    (tmp_path / "2026-11-03.jsonl").write_bytes(b"".join(put_back))
    index.write_bytes(index.read_bytes()[:24] + forged)
    assert open_log(tmp_path, Clock()).append(entry("wanted")).seq == 2


def test_a_day_is_a_file_and_the_chain_goes_over_days(tmp_path: Path) -> None:
    log = written(tmp_path, 2, 0, 1)
    assert [len(lines(tmp_path, day)) for day in ("2026-11-03", "2026-11-05")] == [2, 1]
    first, second, third = log.read()
    assert (third.seq, third.prev, second.prev) == (3, second.hash, first.hash)


def test_only_its_owner_may_read_the_log(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = tmp_path / "audit"
        folder.mkdir(mode=0o755)
        written(folder, 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_time_does_not_go_back_with_the_clock(tmp_path: Path) -> None:
    clock = Clock()
    log = open_log(tmp_path, clock)
    log.append(entry(1))
    clock.now -= timedelta(days=2)
    log.append(entry(2))
    open_log(tmp_path, clock).append(entry(3))
    assert [record.at for record in log.read()] == [NOON] * 3
    assert [record.clock for record in log.read()] == [None, clock.now, clock.now]
    assert checked(tmp_path).ok


def test_secrets_are_taken_out_of_all_that_others_fill(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    text = "redis://:hunter2@host"
    log.append(
        entry(
            1, arguments={"password": "hunter2", "x": [text]}, before=text, after={"y": text}, reasoning=text,
            trigger=text, outcome=text, details={"token": "hunter2"},
        )
    )  # fmt: skip
    assert b"hunter2" not in b"".join(lines(tmp_path, datetime.now(UTC).date().isoformat()))


def test_a_long_entry_is_cut_and_the_hash_of_the_whole_kept(tmp_path: Path) -> None:
    log = open_log(tmp_path, Clock())
    log.append(entry(1, arguments={"text": "a" * 200_000}, reasoning="b" * 100_000, details={"small": 1}))
    (line,) = lines(tmp_path)
    (record,) = log.read()
    assert len(line) < 66_000
    assert record.entry.arguments["cut"] is True
    assert record.entry.arguments["bytes"] == 200_011
    assert len(record.entry.arguments["sha256"]) == 64
    assert record.entry.reasoning is not None
    assert record.entry.reasoning.endswith("]")
    assert record.entry.details == {"small": 1}
    assert checked(tmp_path).ok


def test_what_is_no_json_is_written_as_text(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    odd = {"nan": float("nan"), "lone": "\ud800", "path": tmp_path, "deep": {3: {1}}, "huge": 10**5000}
    log.append(entry(1, details=odd))
    (record,) = log.read()
    assert record.entry.details["nan"] == "nan"
    assert record.entry.details["lone"] == "\\ud800"
    assert record.entry.details["path"] == str(tmp_path)
    assert record.entry.details["deep"] == {"3": [1]}
    assert checked(tmp_path).ok


def test_records_are_found_by_run_and_time(tmp_path: Path) -> None:
    log = written(tmp_path, 2, 1)
    log.append(entry("x", run_id="other", outcome=RUN))
    assert [record.seq for record in log.read(run_id=RUN)] == [1, 2, 3]
    assert [record.seq for record in log.read(run_id="other")] == [4]
    assert [record.seq for record in log.read(since=NOON + timedelta(hours=1))] == [3, 4]


def test_a_log_that_is_cut_while_it_is_open_goes_on_so_that_the_gap_shows(tmp_path: Path) -> None:
    log = written(tmp_path, 3)
    (tmp_path / "2026-11-03.jsonl").write_bytes(lines(tmp_path)[0])
    assert log.append(entry("after")).seq == 4
    assert [(fault.kind, fault.line) for fault in checked(tmp_path).faults] == [("missing", 2)]


def test_a_log_whose_file_is_gone_while_it_is_open_goes_on_so_that_the_gap_shows(tmp_path: Path) -> None:
    log = written(tmp_path, 3)
    (tmp_path / "2026-11-03.jsonl").unlink()
    assert log.append(entry("after")).seq == 4
    assert [fault.kind for fault in checked(tmp_path).faults] == ["missing"]


def test_a_log_that_is_replaced_by_an_older_one_while_it_is_open_goes_on_so_that_the_gap_shows(tmp_path: Path) -> None:
    log = written(tmp_path, 2)
    old = lines(tmp_path)[0]
    log.append(entry("third"))
    (tmp_path / "2026-11-03.jsonl").write_bytes(old + b"x" * 5000)
    assert log.append(entry("after")).seq == 5
    assert [fault.kind for fault in checked(tmp_path).faults] == ["missing"]


def test_a_damaged_end_stops_everything(tmp_path: Path) -> None:
    written(tmp_path, 2)
    first, second = lines(tmp_path)
    (tmp_path / "2026-11-03.jsonl").write_bytes(first + second.replace(b"ops", b"opz"))
    with pytest.raises(StoreFailed, match="not as it was written"):
        open_log(tmp_path).append(entry("x"))


def test_another_key_writes_nothing(tmp_path: Path) -> None:
    written(tmp_path, 1)
    with pytest.raises(StoreFailed, match="another key"):
        AuditLog(tmp_path, bytes(32), open_log(tmp_path)._redactor).append(entry("x"))
    assert checked(tmp_path).entries == 1


def test_a_disk_that_refuses_is_told_and_leaves_no_half_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = written(tmp_path, 1)
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: write(descriptor, content[:20]))
    with pytest.raises(StoreFailed, match="full"):
        log.append(entry("x"))
    monkeypatch.undo()
    assert log.append(entry("x")).seq == 2
    assert checked(tmp_path).ok


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(C500Error):
        open_log(tmp_path / "file" / "audit").append(entry(1))


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    folder.mkdir()
    (folder / f"{datetime.now(UTC):%Y-%m-%d}.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreFailed):
        open_log(folder).append(entry(1))
    assert not (tmp_path / "elsewhere").exists()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
STEPS = st.lists(
    st.tuples(st.integers(0, 5), JSON, st.timedeltas(timedelta(days=-2), timedelta(days=2)), st.booleans()), max_size=8
)


@hypothesis_settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=STEPS)
def test_the_chain_holds_after_any_appends(tmp_path_factory: pytest.TempPathFactory, steps: list) -> None:
    folder, clock = tmp_path_factory.mktemp("audit"), Clock()
    log, heads = open_log(folder, clock), dict[int, Head]()
    for number, value, passed, is_new_process in steps:
        clock.now += passed
        log = open_log(folder, clock) if is_new_process else log
        head = log.append(entry(number, arguments=value))
        assert heads.setdefault(number, head) == head
    verdict = checked(folder, *heads.values())
    assert verdict.ok, verdict.faults
    assert verdict.entries == len(heads)
    assert json.loads(verdict.head.model_dump_json())["seq"] == len(heads)
    assert all(record.head == heads[int(record.entry.entry_id.rpartition("/")[2])] for record in log.read())


def test_the_key_does_not_stand_in_the_log(tmp_path: Path) -> None:
    written(tmp_path, 1)
    assert not any(KEY in path.read_bytes() for path in tmp_path.iterdir())
