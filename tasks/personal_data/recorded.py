"""Places with a form of their own: the books, the memory of agents, the audit, gateway keys, the agents' trash."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from blocks.errors import Conflict, NotFound
from blocks.keys import KEYS_FILE, KeyFile
from blocks.subjects.subject import Traces
from tasks.personal_data.at_home import delete_rows, home_holder, scrub_file
from tasks.personal_data.holder import Content, Holder, Item, World

if TYPE_CHECKING:
    from blocks.memory.memory import Memory

R = TypeVar("R")

OWN_AGENTS = ("audit", "erase-data", "export-data", "personal-data")
"""Whose entries in the audit are about erasures and exports, and name nobody but who did them."""


def books_holder() -> Holder:
    """The ledger of calls, its totals, and answers that were kept."""

    from blocks.accounts.forget import wipe

    def find(world: World, traces: Traces) -> Iterator[Item]:
        from blocks.accounts.forget import rows_of

        for table in sorted({table for table, _ in rows_of(world.known.books, _names(traces))}):
            yield Item(holder="ledger", key=table, part=True)

    def read(world: World, traces: Traces, item: Item) -> Iterator[tuple[str, Content]]:
        from blocks.accounts.forget import rows_of

        rows = (row for table, row in rows_of(world.known.books, _names(traces)) if table == item.key)
        yield f"{item.key}.jsonl", "".join(f"{json.dumps(row, default=str)}\n" for row in rows).encode()

    def erase(world: World, traces: Traces, _item: Item, _name: str) -> None:
        from blocks.accounts.forget import forget

        forget(world.known.books, _names(traces))

    return Holder(
        name="ledger",
        place="BOOKS_URL: tables `c500_calls`, `c500_summed`, `c500_totals`, `c500_cache`, `c500_cache_owners`",
        what="calls of models with their costs, by user, conversation and job; answers kept for repeats",
        covers=tuple(f"table:c500_{one}" for one in ("calls", "summed", "totals", "cache", "cache_owners")),
        find=find,
        read=read,
        erase=erase,
        scrub=lambda world: wipe(world.known.books),
    )


def memory_holder() -> Holder:
    """What agents remember of a user, and what runs recalled."""

    def find(world: World, traces: Traces) -> Iterator[Item]:
        if not (world.home / "memory" / "memory.db").exists():
            return
        spaces = asyncio.run(_in_memory(world, lambda memory: memory.namespaces()))
        yield from (Item(holder="memory", key=f"{one.agent}/{one.user}") for one in spaces if one.user in traces.users)
        if any(_recalled(world, traces)):
            yield Item(holder="memory", key="runs", part=True)

    def read(world: World, traces: Traces, item: Item) -> Iterator[tuple[str, Content]]:
        if item.part:
            return
        agent, _, user = item.key.partition("/")

        async def every(memory: "Memory") -> list[str]:
            return [one.model_dump_json() async for one in memory.every(agent=agent, user=user)]

        lines = asyncio.run(_in_memory(world, every))
        yield f"{agent}.jsonl", "".join(f"{line}\n" for line in lines).encode()

    def erase(world: World, traces: Traces, item: Item, _name: str) -> None:
        if item.part:
            _forget_runs(world, traces)
            return
        agent, _, user = item.key.partition("/")
        asyncio.run(_in_memory(world, lambda memory: memory.erase(agent=agent, user=user)))

    return Holder(
        name="memory",
        place="AGENTS_HOME: `memory/memory.db`",
        what="what agents remember of a user; which memories a run wrote and was given",
        covers=("home:memory",),
        find=find,
        read=read,
        erase=erase,
        scrub=lambda world: scrub_file(world.home / "memory" / "memory.db"),
    )


def audit_holder() -> Holder:
    """Entries of the audit log: what they told goes, their places in the chain stay."""

    def wanted(traces: Traces) -> Any:
        def is_about(entry: Any) -> bool:
            if entry.get("agent") in OWN_AGENTS:
                return False
            return traces.in_entry(entry)

        return is_about

    def find(world: World, traces: Traces) -> Iterator[Item]:
        from blocks.audit import blank

        folder = world.home / "audit"
        if folder.is_dir() and blank.find(folder, wanted(traces)):
            yield Item(holder="audit", key="audit", part=True)

    def read(world: World, traces: Traces, _item: Item) -> Iterator[tuple[str, Content]]:
        from blocks.audit import blank

        yield "audit.jsonl", b"".join(line for _, line in blank.find(world.home / "audit", wanted(traces)))

    def erase(world: World, traces: Traces, _item: Item, name: str) -> None:
        from blocks.audit import blank
        from blocks.audit.places import open_audit

        blank.erase(open_audit(world.home), world.home / "audit", wanted(traces), name)

    return Holder(
        name="audit",
        place="AGENTS_HOME: `audit/`",
        what="what agents and operations decided, asked, called and were told",
        covers=("home:audit",),
        find=find,
        read=read,
        erase=erase,
    )


def keys_holder() -> Holder:
    """Gateway keys of a person; those that are valid are withdrawn first, by a person."""

    def find(world: World, traces: Traces) -> Iterator[Item]:
        known = _keys(world)
        yield from (Item(holder="gateway keys", key=key.key_id) for key in known.keys if key.key_id in traces.keys)

    def read(world: World, _traces: Traces, item: Item) -> Iterator[tuple[str, Content]]:
        for key in _keys(world).keys:
            if key.key_id == item.key:
                yield f"{key.key_id}.json", key.model_dump_json(indent=1, exclude={"secrets"}).encode()

    def erase(world: World, _traces: Traces, item: Item, _name: str) -> None:
        files = world.known.files
        while (found := files.read_version(KEYS_FILE)) is not None:
            known = KeyFile.model_validate_json(found[0])
            left = tuple(key for key in known.keys if key.key_id != item.key)
            if len(left) == len(known.keys):
                return
            with suppress(Conflict):
                files.put_if(KEYS_FILE, KeyFile(keys=left).model_dump_json(indent=2).encode(), found[1])

    return Holder(
        name="gateway keys",
        place=f"store: `{KEYS_FILE}`",
        what="id, name and rights of a person's keys; an export leaves the hashes of their secrets out",
        covers=("store:gateway",),
        find=find,
        read=read,
        erase=erase,
    )


def valid_keys(world: World, traces: Traces) -> list[str]:
    """Keys of a person that work still."""
    return [key.key_id for key in _keys(world).keys if key.key_id in traces.keys and key.revoked_at is None]


def trash_holder() -> Holder:
    """What agents have deleted out of workspaces of runs and conversations."""

    def find(world: World, traces: Traces) -> Iterator[Item]:
        root, workspaces = world.home / "trash", world.home.resolve() / "workspaces"
        for path in sorted(root.glob("*/manifest.json")):
            with suppress(OSError, ValueError, KeyError, TypeError):
                trashed: Any = json.loads(path.read_bytes())["trashed"]
                # The first folder below all workspaces: what agents name further below says nothing of whose it is.
                own = (Path(trashed["root"]) / trashed["name"]).relative_to(workspaces).parts[:1]
                if not traces.works.isdisjoint(own):
                    yield Item(holder="trash", key=path.parent.relative_to(world.home).as_posix())

    plain = home_holder(
        "trash", "trash", "files that agents deleted, kept for TRASH_DAYS", lambda _path, _traces: False
    )
    return replace(plain, find=find)


def _names(traces: Traces) -> Any:
    from blocks.accounts.forget import Names

    jobs = tuple(sorted({*traces.jobs, *traces.runs}))
    return Names(users=traces.users, sessions=traces.sessions, jobs=jobs)


async def _in_memory(world: World, work: "Callable[[Memory], Awaitable[R]]") -> R:
    """Do something with the memory, and leave no connection to it open."""
    from blocks.memory.memory import Memory
    from blocks.redact import default_redactor

    memory = Memory(world.home / "memory" / "memory.db", default_redactor())
    try:
        return await work(memory)
    finally:
        memory.close()


def _recalled(world: World, traces: Traces) -> Iterator[str]:
    """Runs of which the memory knows what they wrote or were given."""
    import sqlite3

    with closing(sqlite3.connect(world.home / "memory" / "memory.db", timeout=30)) as database:
        tables = ("recalls", "writes", "origins")
        for (run_id,) in database.execute(" UNION ".join(f"SELECT run_id FROM {one}" for one in tables)):  # noqa: S608
            if run_id in traces.works:
                yield run_id


def _forget_runs(world: World, traces: Traces) -> None:
    path = world.home / "memory" / "memory.db"
    for run_id in list(_recalled(world, traces)):
        delete_rows(path, "DELETE FROM recalls WHERE run_id = ?", run_id)
        delete_rows(path, "DELETE FROM writes WHERE run_id = ?", run_id)
        delete_rows(path, "UPDATE origins SET run_id = 'erased', call_id = '' WHERE run_id = ?", run_id)


def _keys(world: World) -> KeyFile:
    with suppress(NotFound):
        return KeyFile.model_validate_json(world.known.files.read_bytes(KEYS_FILE))
    return KeyFile()
