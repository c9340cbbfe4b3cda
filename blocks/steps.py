"""What makes a function a step: a Prefect task whose result is kept by content, in the store.

Prefect does the caching, retrying and locking; this module only tells it where results lie (in the
store), what a step's result depends on (the content of its inputs), and how processes exclude each
other (the store's locks).
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import ExitStack
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypedDict, TypeVar, cast

from prefect import Task, task
from prefect.cache_policies import CachePolicy
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.filesystems import WritableFileSystem
from prefect.locking.protocol import LockManager
from prefect.transactions import IsolationLevel

from blocks import timeline
from blocks.content import STORED_FILE, content_hash
from blocks.errors import C500Error, NotFound
from blocks.store import open_store

P = ParamSpec("P")
R = TypeVar("R")

RESULTS = "results"
LOCK_POLL_S = 0.05


class StoreResults(WritableFileSystem):
    """Prefect's results in the store of the settings, under `results/`."""

    _block_type_slug = "c500-store-results"

    async def read_path(self, path: str) -> bytes:
        """A result record; `NotFound` when it or a file that it names is gone."""
        files = open_store()
        content = await asyncio.to_thread(files.read_bytes, f"{RESULTS}/{path}")
        for key in files_named_in(json.loads(content).get("result")):
            if not await asyncio.to_thread(files.exists, key):
                raise NotFound(f"the result {path} names the missing file {key}", fix="run the step again")
        return content

    async def write_path(self, path: str, content: bytes) -> None:
        """Write a result record, whole or not at all."""
        await asyncio.to_thread(open_store().put_bytes, f"{RESULTS}/{path}", content, "application/json")

    def _resolve_path(self, path: str) -> None:
        # Prefect takes None for «keys are not paths of this machine».
        return None


def files_named_in(result: Any) -> list[str]:
    """Keys of all file references within a serialised result: JSON, whose texts are what a step made and no JSON."""
    return _keys(json.loads(result) if isinstance(result, str) else result)


def _keys(value: Any) -> list[str]:
    if isinstance(value, dict):
        fields = cast(dict[str, Any], value)
        if fields.keys() >= STORED_FILE:
            return [fields["key"]]
        return [key for item in fields.values() for key in _keys(item)]
    if isinstance(value, list):
        return [key for item in cast(list[Any], value) for key in _keys(item)]
    return []


class StoreLocks(LockManager):
    """The store's locks as Prefect's lock manager; a holder that dies loses its lock."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, ExitStack]] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> "StoreLocks":
        return self  # Prefect copies cache policies; the locks held must stay one set

    async def aacquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: float | None = None,
        hold_timeout: float | None = None,
    ) -> bool:
        """Wait for the lock; False when `acquire_timeout` seconds pass first."""
        deadline = None if acquire_timeout is None else asyncio.get_running_loop().time() + acquire_timeout
        while not await self._attempt(key, holder):
            if deadline is not None and asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(LOCK_POLL_S)
        return True

    def acquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: float | None = None,
        hold_timeout: float | None = None,
    ) -> bool:
        """As `aacquire_lock`, blocking."""
        return asyncio.run(self.aacquire_lock(key, holder, acquire_timeout, hold_timeout))

    def release_lock(self, key: str, holder: str) -> None:
        """Free the lock; nothing happens when it is not held here."""
        if key in self._held:
            self._held.pop(key)[1].close()

    def is_locked(self, key: str) -> bool:
        """Whether anybody holds the lock."""
        if key in self._held:
            return True
        with open_store().lock(_lock_name(key), wait=False) as free:
            return not free

    def is_lock_holder(self, key: str, holder: str) -> bool:
        """Whether this process holds the lock for that holder."""
        return key in self._held and self._held[key][0] == holder

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Wait until the lock is free; False when `timeout` seconds pass first."""
        return asyncio.run(self.await_for_lock(key, timeout))

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Wait until the lock is free; False when `timeout` seconds pass first."""
        if not await self.aacquire_lock(key, "waiting", timeout):
            return False
        self.release_lock(key, "waiting")
        return True

    async def _attempt(self, key: str, holder: str) -> bool:
        """Try once; a lock obtained just as the caller is cancelled is given back."""
        trying = asyncio.ensure_future(asyncio.to_thread(self._try, key, holder))
        try:
            return await asyncio.shield(trying)
        except asyncio.CancelledError:
            if await trying:
                self.release_lock(key, holder)
            raise

    def _try(self, key: str, holder: str) -> bool:
        stack = ExitStack()
        if not stack.enter_context(open_store().lock(_lock_name(key), wait=False)):
            stack.close()
            return False
        self._held[key] = (holder, stack)
        return True


def _lock_name(key: str) -> str:
    return f"{RESULTS}/{key}"


@dataclass
class ByContent(CachePolicy):
    """A cache key from the step's name, version and the content of its inputs.

    A file counts by its hash, not by where it lies, so that another job with the same audio finds
    the earlier work. Inputs named in `ignore` (where to write) do not count.
    """

    step: str = ""
    version: int = 1
    ignore: tuple[str, ...] = ()

    def compute_key(
        self,
        task_ctx: TaskRunContext,
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],
        **kwargs: Any,
    ) -> str:
        """`<step>-v<version>-<first 32 hex of sha256>`."""
        counted = {name: value for name, value in inputs.items() if name not in self.ignore}
        return f"{self.step}-v{self.version}-{content_hash(counted)[:32]}"


RETRY_DELAYS_S = [1.0, 5.0]


class Retries(TypedDict):
    """Options of a Prefect task that say when it is tried again."""

    retries: int
    retry_delay_seconds: list[float]
    retry_condition_fn: Callable[[Any, TaskRun, State[Any]], Awaitable[bool]]


async def worth_retrying(task: Any, run: TaskRun, state: State[Any]) -> bool:
    """Retry only what another attempt may mend: connections and errors marked transient."""
    try:
        await state.aresult()
    except C500Error as error:
        return error.transient
    except (ConnectionError, TimeoutError):
        return True
    except BaseException:  # noqa: BLE001 - the question is only whether to retry
        return False
    return False


WHERE_WORTH_RETRYING: Retries = {
    "retries": len(RETRY_DELAYS_S),
    "retry_delay_seconds": RETRY_DELAYS_S,
    "retry_condition_fn": worth_retrying,
}

STORE_RESULTS = StoreResults()
STORE_LOCKS = StoreLocks()


def step(
    name: str,
    *,
    version: int = 1,
    ignore: tuple[str, ...] = ("folder",),
    timeout_s: float | None = None,
    tags: tuple[str, ...] = (),
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Task[P, Coroutine[Any, Any, R]]]:
    """Make an async function a step: cached by content, one computation at a time, retried if worth it.

    Args:
        name: The step's name in Prefect and in cache keys.
        version: Raise it when the same inputs give another output.
        ignore: Names of parameters that do not change the content of the result.
        timeout_s: Longest time of one attempt, in seconds.
        tags: Prefect tags, for concurrency limits and filters.
    """
    policy = ByContent(step=name, version=version, ignore=ignore).configure(
        lock_manager=STORE_LOCKS, isolation_level=IsolationLevel.SERIALIZABLE
    )

    def decorate(function: Callable[P, Coroutine[Any, Any, R]]) -> Task[P, Coroutine[Any, Any, R]]:
        made = task(
            name=name,
            cache_policy=policy,
            persist_result=True,
            result_serializer="json",
            timeout_seconds=timeout_s,
            **WHERE_WORTH_RETRYING,
            tags=list(tags),
        )(_timed(name, function))
        # Set afterwards: the constructor insists on a block saved in a server, which the store is not.
        made.result_storage = STORE_RESULTS
        return made

    return decorate


def _timed(name: str, function: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Note how long each computation takes; a step found done is not called and so takes no time."""

    @wraps(function)
    async def timed(*args: P.args, **kwargs: P.kwargs) -> R:
        with timeline.measure(name):
            return await function(*args, **kwargs)

    return timed
