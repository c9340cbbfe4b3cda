"""Locks on shared resources: one owner at a time, for a term; former owners are fenced."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from blocks.errors import BadInput, Conflict, StoreFailed
from blocks.manifests import Fenced
from blocks.resource_locks import ResourceLock, ResourceLocks
from blocks.store.local import LocalFiles

RACE = """
import sys
from pathlib import Path
from blocks.errors import Conflict
from tests.blocks.test_resource_locks import locks
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    try:
        lock = locks(Path(sys.argv[1])).take(f"db/{number}", sys.argv[2], term_s=60)
        print("took", number, lock.token, flush=True)
    except Conflict as error:
        print("lost", number, error.details.get("owner"), flush=True)
"""


def locks(folder: Path) -> ResourceLocks:
    return ResourceLocks(LocalFiles(folder))


def ended(folder: Path, lock: ResourceLock) -> None:
    """Have the term of a lock be over, as a long pause does."""
    over = lock.model_copy(update={"until": datetime.now(UTC) - timedelta(seconds=1)})
    LocalFiles(folder).put_bytes(f"operations/locks/{lock.resource}.json", over.model_dump_json().encode())


def test_one_takes_it_and_others_are_told_who(tmp_path: Path) -> None:
    lock = locks(tmp_path).take("db/shop", "run-1", term_s=60)
    assert (lock.resource, lock.owner, lock.token) == ("db/shop", "run-1", 1)
    with pytest.raises(Conflict, match="db/shop is held by run-1 until") as caught:
        locks(tmp_path).take("db/shop", "run-2", term_s=60)
    assert caught.value.details == {"owner": "run-1", "until": lock.until.isoformat()}
    assert locks(tmp_path).take("db/other", "run-2", term_s=60).token == 1


def test_another_attempt_of_the_owner_takes_it_again_and_fences_the_one_before(tmp_path: Path) -> None:
    first = locks(tmp_path).take("db", "run-1", term_s=60)
    second = locks(tmp_path).take("db", "run-1", term_s=60)
    assert second.token == 2
    with pytest.raises(Fenced):
        locks(tmp_path).check(first)
    locks(tmp_path).check(second)


def test_a_freed_one_goes_to_the_next_with_a_larger_token(tmp_path: Path) -> None:
    first = locks(tmp_path).take("db", "run-1", term_s=60)
    locks(tmp_path).release(first)
    with pytest.raises(Fenced):
        locks(tmp_path).check(first)
    second = locks(tmp_path).take("db", "run-2", term_s=60)
    assert second.token > first.token
    locks(tmp_path).release(first)  # late, and of no effect
    locks(tmp_path).check(second)


def test_a_former_holder_is_fenced(tmp_path: Path) -> None:
    former = locks(tmp_path).take("db", "run-1", term_s=60)
    ended(tmp_path, former)
    with pytest.raises(Fenced):
        locks(tmp_path).check(former)  # its time is up, though nobody has it
    holder = locks(tmp_path).take("db", "run-2", term_s=60)
    assert holder.token > former.token
    with pytest.raises(Fenced, match="not held by run-1 any more"):
        locks(tmp_path).check(former)
    with pytest.raises(Fenced, match="not held by run-1 any more"):
        locks(tmp_path).renew(former, term_s=60)
    locks(tmp_path).check(holder)


def test_a_renewed_one_is_held_for_longer(tmp_path: Path) -> None:
    lock = locks(tmp_path).take("db", "run-1", term_s=5)
    renewed = locks(tmp_path).renew(lock, term_s=600)
    assert renewed.token == lock.token and renewed.until > lock.until + timedelta(seconds=500)
    locks(tmp_path).check(lock)
    ended(tmp_path, renewed)
    locks(tmp_path).check(locks(tmp_path).renew(renewed, term_s=60))  # nobody came between


class TakenBetween(LocalFiles):
    """A store in which another takes the lock right after it was read for the first time."""

    other: ResourceLock | None = None

    def read_version(self, key: str) -> tuple[bytes, str] | None:
        found = super().read_version(key)
        if self.other is not None:
            self.put_bytes(key, self.other.model_dump_json().encode())
        return found


def test_a_check_judges_by_one_look(tmp_path: Path) -> None:
    lock = locks(tmp_path).take("db", "run-1", term_s=60)
    ended(tmp_path, lock)
    files = TakenBetween(tmp_path)
    files.other = lock.model_copy(update={"owner": "run-2", "token": 2})
    with pytest.raises(Fenced):
        ResourceLocks(files).check(lock)


def test_of_two_processes_one_gets_each(tmp_path: Path) -> None:
    number, owners = 30, ("run-1", "run-2")
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(tmp_path), owner, str(number)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for owner in owners
    ]  # fmt: skip
    for racer in racers:
        assert racer.stdout is not None and racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    told = [[line.split() for line in racer.communicate()[0].splitlines()] for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    for one in range(number):
        ends = {(owner, *lines[one]) for owner, lines in zip(owners, told, strict=True)}
        (winner,) = [end[0] for end in ends if end[1] == "took"]
        (loser,) = [end for end in ends if end[1] == "lost"]
        assert loser[3] == winner and locks(tmp_path).take(f"db/{one}", winner, term_s=1).token == 2


def test_bad_names_and_damaged_locks_are_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        locks(tmp_path).take("../db", "run-1", term_s=60)
    LocalFiles(tmp_path).put_bytes("operations/locks/db.json", b"{}")
    with pytest.raises(StoreFailed, match="lock of db cannot be read"):
        locks(tmp_path).take("db", "run-1", term_s=60)
