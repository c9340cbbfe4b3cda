"""Cases kept in the store, where all machines see them, and searched through an index of this machine.

The index is a memory of its own (see `blocks.memory`): words by SQLite's FTS5, vectors by the server of EMBEDDING_URL,
or by letters and words without one. It follows the store: what is missing in it is added before a search, what is gone
is erased, and it may be deleted at any time.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC
from pathlib import Path

from pydantic import ValidationError

from blocks.errors import BadInput, NotFound, StoreFailed
from blocks.memory import Memory, MemoryRecord, Namespace, Origin
from blocks.progress import in_thread
from blocks.store.files import Files
from tasks.ops.cases.case import ID, Case, FoundCase

PREFIX = "operations/cases"
SUFFIX = ".json"
SHAPE = re.compile(ID)
INDEXED = Namespace(agent="operations", user="cases")
INDEXER = "case-library"
IMPORTANCE = 5
LEAST = 0.12
"""Similarity below which a case is not worth a look: a single rare word in common comes to about this much."""


class CaseLibrary:
    """The cases there are.

    Args:
        files: The store.
        index: Searches them.

    Attributes:
        unread: Why cases that the last search or list came upon could not be read.
    """

    def __init__(self, files: Files, index: Memory) -> None:
        self._files, self._index = files, index
        self.unread: list[str] = []

    def put(self, case: Case) -> Case:
        """Keep a case; one of the same id is replaced."""
        before, key = self._keys().get(case.case_id, []), _key(case)
        self._files.put_bytes(key, case.model_dump_json(indent=1).encode(), "application/json")
        for old in before:
            if old != key:
                self._files.delete(old)
        return case

    def find(self, case_id: str) -> Case | None:
        """A case; None where there is none. Raises `StoreFailed` for one that cannot be read."""
        keys = self._keys().get(checked_case_id(case_id))
        return self._at(keys[-1]) if keys else None

    def read(self, case_id: str) -> Case:
        """A case. Raises `NotFound`, `StoreFailed`."""
        if (found := self.find(case_id)) is None:
            raise _no_case(case_id)
        return found

    def ids(self) -> list[str]:
        """The ids of all cases, sorted."""
        return list(self._keys())

    def every(self) -> Iterator[Case]:
        """All cases, by id; those that cannot be read are in `unread`."""
        self.unread = []
        for case_id in self._keys():
            try:
                found = self.find(case_id)
            except StoreFailed as error:
                self.unread.append(error.message)
                continue
            if found is not None:
                yield found

    async def remove(self, case_id: str) -> None:
        """Take a case, damaged or not, out of the store and out of this machine's index. Raises `NotFound`."""
        keys = (await in_thread(self._keys)).get(checked_case_id(case_id))
        if keys is None:
            raise _no_case(case_id)
        for key in keys:
            await in_thread(self._files.delete, key)
        await self.follow()

    async def search(self, question: str, *, most: int = 5, but: str = "") -> list[FoundCase]:
        """Cases that are like what is asked for, best first.

        Args:
            question: What is seen, in words.
            most: How many at most.
            but: Id of a case that is not looked for.

        Raises:
            StoreFailed: store or index cannot be read.
        """
        await self.follow()
        recall = await self._index.recall(INDEXED, question, most=most + 1, least=LEAST)
        found: list[FoundCase] = []
        for one in recall.found:
            case = await self._readable(_indexed(one.record))
            if case is not None and case.case_id != but:
                found.append(FoundCase(case=case, similarity=one.similarity))
        return found[:most]

    async def follow(self) -> None:
        """Bring the index up to the store. Raises `StoreFailed`."""
        self.unread = []
        known = {_indexed(record): record.memory_id async for record in self._index.every(agent=INDEXED.agent)}
        latest = {keys[-1] for keys in (await in_thread(self._keys)).values()}
        for key in known.keys() - latest:
            with suppress(NotFound):  # another process was quicker
                await self._index.erase(memory_id=known[key])
        for key in sorted(latest - known.keys()):
            if (case := await self._readable(key)) is not None:
                # The last line keeps two cases of the same words two.
                text, origin = f"{case.searched}\n{key}", Origin(run_id=INDEXER, call_id=key, tool=INDEXER)
                await self._index.remember(
                    INDEXED, text, origin=origin, kind="episode", importance=IMPORTANCE, by=INDEXER
                )

    def close(self) -> None:
        """Let go of the index."""
        self._index.close()

    async def _readable(self, key: str) -> Case | None:
        """A case; one that cannot be read hides no other."""
        try:
            return await in_thread(self._at, key)
        except StoreFailed as error:
            self.unread.append(error.message)
            return None

    def _keys(self) -> dict[str, list[str]]:
        """Where each case lies, its latest version last: a process that dies in `put` leaves the one before, too."""
        found: dict[str, list[str]] = {}
        for key in self._files.list(f"{PREFIX}/"):
            folder, _, name = key.removeprefix(f"{PREFIX}/").partition("/")
            if name.endswith(SUFFIX) and SHAPE.fullmatch(folder):
                found.setdefault(folder, []).append(key)
        return found

    def _at(self, key: str) -> Case | None:
        found = self._files.read_version(key)
        if found is None:
            return None
        try:
            return Case.model_validate_json(found[0])
        except ValidationError as error:
            raise StoreFailed(
                f"the case {key} cannot be read: {error.error_count()} faults",
                fix="it was changed by hand, or by another version; correct or remove it",
            ) from None


def open_library() -> CaseLibrary:
    """The library of the store that the settings name; close it when done."""
    from blocks.accounts.embed import ServerEmbedder
    from blocks.redact import default_redactor
    from blocks.settings import settings
    from blocks.store import open_store

    chosen = settings()
    embedder = None
    if chosen.embedding_url is not None:
        embedder = ServerEmbedder(str(chosen.embedding_url), chosen.embedding_model, chosen.embedding_api_key)
    path: Path = chosen.agents_home.expanduser() / "cases" / "index.db"
    return CaseLibrary(open_store(), Memory(path, default_redactor(), embedder))


def checked_case_id(text: str) -> str:
    """The id of a case. Raises `BadInput`."""
    if SHAPE.fullmatch(text) is None:
        raise BadInput(f"{text!r:.90} is no id of a case", fix="see `c500 cases list` for the ids", field="case_id")
    return text


def _no_case(case_id: str) -> NotFound:
    return NotFound(f"there is no case {case_id}", fix="see `c500 cases list`", field="case_id")


def _indexed(record: MemoryRecord) -> str:
    return record.origins[0].call_id


def _key(case: Case) -> str:
    """The store's list alone tells which cases have changed."""
    return f"{PREFIX}/{case.case_id}/{case.added_at.astimezone(UTC):%Y%m%dT%H%M%S.%f}{SUFFIX}"
