"""The state of a session, its file, and the lease that a dead process loses."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from blocks.errors import BadInput, Conflict, StoreFailed
from blocks.iiagent.state import (
    FILE,
    RunningTurn,
    SessionState,
    Upload,
    find_session,
    lease,
    read_state,
    sessions_folder,
    write_state,
)
from blocks.iiagent.turn import Turn

SESSION = "01234567-89ab-cdef-0123-456789abcdef"
NOW = datetime.now(UTC)
STATE = SessionState(
    server="local",
    session_id=SESSION,
    device_id="d",
    model_key="m",
    uploads={"a.csv": Upload(path="./uploaded_files/a.csv", sha256="0" * 64, size_bytes=3)},
    turns={"goal": Turn(key="goal", ended="response", tool_calls={"x": 1}, files=("/w/a",))},
    running=RunningTurn(text="tiếng Việt", resume=True, files=("./a",)),
    created_at=NOW,
    updated_at=NOW,
)

HOLDER = """
import sys
from blocks.iiagent.state import lease
with lease(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_state(tmp_path / "none") is None
    written = write_state(tmp_path / "deep" / "session", STATE)
    assert read_state(tmp_path / "deep" / "session") == written
    for path in (tmp_path / "deep", tmp_path / "deep" / "session", tmp_path / "deep" / "session" / FILE):
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", ["", "{}", '{"server": 1}', "secret prompt"])
def test_a_file_that_is_no_state_is_refused_without_its_text(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(StoreFailed, match="no state") as caught:
        read_state(tmp_path)
    assert "secret" not in str(caught.value)


def test_a_session_is_found_by_its_id() -> None:
    folder = sessions_folder() / "some-task"
    write_state(folder, STATE)
    write_state(sessions_folder() / "other", STATE.model_copy(update={"session_id": SESSION.replace("0", "9")}))
    (sessions_folder() / "broken").mkdir()
    (sessions_folder() / "broken" / FILE).write_text("?")
    assert find_session(SESSION.upper()) == folder
    assert find_session(SESSION.replace("0", "7")) is None
    with pytest.raises(BadInput):
        find_session("../other")


def test_a_file_that_an_agent_wrote_is_no_session_of_ours() -> None:
    brought = sessions_folder() / "downloads" / SESSION / "files"
    write_state(brought, STATE.model_copy(update={"server": "another"}))
    assert find_session(SESSION) is None


def test_a_lease_is_held_once_and_freed() -> None:
    with lease(SESSION):
        with pytest.raises(Conflict), lease(SESSION.upper()):
            pass
        with lease(SESSION.replace("0", "9")):
            pass
    with lease(SESSION):
        pass


def test_a_dead_process_loses_its_lease() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, SESSION], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(Conflict), lease(SESSION):
            pass
        holder.kill()
        holder.wait()
        with lease(SESSION):
            pass
