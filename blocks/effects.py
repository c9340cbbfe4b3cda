"""Effects that happen at most once, whatever crashes: written down before they begin, and again with their result."""

import asyncio
import fcntl
import hashlib
import json
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar

from blocks.errors import C500Error, Conflict, EngineFailed, NotFound, Stopped, StoreFailed, TooLarge
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.whole_file import sync_folder, write_whole

JSON = Any
R = TypeVar("R")

RESULT_BYTES = 1_000_000
WAIT_S = 90.0
POLL_S = 0.05


class InDoubt(C500Error):
    """Nobody knows whether an effect happened: its process died, or was stopped, in the middle of it."""

    code = "IN_DOUBT"
    exit_code = 3


class StoredError(Frozen):
    """An error as it is kept: what it takes to raise it again."""

    code: str
    message: str
    fix: str
    details: dict[str, Any]

    @classmethod
    def of(cls, error: C500Error) -> "StoredError":
        """An error, for keeping; what of its details is no JSON is kept as text."""
        details = json.loads(json.dumps(error.details, default=str))
        return cls(code=error.code, message=error.message, fix=error.fix, details=details)

    def error(self) -> C500Error:
        """The error again, of the class with its code."""
        kind = next((one for one in _kinds(C500Error) if one.code == self.code), C500Error)
        return kind(self.message, fix=self.fix, **self.details)


class Effect(Frozen):
    """What is known of an effect.

    Attributes:
        effect_id: Names it.
        state: `begun` until it is known how it ended: it is going on, or in doubt.
        begun_at: When it began.
        ended_at: When it was known how it ended.
        result: What it gave, of a `done` one.
        error: How it failed, of a `failed` one.
        settled: Whether a person said what happened.
    """

    effect_id: str
    state: Literal["begun", "done", "failed"]
    begun_at: datetime
    ended_at: datetime | None = None
    result: JSON = None
    error: StoredError | None = None
    settled: bool = False


class EffectLedger:
    """Which effects happened, and what they gave. Processes of one machine may share one.

    Args:
        folder: Where it is kept, a small file for each effect; made when missing, for our user only.
        wait_s: Seconds to wait for another that is at the same effect.
    """

    def __init__(self, folder: Path, *, wait_s: float = WAIT_S) -> None:
        self._folder = folder.expanduser().absolute()
        self._wait_s = wait_s
        with _typed(self._folder):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def once(self, effect_id: str, perform: Callable[[], Awaitable[JSON]], *, repeatable: bool = False) -> JSON:
        """Have an effect, or what it gave when it was had before.

        A typed error is an outcome, too: it is kept, and raised again by later calls. After any other exception, a
        cancellation or a stop it is not known what happened, and the effect is in doubt.

        Args:
            effect_id: The same in every attempt.
            perform: Has the effect; gives JSON.
            repeatable: Whether doing it twice is as doing it once; then doubt does not matter.

        Returns:
            What it gave, as JSON keeps it: tuples are lists.

        Raises:
            InDoubt: an earlier attempt did not come to an end; a person can `settle` it.
            Conflict: another has been at it for longer than `wait_s`.
            TooLarge, EngineFailed: it was had, but what it gave is too large or no JSON; so it is later.
            StoreFailed: it cannot be written down; where that is so before it begins, it is not had.
        """
        async with self._owned(effect_id) as path:
            effect, is_new = await _to_its_end(_begin, path, effect_id)
            if effect.state == "begun" and not (is_new or repeatable):
                raise _in_doubt(effect)
            if effect.state == "begun":
                effect = await self._had(effect, perform)
                await _to_its_end(_write, path, effect)
            if effect.error:
                raise effect.error.error()
            return effect.result

    def look(self, effect_id: str) -> Effect | None:
        """What is known of an effect; None: it never began. Raises `StoreFailed`."""
        return _read(self._path(effect_id))

    def begun(self) -> tuple[Effect, ...]:
        """Those of which it is not known how they ended, oldest first: they go on, or are in doubt. Raises
        `StoreFailed`."""
        found = [effect for path in self._files() if (effect := _read(path)) and effect.state == "begun"]
        return tuple(sorted(found, key=lambda one: one.begun_at))

    def settle(self, effect_id: str, result: JSON) -> Effect:
        """Say that an effect in doubt happened, and what it gave; later attempts get this.

        Raises:
            NotFound: it never began.
            Conflict: it is not in doubt.
            TooLarge, EngineFailed: the result cannot be kept.
            StoreFailed: it cannot be written down.
        """
        with self._doubted(effect_id) as (path, effect):
            settled = _ended(effect, result=_kept(effect_id, result), state="done", settled=True)
            _write(path, settled)
            return settled

    def release(self, effect_id: str) -> None:
        """Say that an effect in doubt did not happen; the next attempt has it.

        Raises:
            NotFound: it never began.
            Conflict: it is not in doubt.
            StoreFailed: it cannot be written down.
        """
        with self._doubted(effect_id) as (path, _), _typed(path):
            _forget(path)
            sync_folder(path.parent)

    def purge(self, older_than_s: float, keep: Callable[[str], bool] = lambda _: False) -> int:
        """Forget effects that ended before so many seconds; those in doubt are kept. How many are forgotten.

        An effect that is forgotten would be had again: runs must not be resumed after as long.

        Args:
            older_than_s: Seconds.
            keep: Says of which, by their ids, all is kept the same.

        Raises:
            StoreFailed: something cannot be read or deleted; all else is forgotten.
        """
        before = datetime.now(UTC) - timedelta(seconds=older_than_s)
        gone = 0
        failed: list[StoreFailed] = []
        for path in tuple(self._files()):
            try:
                gone += _forgotten(path, before, keep)
            except StoreFailed as error:
                failed.append(error)
        for path in self._folder.glob("??/??/.*.json.*"):  # of processes that died as they wrote
            with _typed(path), suppress(FileNotFoundError):
                if path.stat().st_mtime < before.timestamp():
                    path.unlink()
        if failed:
            raise failed[0]
        return gone

    async def _had(self, effect: Effect, perform: Callable[[], Awaitable[JSON]]) -> Effect:
        """The effect with its end."""
        try:
            return _ended(effect, state="done", result=_kept(effect.effect_id, await perform()))
        except Stopped:
            raise  # it came in the middle: as with a cancellation, nobody knows
        except C500Error as error:
            return _ended(effect, state="failed", error=StoredError.of(error))

    @asynccontextmanager
    async def _owned(self, effect_id: str) -> AsyncGenerator[Path]:
        """Be the only one at an effect. The kernel gives the lock back when we die, however."""
        path = self._path(effect_id)
        with _typed(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        deadline = time.monotonic() + self._wait_s
        while True:
            with _lock(path) as mine:
                if mine:
                    yield path
                    return
            if time.monotonic() >= deadline:
                raise Conflict(
                    f"another process is at the effect {effect_id}", fix="wait for it, or stop it", effect_id=effect_id
                )
            await asyncio.sleep(POLL_S)

    @contextmanager
    def _doubted(self, effect_id: str) -> Generator[tuple[Path, Effect]]:
        path = self._path(effect_id)
        if _read(path) is None:
            raise NotFound(
                f"the effect {effect_id} never began", fix="give the id of one in doubt", effect_id=effect_id
            )
        with _lock(path) as mine:
            effect = _read(path) if mine else None
            if effect is None or effect.state != "begun":
                raise Conflict(
                    f"the effect {effect_id} is going on, or it is known how it ended",
                    fix="settle only what is in doubt",
                    effect_id=effect_id,
                )
            yield path, effect

    def _path(self, effect_id: str) -> Path:
        name = hashlib.sha256(effect_id.encode("utf-8", "surrogatepass")).hexdigest()
        return self._folder / name[:2] / name[2:4] / f"{name}.json"

    def _files(self) -> Iterator[Path]:
        return self._folder.glob("??/??/*.json")


@contextmanager
def _lock(path: Path) -> Generator[bool]:
    """Hold the lock beside a file, unless another does; whether we do."""
    with _typed(path):
        handle = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        mine = False
        with suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = os.fstat(handle).st_nlink > 0  # else it was purged between the two calls
        yield mine
    finally:
        os.close(handle)


async def _to_its_end(work: Callable[..., R], *args: Any) -> R:
    """Do work of the disk in a thread. A cancellation waits for its end: we hold a lock for it."""
    working = asyncio.ensure_future(in_thread(work, *args))
    cancelled: asyncio.CancelledError | None = None
    while not working.done():
        try:
            await asyncio.wait({working})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        working.exception()  # else asyncio complains that nobody looked at it
        raise cancelled
    return working.result()


def _begin(path: Path, effect_id: str) -> tuple[Effect, bool]:
    """What is known of an effect whose lock we hold, and whether it begins with this."""
    if (known := _read(path)) is not None:
        return known, False
    effect = Effect(effect_id=effect_id, state="begun", begun_at=datetime.now(UTC))
    _write(path, effect)
    return effect, True


def _read(path: Path) -> Effect | None:
    with _typed(path):
        try:
            return Effect.model_validate(json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except ValueError:
            raise StoreFailed(
                f"the record of an effect {path} is damaged",
                fix="bring it back from a backup, or remove it once you know whether the effect happened",
            ) from None


def _write(path: Path, effect: Effect) -> None:
    with _typed(path):
        # Not pydantic's JSON: it has no way to write the halves of characters that file names and models may hold.
        write_whole(path, json.dumps(effect.model_dump(), default=datetime.isoformat).encode())


def _forgotten(path: Path, before: datetime, keep: Callable[[str], bool]) -> bool:
    """Forget an effect that ended before a time; whether it did."""
    with _lock(path) as mine, _typed(path):
        effect = _read(path) if mine else None
        if effect is None or effect.ended_at is None or effect.ended_at >= before or keep(effect.effect_id):
            return False
        _forget(path)
        return True


def _forget(path: Path) -> None:
    """Remove what is kept of an effect whose lock we hold. Whoever waits for the lock sees that it was removed."""
    path.unlink()
    path.with_suffix(".lock").unlink()


def _ended(effect: Effect, **fields: Any) -> Effect:
    return effect.model_copy(update={"ended_at": datetime.now(UTC), **fields})


def _kept(effect_id: str, result: JSON) -> JSON:
    """A result as it is kept. Raises `TooLarge`, `EngineFailed`."""
    try:
        content = json.dumps(result, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise EngineFailed(
            f"the effect {effect_id} happened, but what it gave is no JSON: {error}", fix="mend the tool"
        ) from error
    if len(content) > RESULT_BYTES:
        raise TooLarge(
            f"the effect {effect_id} happened, but what it gave has more than {RESULT_BYTES} bytes",
            fix="have the tool give less, or write a file",
        )
    return json.loads(content)


def _in_doubt(effect: Effect) -> InDoubt:
    return InDoubt(
        f"the effect {effect.effect_id} began at {effect.begun_at:%Y-%m-%d %H:%M:%S} UTC, and its end is not known",
        fix="find out whether it happened, and settle it",
        effect_id=effect.effect_id,
    )


def _kinds(kind: type[C500Error]) -> Iterator[type[C500Error]]:
    yield kind
    for one in kind.__subclasses__():
        yield from _kinds(one)


@contextmanager
def _typed(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise StoreFailed(
            f"cannot keep effects in {path}: {error.strerror}", fix="look at its disk and permissions"
        ) from error
