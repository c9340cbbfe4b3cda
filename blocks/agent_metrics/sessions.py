"""Which runs are at work on this machine: those whose processes live, whatever became of the others."""

import fcntl
import json
import os
import uuid
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

from blocks.errors import StoreFailed


class LiveSession:
    """A run at work.

    Args:
        descriptor: Of its file; None where there is none.
        agent_name: Its agent.
    """

    def __init__(self, descriptor: int | None, agent_name: str) -> None:
        self._descriptor, self._agent_name, self._waiting = descriptor, agent_name, 0

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Within, the run waits for a person, and is not at work."""
        self._wait(1)
        try:
            yield
        finally:
            self._wait(-1)

    def _wait(self, more: int) -> None:
        self._waiting += more
        self.note()

    def note(self) -> None:
        """Write down how it stands; of one length, so that a reader never sees a part."""
        line = json.dumps({"agent": self._agent_name, "waiting": min(self._waiting, 1)})
        if self._descriptor is not None:
            with suppress(OSError):
                os.pwrite(self._descriptor, line.encode(), 0)


class LiveSessions:
    """Runs at work: each holds a lock of the system on a file of its own, which ends with its process.

    Args:
        folder: Of the files; made when missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.expanduser()

    @contextmanager
    def session(self, agent_name: str) -> Generator[LiveSession]:
        """Within, a run of the agent is at work. Where that cannot be written down, it is all the same."""
        try:
            path, descriptor = self._begin()
        except OSError as error:
            structlog.stdlib.get_logger("c500").warning("a session is not counted", error=str(error))
            yield LiveSession(None, agent_name)
            return
        session = LiveSession(descriptor, agent_name)
        try:
            session.note()
            yield session
        finally:
            path.unlink(missing_ok=True)
            os.close(descriptor)

    def at_work(self) -> dict[str, int]:
        """How many runs are at work, by agent. What processes that died left is removed. Raises `StoreFailed`."""
        found: Counter[str] = Counter()
        try:
            for path in self._folder.glob("*.session"):
                if (said := _alive(path)) and not said["waiting"]:
                    found[said["agent"]] += 1
        except OSError as error:
            told = f"the sessions in {self._folder} cannot be read: {error.strerror or error}"
            raise StoreFailed(told, fix="give this user the folder back") from error
        return dict(found)

    def _begin(self) -> tuple[Path, int]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            path = self._folder / f"{uuid.uuid4().hex}.session"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                return path, descriptor
            os.close(descriptor)  # somebody took it for one of a process that died, before it was locked


def _alive(path: Path) -> dict[str, str] | None:
    """What a session says of itself; None when its process died."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        with suppress(ValueError):
            return json.loads(os.read(descriptor, 4096))
    else:
        path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
    return None
