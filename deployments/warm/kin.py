"""The processes that belong to flow runs, whatever groups and sessions they moved to (Linux, from /proc)."""

import os
import signal
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ATTEMPT = "C500_ATTEMPT"
"""Names one attempt of a run, which other workers may try again while something of it is left."""

COOKIES = (b"PREFECT__FLOW_RUN_ID=", ATTEMPT.encode() + b"=")
"""What the environment of every process that a run executes holds, unless it was wiped."""


END_S = 30.0
"""After so long a process that does not die hangs in the kernel."""


@dataclass(frozen=True)
class Seen:
    """One process as /proc shows it."""

    pid: int
    parent: int
    session: int
    started_ticks: int
    dead: bool


def look(pid: int) -> Seen | None:
    """The process with this id, or None when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2 :].split()
    return Seen(pid, int(fields[1]), int(fields[3]), int(fields[19]), dead=fields[0] in "ZX")


def kin(ids: Collection[str], leaders: Collection[int] = ()) -> set[int]:
    """Ids of the live processes of these runs: by session, by environment, and all their descendants.

    Args:
        ids: Flow runs and attempts whose id the environment may carry.
        leaders: Processes that lead the sessions of runs.
    """
    alive = [seen for seen in _all() if not seen.dead and seen.pid != os.getpid()]
    cookies = {cookie + one.encode() for cookie in COOKIES for one in ids}
    found = {seen.pid for seen in alive if {seen.pid, seen.session} & set(leaders) or _carries(seen.pid, cookies)}
    grown = True
    while grown:
        more = {seen.pid for seen in alive if seen.parent in found} - found
        found |= more
        grown = bool(more)
    return found


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Signal each of the processes that is still there."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _all() -> Iterator[Seen]:
    for entry in os.listdir("/proc"):  # noqa: PTH208 - twice as fast as Path.iterdir, and it runs at the end of each run
        if entry.isdigit() and (seen := look(int(entry))):
            yield seen


def _carries(pid: int, cookies: set[bytes]) -> bool:
    if not cookies:
        return False
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return not cookies.isdisjoint(environment.split(b"\0"))
