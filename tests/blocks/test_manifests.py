"""Manifests: one writer at a time, each with a larger token than those before; former ones write nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from blocks.errors import BadInput, Conflict, NotFound, StoreFailed
from blocks.manifests import Fenced, Manifests
from blocks.model import Frozen
from blocks.store.local import LocalFiles


class Move(Frozen):
    """Something that goes through states."""

    state: str = "new"
    steps: tuple[str, ...] = ()


def moves(folder: Path) -> Manifests[Move]:
    return Manifests(LocalFiles(folder), "moves", Move, kind="move")


HOLDER = """
import sys
from pathlib import Path
from tests.blocks.test_manifests import Move, moves
with moves(Path(sys.argv[1])).held("one", Move()) as held:
    held.put(Move(state=sys.argv[2]))
    print(held.token, flush=True)
    sys.stdin.read()
    held.put(Move(state="ended well"))
"""


def holder(folder: Path, state: str) -> subprocess.Popen[str]:
    """Another process that holds the manifest until its standard input is closed."""
    words = [sys.executable, "-c", HOLDER, str(folder), state]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def token_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def test_what_is_put_is_found_by_all(tmp_path: Path) -> None:
    with moves(tmp_path).held("one", Move()) as held:
        assert (held.state, held.token) == (Move(), 1)
        assert held.put(Move(state="begun", steps=("a",))) == held.state
    assert moves(tmp_path).read("one") == Move(state="begun", steps=("a",))
    with moves(tmp_path).held("two/inner", Move()):
        assert list(moves(tmp_path).names()) == ["one", "two/inner"]


def test_one_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    with moves(tmp_path).held("one", Move()) as held:
        held.put(Move(state="begun"))
    with moves(tmp_path).held("one", Move(state="other")) as held:
        assert (held.state.state, held.token) == ("begun", 2)


def test_one_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    assert moves(tmp_path).find("none") is None
    with pytest.raises(NotFound, match="no move none"):
        moves(tmp_path).read("none")
    with pytest.raises(NotFound, match="no move none"), moves(tmp_path).held("none"):
        pass
    with pytest.raises(BadInput):
        moves(tmp_path).find("../../etc/passwd")


def test_a_removed_one_is_gone(tmp_path: Path) -> None:
    with moves(tmp_path).held("one", Move()):
        pass
    moves(tmp_path).remove("one")
    moves(tmp_path).remove("one")
    assert moves(tmp_path).find("one") is None and list(moves(tmp_path).names()) == []


def test_while_a_process_holds_it_no_other_does(tmp_path: Path) -> None:
    process = holder(tmp_path, "theirs")
    try:
        assert token_of(process) == 1
        with pytest.raises(Conflict, match="another process works on move one"), moves(tmp_path).held("one", Move()):
            pass
        assert moves(tmp_path).read("one") == Move(state="theirs")
    finally:
        process.communicate("")
    assert moves(tmp_path).read("one") == Move(state="ended well")


def test_what_a_killed_process_held_is_taken_over(tmp_path: Path) -> None:
    process = holder(tmp_path, "half done")
    token_of(process)
    process.kill()
    process.communicate()
    with moves(tmp_path).held("one", Move()) as held:
        assert (held.state, held.token) == (Move(state="half done"), 2)


def test_a_former_holder_writes_nothing_any_more(tmp_path: Path) -> None:
    with moves(tmp_path).held("one", Move()) as former:
        # Its lock was lost, as when the machine of a store over the network was cut off for a while.
        process = holder(tmp_path, "theirs")
        assert process.wait(30) != 0  # the lock is there still
        process.communicate()
        taken = moves(tmp_path)._taken("one", "moves/one/manifest.json", None)  # pyright: ignore[reportPrivateUsage]
        taken.put(Move(state="theirs"))
        assert taken.token > former.token
        with pytest.raises(Fenced):
            former.check()
        with pytest.raises(Fenced, match="has taken moves/one/"):
            former.put(Move(state="ours"))
        assert former.state == Move()
        taken.check()
    assert moves(tmp_path).read("one") == Move(state="theirs")


def test_also_a_holder_that_changed_nothing_fences_the_one_before(tmp_path: Path) -> None:
    with moves(tmp_path).held("one", Move()) as former:
        moves(tmp_path)._taken("one", "moves/one/manifest.json", None)  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(Fenced):
            former.check()


@pytest.mark.parametrize("content", [b"", b"{", b'{"token": 1}', json.dumps({"token": 1, "content": "{}x"}).encode()])
def test_a_damaged_one_is_told_and_not_written_over(tmp_path: Path, content: bytes) -> None:
    LocalFiles(tmp_path).put_bytes("moves/one/manifest.json", content)
    with pytest.raises(StoreFailed, match="move one cannot be read"):
        moves(tmp_path).find("one")
    with pytest.raises(StoreFailed), moves(tmp_path).held("one", Move()):
        pass
    assert LocalFiles(tmp_path).read_bytes("moves/one/manifest.json") == content
