"""What agents remember over runs: written once, recalled by likeness, kept back where it may steer them."""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from blocks.errors import EngineFailed, EngineUnavailable, StoreFailed
from blocks.memory.file import MemoryFile
from blocks.memory.lexical import LexicalEmbedder
from blocks.memory.merge import Compared, Tidied, mark_compared, merge, next_group, split, tidy
from blocks.memory.rank import LEAST_SIMILARITY
from blocks.memory.record import Erased, Kind, MemoryRecord, Namespace, Origin, Recall, Remembered, State
from blocks.memory.review import erase, forget, listed, release, rows_of
from blocks.memory.rows import namespace_number, record_of, row_of
from blocks.memory.search import note_recall, note_use, recalled_before, search
from blocks.memory.vectors import Shelf, Shelves, give_vector, vector_length, without_vector
from blocks.memory.write import Draft, checked_text, write
from blocks.progress import in_thread

if TYPE_CHECKING:
    from sqlite3 import Connection

    import numpy as np

    from blocks.accounts.cache import Embedder
    from blocks.redact import Redactor

R = TypeVar("R")

MOST_RECORDS = 100_000
"""Memories of a namespace that are recalled; of more, the least important are archived."""

PAGE = 500
"""Memories read at once where all are."""

QUESTION_CHARS = 2_000
"""Of a longer question, what is looked at."""

log = structlog.stdlib.get_logger("c500")


class Memory:
    """The memories in a file that all processes of a machine may open.

    Args:
        path: Of the file; it and its folder are made when missing, for the owner alone.
        redactor: Takes secrets out before anything is written.
        embedder: Gives texts their vectors; None for one that compares words and letters, see `LexicalEmbedder`.
        most_records: See `MOST_RECORDS`.
        now: Seconds since 1970.
    """

    def __init__(
        self,
        path: Path,
        redactor: "Redactor",
        embedder: "Embedder | None" = None,
        *,
        most_records: int = MOST_RECORDS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._file = MemoryFile(path)
        self._redactor = redactor
        self._embedder = embedder or LexicalEmbedder()
        self._most_records, self._now = most_records, now
        self._shelves = Shelves()

    async def remember(
        self,
        namespace: Namespace,
        text: str,
        *,
        origin: Origin,
        kind: Kind = "fact",
        importance: int = 5,
        by: str | None = None,
    ) -> Remembered:
        """Write a memory; the same call writes once, and the same text is one memory with several origins.

        What was written after untrusted material was seen, what looks like instructions, and what is of importance 8
        or more is kept back until a person releases it.

        Args:
            namespace: Whose it is.
            text: What is to be remembered, at most 4,000 characters; secrets are taken out.
            origin: Where it comes from.
            kind: What it tells.
            importance: 1 to 10.
            by: The person who writes it; None for an agent. A person's word is not kept back.

        Raises:
            BadInput: the text is empty or too long.
            LimitReached: too many memories wait for a person.
            NotFound: this call wrote it before, and it was erased since.
            StoreFailed: the file cannot be written.
        """
        clean = self._clean(text)
        draft = Draft(namespace=namespace, text=clean, kind=kind, importance=importance, origin=origin, by=by)
        vector = await self._vector(clean)
        name = self._embedder.name
        return await self._changing(
            lambda database: write(database, draft, vector, name, self._most_records, self._now())
        )

    async def recall(
        self,
        namespace: Namespace,
        question: str,
        *,
        most: int = 5,
        least: float = LEAST_SIMILARITY,
        run_id: str = "",
        call_id: str = "",
    ) -> Recall:
        """The memories that fit a question best: by similarity × importance × recency, see `rank.score`.

        Args:
            namespace: Whose memory.
            question: What is looked for.
            most: How many at most.
            least: Their least similarity, 0 to 1.
            run_id: Of the agent's run: the same call of it is given the same again.
            call_id: Of the call.

        Raises:
            StoreFailed: the file cannot be read.
        """
        before = await self._reading(lambda database: recalled_before(database, namespace, run_id, call_id))
        if before is not None:
            return before
        asked = question.strip()[:QUESTION_CHARS]
        vector = await self._vector(asked)
        return await in_thread(self._recall, namespace, asked, vector, most, least, run_id, call_id)

    async def record(self, memory_id: str) -> MemoryRecord:
        """A memory. Raises `NotFound`."""
        return await self._reading(lambda database: record_of(database, memory_id))

    async def records(
        self,
        *,
        agent: str | None = None,
        user: str | None = None,
        states: Sequence[State] = (),
        most: int | None = None,
    ) -> list[MemoryRecord]:
        """Memories in the order they were written, those among them that others took the place of.

        Args:
            agent: Only of this agent.
            user: Only of this user.
            states: Only in one of these; empty for all.
            most: How many at most; None for all.
        """
        found, _ = await self._reading(lambda database: listed(database, agent, user, states, most))
        return found

    async def every(self, *, agent: str | None = None, user: str | None = None) -> AsyncGenerator[MemoryRecord]:
        """Every memory, whatever its state; read in parts, so that an export needs no room for all."""
        after = 0
        while True:
            found, after = await self._reading(
                lambda database, start=after: listed(database, agent, user, (), PAGE, start)
            )
            for record in found:
                yield record
            if len(found) < PAGE:
                return

    async def namespaces(self) -> list[Namespace]:
        """All namespaces, by agent and user."""
        wanted = "SELECT agent, user FROM namespaces ORDER BY agent, user"
        rows = await self._reading(lambda database: database.execute(wanted).fetchall())
        return [Namespace(agent=row["agent"], user=row["user"]) for row in rows]

    async def release(self, memory_id: str, by: str) -> MemoryRecord:
        """A person has read the memory and lets it be recalled. Raises `NotFound`, `Conflict`, `BadInput`."""
        return await self._changing(lambda database: release(database, memory_id, by, self._now()))

    async def forget(self, memory_id: str, by: str, namespace: Namespace | None = None) -> MemoryRecord:
        """Have a memory no longer recalled; it is erased after 30 days, and may be released until then.

        Args:
            memory_id: Which.
            by: Who forgets it.
            namespace: Only of this namespace; None for any.

        Raises:
            NotFound: there is none.
            Conflict: another took its place.
        """
        return await self._changing(lambda database: forget(database, memory_id, by, namespace, self._now()))

    async def erase(self, *, memory_id: str | None = None, agent: str | None = None, user: str | None = None) -> Erased:
        """Take a memory, or all of an agent, a user or both, out of the file for good.

        Of what a memory was merged from, and into, nothing is left either; see `review.erase`. Texts, words, vectors
        and origins are overwritten, not only unlinked. Copies in transcripts and audit of runs are not here.

        Raises:
            NotFound: there is no such memory.
            BadInput: nothing is named.
        """
        gone = await self._changing(lambda database: self._erase(database, memory_id, agent, user))
        return Erased(memories=gone, residue=await self._scrub())

    async def next_group(self, namespace: Namespace, least: float, level: int) -> Compared:
        """The next memories that may say the same, for consolidation; see `merge.next_group`."""
        return await self._changing(lambda database: self._next_group(database, namespace, least, level))

    async def keep_apart(self, memory_ids: Sequence[str], level: int) -> None:
        """These were compared so closely, and say different things."""
        await self._changing(lambda database: mark_compared(database, memory_ids, level))

    async def merge(self, memory_ids: Sequence[str], text: str) -> MemoryRecord:
        """Put one memory into the place of several; see `merge.merge`."""
        clean = self._clean(text)
        vector = await self._vector(clean)
        name = self._embedder.name
        return await self._changing(lambda database: merge(database, memory_ids, clean, vector, name, self._now()))

    async def split(self, memory_id: str) -> list[MemoryRecord]:
        """Undo a merge; see `merge.split`."""
        parts = await self._changing(lambda database: split(database, memory_id, self._now()))
        await self._scrub()
        return parts

    async def tidy(self) -> Tidied:
        """Archive and erase what is old, also traces that an erasure had to leave; see `merge.tidy`."""
        tidied = await self._changing(lambda database: tidy(database, self._now()))
        await self._scrub()
        return tidied

    async def embed_missing(self, most: int = 10_000) -> int:
        """Give vectors to memories that have none of today's embedder, as after its server was away or changed.

        Returns:
            How many were given one.
        """
        name, given = self._embedder.name, 0
        for seq, text in await self._reading(lambda database: without_vector(database, name, most)):
            if (vector := await self._vector(text)) is None:
                break
            await self._changing(lambda database, seq=seq, one=vector: give_vector(database, seq, one, name))
            given += 1
        return given

    def close(self) -> None:
        """Let go of the file; it is opened again when needed."""
        self._file.close()

    async def _scrub(self) -> bool:
        """Clear traces of what is gone; whether some are left, since another process uses the file."""
        try:
            return await in_thread(self._file.scrub)
        except StoreFailed as error:  # what was to be erased is: only the file could not be written anew
            log.warning("memory_not_scrubbed", error=error.message)
            return True

    def _clean(self, text: str) -> str:
        return checked_text(self._redactor.text(checked_text(text)))

    async def _vector(self, text: str) -> "np.ndarray[Any, Any] | None":
        """The vector of a text; None when the embedder's server does not answer: then words have to do."""
        try:
            return await self._embedder.embed(text)
        except (EngineUnavailable, EngineFailed) as error:
            log.warning("memory_without_vector", error=error.message)
            return None

    def _recall(
        self,
        namespace: Namespace,
        question: str,
        vector: "np.ndarray[Any, Any] | None",
        most: int,
        least: float,
        run_id: str,
        call_id: str,
    ) -> Recall:
        now = self._now()
        with self._file.read() as database:
            found = self._search(database, namespace, question, vector, most, least, now)
        if not (found.found or run_id):
            return found
        with self._file.change() as database:
            if (before := recalled_before(database, namespace, run_id, call_id)) is not None:
                return before  # another attempt of the run was quicker
            note_use(database, found, now)
            if run_id:
                note_recall(database, run_id, call_id, found, now)
        return found

    def _search(
        self,
        database: "Connection",
        namespace: Namespace,
        question: str,
        vector: "np.ndarray[Any, Any] | None",
        most: int,
        least: float,
        now: float,
    ) -> Recall:
        number = namespace_number(database, namespace)
        if number is None:
            return Recall(searched="text" if vector is None else "vectors and text")
        shelf = None if vector is None else self._shelf(database, number, len(vector))
        return search(database, number, question, vector, shelf, most, least, now)

    def _shelf(self, database: "Connection", number: int, dimensions: int) -> Shelf:
        return self._shelves.shelf(database, number, self._embedder.name, dimensions)

    def _next_group(self, database: "Connection", namespace: Namespace, least: float, level: int) -> Compared:
        number = namespace_number(database, namespace)
        dimensions = vector_length(database, self._embedder.name)
        if number is None or dimensions is None:
            return Compared(is_last=True)
        return next_group(database, number, self._shelf(database, number, dimensions), least, level)

    def _erase(self, database: "Connection", memory_id: str | None, agent: str | None, user: str | None) -> int:
        rows = [row_of(database, memory_id)] if memory_id else rows_of(database, agent, user)
        return erase(database, rows, self._now())

    async def _reading(self, work: "Callable[[Connection], R]") -> R:
        def within() -> R:
            with self._file.read() as database:
                return work(database)

        return await in_thread(within)

    async def _changing(self, work: "Callable[[Connection], R]") -> R:
        def within() -> R:
            with self._file.change() as database:
                return work(database)

        return await in_thread(within)
