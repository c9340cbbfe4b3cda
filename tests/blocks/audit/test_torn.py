"""A process that is killed leaves a log that holds, and all it was told is written stands in it."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.blocks.audit.audits import NOON, Clock, checked, entry, lines, open_log, put, told, written

WRITER = """
import sys
from pathlib import Path
from tests.blocks.audit.audits import entry, open_log
log = open_log(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    head = log.append(entry(f"{sys.argv[2]}-{number}", reasoning="x" * 20_000))
    print(head, flush=True)
"""
ROOT = Path(__file__).parents[3]


def writer(folder: Path, name: str, count: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WRITER, str(folder), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_a_write_that_was_cut_off_is_moved_aside_and_recorded(tmp_path: Path) -> None:
    written(tmp_path, 2)
    torn = lines(tmp_path)[1][:100]
    put(tmp_path, [*lines(tmp_path), torn])
    assert told(checked(tmp_path)) == [("torn", "2026-11-03.jsonl", 3)]
    log = open_log(tmp_path, Clock(NOON))
    assert log.append(entry("next")).seq == 4
    records = list(log.read())
    assert [record.entry.phase for record in records] == ["decided", "decided", "recovered", "decided"]
    (kept,) = tmp_path.glob("*.torn")
    assert kept.read_bytes() == torn
    assert records[2].entry.details["file"] == kept.name
    assert checked(tmp_path).ok


def test_a_log_of_nothing_but_a_write_that_was_cut_off_begins_anew(tmp_path: Path) -> None:
    put(tmp_path, [b'{"at":'])
    log = open_log(tmp_path, Clock(NOON))
    assert log.append(entry(1)).seq == 2
    assert checked(tmp_path).ok


def test_a_day_that_began_with_a_write_that_was_cut_off_follows_the_day_before(tmp_path: Path) -> None:
    written(tmp_path, 2)
    put(tmp_path, [b'{"at":'], "2026-11-04")
    (tmp_path / "2026-11-05.jsonl").touch()
    open_log(tmp_path, Clock(NOON)).append(entry("next"))
    open_log(tmp_path, Clock(NOON)).append(entry("after"))
    verdict = checked(tmp_path)
    assert verdict.ok, verdict.faults
    assert verdict.entries == 5


def test_a_log_that_is_open_goes_on_after_another_process_tore_its_end(tmp_path: Path) -> None:
    log = written(tmp_path, 2)
    put(tmp_path, [*lines(tmp_path), b'{"at":"2026'])
    assert log.append(entry("next")).seq == 4
    assert checked(tmp_path).ok


def test_a_process_that_died_between_moving_aside_and_recording_leaves_that_to_the_next(tmp_path: Path) -> None:
    written(tmp_path, 1)
    (tmp_path / "2026-11-03.9.0123456789abcdef.torn").write_bytes(b"half")
    assert told(checked(tmp_path)) == [("torn", "2026-11-03.9.0123456789abcdef.torn", None)]
    open_log(tmp_path, Clock(NOON)).append(entry("next"))
    open_log(tmp_path, Clock(NOON)).append(entry("more"))
    verdict = checked(tmp_path)
    assert verdict.ok, verdict.faults
    assert verdict.entries == 4


@pytest.mark.parametrize("harm", ["gone", "changed"])
def test_what_was_moved_aside_cannot_be_taken_away_or_changed_unseen(tmp_path: Path, harm: str) -> None:
    written(tmp_path, 1)
    put(tmp_path, [*lines(tmp_path), b"half"])
    open_log(tmp_path, Clock(NOON)).append(entry("next"))
    (kept,) = tmp_path.glob("*.torn")
    kept.unlink() if harm == "gone" else kept.write_bytes(b"other")
    assert [fault.kind for fault in checked(tmp_path).faults] == ["torn"]


def test_a_record_whose_process_died_before_it_was_pointed_to_is_not_written_again(tmp_path: Path) -> None:
    log = written(tmp_path, 3)
    index = tmp_path / "2026-11-03.idx"
    index.write_bytes(index.read_bytes()[:48])
    again = open_log(tmp_path, Clock(NOON))
    assert again.append(entry("0-2")) == log.head()
    assert checked(tmp_path).entries == 3


def kill_and_look(folder: Path, kills: int, seed: int) -> None:
    """Kill writers at odd moments; whatever they were told is written must be there, once."""
    chance, heads = random.Random(seed), list[str]()
    for number in range(kills):
        process = writer(folder, f"w{number}", 1000)
        assert process.stdout is not None
        heads += [process.stdout.readline().strip() for _ in range(chance.randrange(1, 6))]
        os.kill(process.pid, signal.SIGKILL)
        rest, _ = process.communicate()
        heads += [line for line in rest.splitlines() if len(line.partition(":")[2]) == 64]
    log = open_log(folder)
    log.append(entry("last"))
    verdict = checked(folder)
    assert verdict.ok, verdict.faults
    names = [record.entry.entry_id for record in log.read()]
    assert len(names) == len(set(names))
    assert set(heads) <= {str(record.head) for record in log.read()}


def test_writers_that_are_killed_leave_a_log_that_holds(tmp_path: Path) -> None:
    kill_and_look(tmp_path, 4, seed=1)


@pytest.mark.soak
def test_two_hundred_killed_writers_leave_a_log_that_holds(tmp_path: Path) -> None:
    kill_and_look(tmp_path, 200, seed=2)


def test_a_write_torn_by_a_kill_in_its_midst_loses_nothing(tmp_path: Path) -> None:
    """The write itself cannot be hit by chance, so the process kills itself within it."""
    code = """
import os, signal, sys
from pathlib import Path
from tests.blocks.audit.audits import entry, open_log
log = open_log(Path(sys.argv[1]))
log.append(entry("first"))
write = os.write
def torn(descriptor, content):
    write(descriptor, content[: len(content) // 2])
    os.kill(os.getpid(), signal.SIGKILL)
os.write = torn
log.append(entry("second", reasoning="x" * 1000))
"""
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT)
    assert run.returncode == -signal.SIGKILL
    log = open_log(tmp_path)
    log.append(entry("second", reasoning="again"))
    phases = [(record.entry.phase, record.entry.reasoning) for record in log.read()]
    assert phases == [("decided", None), ("recovered", None), ("decided", "again")]
    assert checked(tmp_path).ok


def test_four_writers_make_one_chain(tmp_path: Path) -> None:
    writers = [writer(tmp_path, f"w{number}", 12) for number in range(4)]
    heads = [line for process in writers for line in process.communicate()[0].split()]
    assert [process.returncode for process in writers] == [0] * 4
    verdict = checked(tmp_path)
    assert verdict.ok, verdict.faults
    assert verdict.entries == 48
    assert {head.partition(":")[0] for head in heads} == {str(number) for number in range(1, 49)}


def test_writers_of_one_process_make_one_chain(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    log, other = open_log(tmp_path), open_log(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: (log, other)[number % 2].append(entry(number // 2)), range(40)))
    verdict = checked(tmp_path)
    assert verdict.ok, verdict.faults
    assert verdict.entries == 20
