"""Circuit breakers of tools and models: one that fails again and again is left alone for a while, then tried once.

They are shared by all processes of a machine: what broke for one run is not tried by the next fifty.
"""

import fcntl
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Literal, Protocol, TextIO

import structlog

from blocks.errors import EngineUnavailable, StoreFailed
from blocks.model import Frozen
from blocks.shared_database import SharedDatabase

FAILURES = 5
"""So many failures in a row open it."""

REST_S = 300.0
"""How long it stays open."""

KEPT = 20_000
"""So many calls are remembered: a run that is replayed finds the same, and counts nothing twice."""

BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine sleeps; macOS has it under the other name."""

FAILED_CODES = frozenset({"TIMED_OUT", "ENGINE_FAILED", "OUT_OF_MEMORY", "ENGINE_UNAVAILABLE", "STORE_FAILED"})
"""Errors that tell something of the tool; others tell of the call, as that its arguments are wrong."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS breakers (key TEXT PRIMARY KEY, failures INTEGER NOT NULL, opened_at REAL);
CREATE TABLE IF NOT EXISTS calls (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL, call_id TEXT NOT NULL, went TEXT NOT NULL, UNIQUE (key, call_id)
);
"""
WENT = "INSERT INTO calls (key, call_id, went) VALUES (?, ?, ?) ON CONFLICT (key, call_id) DO UPDATE SET went = ?"
FORGET = "DELETE FROM calls WHERE number <= (SELECT max(number) FROM calls) - ?"
SET = "INSERT INTO breakers VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET failures = ?, opened_at = ?"

State = Literal["closed", "open", "half-open"]
Outcome = Literal["ok", "failed", "none"]
"""How a call went; `none` tells nothing of the tool's health."""


class BreakerOpen(EngineUnavailable):
    """The model or tool failed again and again, and is left alone for a while."""

    code = "BREAKER_OPEN"


class Standing(Frozen):
    """A breaker.

    Attributes:
        key: Of what.
        state: `closed` lets all calls through, `open` none, `half-open` one.
        failures: In a row.
    """

    key: str
    state: State
    failures: int


class Attempt(Protocol):
    """A call that may be made."""

    def end(self, outcome: Outcome) -> None:
        """Say how it went; needed, since others wait for what a probe finds."""
        ...


class Breakers(Protocol):
    """Breakers by key."""

    def begin(self, key: str, call_id: str, *, lasting: bool = True) -> Attempt | None:
        """Have a call pass; None when it may not be made.

        Args:
            key: Of what is called.
            call_id: Names the call in all attempts of its run: it counts once.
            lasting: Whether a call that may not be made now may never be, since a replay must find the same.
        """
        ...

    def standing(self) -> list[Standing]:
        """All breakers that are not as new."""
        ...


class FileBreakers:
    """Breakers in a folder, for all processes of the machine; see `Breakers`.

    The one call that a half-open breaker lets through holds a lock of the system; when its process dies, the next call
    is the probe. When the file cannot be used, calls pass: breakers save time, and protect nobody.

    Args:
        folder: Made when missing.
        failures: So many in a row open a breaker.
        rest_s: Seconds that it stays open.
        clock: Seconds since the machine's start, the same for all processes; what is set of its time changes nothing.
    """

    def __init__(
        self,
        folder: Path,
        *,
        failures: int = FAILURES,
        rest_s: float = REST_S,
        clock: Callable[[], float] = lambda: time.clock_gettime(BOOTTIME),
    ) -> None:
        self._folder = folder.expanduser()
        self._failures, self._rest_s, self._clock = failures, rest_s, clock
        self._database = SharedDatabase(self._folder / "breakers.db", SCHEMA)

    def begin(self, key: str, call_id: str, *, lasting: bool = True) -> Attempt | None:
        """See `Breakers`."""
        try:
            with self._database.change() as database:
                return self._begin(database, key, call_id, lasting)
        except StoreFailed as error:
            _warn(error)
            return _Passed(self, key, call_id)

    def standing(self) -> list[Standing]:
        """See `Breakers`. Raises `StoreFailed`."""
        with self._database.change() as database:
            rows = database.execute("SELECT key, failures, opened_at FROM breakers WHERE failures > 0 ORDER BY key")
            return [Standing(key=key, failures=failures, state=self._state(at)) for key, failures, at in rows]

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def record(self, key: str, call_id: str, outcome: Outcome, *, probe: bool) -> None:
        """Count how a call went, once."""
        if outcome == "none":
            return
        try:
            with self._database.change() as database:
                self._record(database, key, call_id, outcome, probe)
        except StoreFailed as error:
            _warn(error)

    def _begin(self, database: Connection, key: str, call_id: str, lasting: bool) -> Attempt | None:
        went = _went(database, key, call_id)
        if went == "refused":
            return None
        _, opened_at = _breaker(database, key)
        replayed = went is not None if lasting else went == "ok"
        if replayed or opened_at is None:
            return _Passed(self, key, call_id)
        if self._state(opened_at) == "half-open" and (lock := self._probe(key)):
            return _Passed(self, key, call_id, lock)
        if lasting:
            database.execute(WENT, (key, call_id, "refused", "refused"))
            database.execute(FORGET, (KEPT,))
        return None

    def _record(self, database: Connection, key: str, call_id: str, outcome: Outcome, probe: bool) -> None:
        went = _went(database, key, call_id)
        if went in ("ok", outcome):  # a replay of what was counted
            return
        failures, opened_at = _breaker(database, key)
        if outcome == "ok":
            failures, opened_at = 0, None
        else:
            failures += 1
            if probe or (opened_at is None and failures >= self._failures):
                opened_at = self._clock()
        database.execute(SET, (key, failures, opened_at, failures, opened_at))
        database.execute(WENT, (key, call_id, outcome, outcome))
        database.execute(FORGET, (KEPT,))

    def _state(self, opened_at: float | None) -> State:
        if opened_at is None:
            return "closed"
        # A time that lies ahead is of before a restart of the machine.
        return "open" if 0 <= self._clock() - opened_at < self._rest_s else "half-open"

    def _probe(self, key: str) -> TextIO | None:
        """The lock of the one call that may see whether it works again; None while another has it."""
        lock = (self._folder / f"{sha256(key.encode()).hexdigest()[:32]}.probe").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return None
        return lock


class _Passed:
    """A call that passed; of a half-open breaker it is the probe, and holds its lock until it ends."""

    def __init__(self, breakers: FileBreakers, key: str, call_id: str, probe: TextIO | None = None) -> None:
        self._breakers, self._key, self._call_id, self._probe = breakers, key, call_id, probe

    def end(self, outcome: Outcome) -> None:
        """See `Attempt`."""
        try:
            self._breakers.record(self._key, self._call_id, outcome, probe=self._probe is not None)
        finally:
            if self._probe is not None:
                self._probe.close()


def outcome_of(result: Any) -> Outcome:
    """What a tool's result tells of its health; `{"error": {"code": …}}` and `{"refused": …}` are no results."""
    match result:
        case {"note": _, "result": inner}:  # a person changed the arguments
            return outcome_of(inner)
        case {"error": {"code": str(code)}, **more} if not more:
            return "failed" if code in FAILED_CODES else "none"
        case {"refused": _, **more} | {"dry_run": _, **more} if not more:
            return "none"
        case _:
            return "ok"


def outcome_of_error(error: BaseException) -> Outcome:
    """What an error tells of the health of what was called."""
    code = getattr(error, "code", None)
    if isinstance(code, str):
        return "failed" if code in FAILED_CODES else "none"
    return "failed" if isinstance(error, Exception) else "none"


def _breaker(database: Connection, key: str) -> tuple[int, float | None]:
    row = database.execute("SELECT failures, opened_at FROM breakers WHERE key = ?", (key,)).fetchone()
    return row or (0, None)


def _went(database: Connection, key: str, call_id: str) -> str | None:
    row = database.execute("SELECT went FROM calls WHERE key = ? AND call_id = ?", (key, call_id)).fetchone()
    return row[0] if row else None


def _warn(error: StoreFailed) -> None:
    structlog.stdlib.get_logger("c500").warning("breakers cannot be used; calls pass", error=error.message)
