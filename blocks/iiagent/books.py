"""How many sessions were opened on a server from here: each costs it memory and an open file until it is restarted."""

from contextlib import suppress
from pathlib import Path

from blocks.iiagent.state import sessions_folder

RECYCLE_AFTER = 500
"""Sessions: a server keeps 0.8 MiB and one open file of each, and the default limit is 1,024 files."""


def note_session(server: str, session_id: str) -> None:
    """Count a session that was opened; a disk that cannot keep the count stops nothing."""
    path = _path(server)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("a") as lines:
            lines.write(f"{session_id}\n")


def sessions_of(server: str) -> int:
    """Sessions that were opened on a server since it was last said to be restarted."""
    try:
        with _path(server).open("rb") as lines:
            return sum(1 for _ in lines)
    except OSError:
        return 0


def recycled(server: str) -> None:
    """Begin to count anew: the server was restarted."""
    _path(server).unlink(missing_ok=True)


def hint(server: str) -> str:
    """What to do about a server that has had many sessions; empty where nothing."""
    count = sessions_of(server)
    if count < RECYCLE_AFTER:
        return ""
    return (
        f"{server} has had {count} sessions from here: restart it while none goes on (each leaves 0.8 MiB and an open "
        f"file behind), then say so with `c500 session servers --recycled {server}`"
    )


def _path(server: str) -> Path:
    return sessions_folder() / "servers" / f"{server}.opened"
