"""Earlier answers: to the same request, or to one that means the same; and one call for equal requests in flight."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import structlog

from blocks.accounts.books import Books, Entry
from blocks.accounts.chat import Answer, Caller, ChatRequest, Message, message_text
from blocks.content import content_hash
from blocks.errors import BudgetExceeded, LimitReached, TimedOut
from blocks.progress import in_thread

if TYPE_CHECKING:
    import numpy as np

NEWEST = 10_000
"""Answers of a tenant and kind of request that a similar one is looked for among."""

log = structlog.stdlib.get_logger("c500")

T = TypeVar("T")


class Embedder(Protocol):
    """Gives texts a place in a space where what means the same is near."""

    @property
    def name(self) -> str:
        """Model and version: vectors of different names are not compared."""
        ...

    async def embed(self, text: str) -> "np.ndarray[Any, Any]":
        """The vector of a text, float32 of shape (dimensions,), of length 1."""
        ...


class Cache:
    """Answers in the database of the books. One that fails has no answers and keeps none; no call fails for it.

    Args:
        books: Whose database it is.
        embedder: For answers to similar requests; None for none.
    """

    def __init__(self, books: Books, embedder: Embedder | None = None) -> None:
        self._books = books
        self.embedder = embedder

    async def exact(self, key: str, ttl_s: float) -> Answer | None:
        """The answer of that key, if it is not older."""
        return await _tried(self._exact, key, ttl_s)

    async def similar(self, scope: str, vector: "np.ndarray[Any, Any]", least: float, ttl_s: float) -> Answer | None:
        """The answer whose request is nearest, if it is near enough and not older.

        Args:
            scope: Tenant and kind of request: only within it.
            vector: Of the request, of length 1.
            least: Least cosine.
            ttl_s: How old it may be.
        """
        return await _tried(self._similar, scope, vector, least, ttl_s)

    async def keep(
        self, key: str, scope: str, vector: "np.ndarray[Any, Any] | None", answer: Answer, caller: Caller | None = None
    ) -> None:
        """Keep an answer, and for whom it was made."""
        await _tried(self._keep, key, scope, vector, answer, caller or Caller())

    def _exact(self, key: str, ttl_s: float) -> Answer | None:
        from sqlalchemy import select

        from blocks.accounts.schema import CACHE

        wanted = select(CACHE.c.answer).where(CACHE.c.key == key, CACHE.c.at > time.time() - ttl_s)
        with self._books.engine().connect() as connection:
            found = connection.execute(wanted).scalar()
        return Answer.model_validate_json(found) if found else None

    def _similar(self, scope: str, vector: "np.ndarray[Any, Any]", least: float, ttl_s: float) -> Answer | None:
        import numpy as np
        from sqlalchemy import select

        from blocks.accounts.schema import CACHE

        wanted = (
            select(CACHE.c.vector, CACHE.c.answer)
            .where(CACHE.c.scope == scope, CACHE.c.at > time.time() - ttl_s, CACHE.c.vector.is_not(None))
            .order_by(CACHE.c.at.desc())
            .limit(NEWEST)
        )
        with self._books.engine().connect() as connection:
            rows = connection.execute(wanted).all()
        if not rows:
            return None
        nearness = np.stack([np.frombuffer(row.vector, dtype=np.float32) for row in rows]) @ vector
        best = int(nearness.argmax())
        return Answer.model_validate_json(rows[best].answer) if nearness[best] >= least else None

    def _keep(
        self, key: str, scope: str, vector: "np.ndarray[Any, Any] | None", answer: Answer, caller: Caller
    ) -> None:
        from blocks.accounts.schema import CACHE, OWNERS, upsert

        row = {
            "scope": scope,
            "at": time.time(),
            "vector": None if vector is None else vector.tobytes(),
            "answer": answer.model_dump_json(),
        }
        with self._books.engine().begin() as connection:
            statement = upsert(connection, CACHE).values(key=key, **row)
            connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_=row))
            owner = {"user": caller.user, "session": caller.session or "", "job": caller.job or ""}
            owned = upsert(connection, OWNERS).values(key=key, **owner)
            connection.execute(owned.on_conflict_do_update(index_elements=["key"], set_=owner))


Flight = tuple[str, tuple[str, ...]]
"""What a call in flight is known by: its request, and the labels of the accounts that may serve it."""


@dataclass
class Caches:
    """Answers requests from the cache, or has them answered once."""

    cache: Cache
    books: Books
    _flights: dict[Flight, asyncio.Task[Answer]] = field(default_factory=dict[Flight, asyncio.Task[Answer]])

    async def answer(
        self, request: ChatRequest, caller: Caller, call: Callable[[], Coroutine[Any, Any, Answer]]
    ) -> Answer:
        """An earlier answer, that of an equal request in flight, or a new one.

        Args:
            request: What is asked.
            caller: Whose `cache_ttl_s` is set.
            call: Has the request answered.
        """
        ttl_s = caller.cache_ttl_s or 0.0
        key, scope = key_of(request, caller), scope_of(request, caller)
        start = time.monotonic()
        if (found := await self.cache.exact(key, ttl_s)) is not None:
            return self._cached(found, "exact", caller, start)
        vector = None
        embedder = self.cache.embedder
        if caller.similar is not None and embedder is not None:
            vector = await embedder.embed(message_text(request.messages[-1]))
            scope = f"{scope} {embedder.name}"
            if (found := await self.cache.similar(scope, vector, caller.similar, ttl_s)) is not None:
                return self._cached(found, "semantic", caller, start)
        equal = (key, caller.labels)
        while (flight := self._flights.get(equal)) is not None:
            try:
                return self._cached(await asyncio.shield(flight), "exact", caller, start)
            except (TimedOut, LimitReached, BudgetExceeded):
                continue  # the deadline or the budget of who began it: ours may be another
        flight = asyncio.create_task(self._call(key, scope, vector, call, caller))
        self._flights[equal] = flight
        flight.add_done_callback(lambda ended: self._landed(equal, ended))
        # It goes on when who began it goes away: others may wait for it, and it is paid for.
        return await asyncio.shield(flight)

    async def close(self) -> None:
        """End what is in flight."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _landed(self, equal: Flight, flight: asyncio.Task[Answer]) -> None:
        del self._flights[equal]
        if not flight.cancelled():
            flight.exception()  # seen, even if nobody waits any more

    async def _call(
        self,
        key: str,
        scope: str,
        vector: "np.ndarray[Any, Any] | None",
        call: Callable[[], Awaitable[Answer]],
        caller: Caller,
    ) -> Answer:
        answer = await call()
        # An answer that was cut or refused is no answer to keep.
        if answer.reply.finish_reason in ("stop", "tool_calls"):
            await self.cache.keep(key, scope, vector, answer, caller)
        return answer

    def _cached(self, answer: Answer, kind: Literal["exact", "semantic"], caller: Caller, start: float) -> Answer:
        """An earlier answer as one of now: it costs nothing."""
        latency_s = time.monotonic() - start
        self.books.write(
            Entry(
                at=time.time(),
                account="",
                model=answer.model,
                user=caller.user,
                session=caller.session or "",
                job=caller.job or "",
                outcome="cached",
                latency_ms=1000 * latency_s,
            )
        )
        update = {"cached": kind, "account": None, "cost_usd": 0.0}
        return answer.model_copy(update=update | {"latency_s": latency_s, "waited_s": 0.0, "attempts": 0})


def key_of(request: ChatRequest, caller: Caller) -> str:
    """Identity of a request: user, model, settings, tools, messages."""
    return content_hash([caller.user, request])


def scope_of(request: ChatRequest, caller: Caller) -> str:
    """All of a request but the text of its last message, and the user: only there may a similar answer come from."""
    *before, last = request.messages
    return content_hash([caller.user, request.model_copy(update={"messages": (*before, _without_text(last))})])


def _without_text(message: Message) -> Message:
    """What of a message no embedding tells: its pictures, its role, its tool calls."""
    content: Any = message.get("content")
    parts: list[dict[str, Any]] = content if isinstance(content, list) else []
    return {**message, "content": [part for part in parts if part.get("type") != "text"]}


async def _tried(work: Callable[..., T], *arguments: Any) -> T | None:
    """What comes of work with the database; None when it fails."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return await in_thread(work, *arguments)
    except (SQLAlchemyError, OSError, ValueError) as error:  # ValueError: an answer in a form of another version
        log.warning("cache_failed", error=f"{type(error).__name__}: {getattr(error, 'orig', error)}"[:300])
        return None
