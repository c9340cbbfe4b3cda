"""`c500 memory`: what agents remember; what waits for a person; export, and deletion on request."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, TypeVar
from urllib.parse import quote

import typer

from deployments.cli import app
from deployments.cli.given import whole_id
from deployments.cli.output import Json, echo_json, local_time

if TYPE_CHECKING:
    from blocks.memory import Erased, Kind, Memory, MemoryRecord, Namespace, State
    from tasks.agents.consolidate import Consolidated

T = TypeVar("T")

commands = typer.Typer(help="What agents remember.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(commands, name="memory")

MemoryId = Annotated[str, typer.Argument(metavar="ID", help="Id of a memory, or how it begins.")]
Agent = Annotated[str | None, typer.Option(help="Only of this agent.")]
User = Annotated[str | None, typer.Option(help="Only of this user.")]

WIDTH = 100
"""Characters of a text in a list."""


@commands.command("list")
def list_all(
    agent: Agent = None,
    user: User = None,
    state: Annotated[
        str, typer.Option(help="Comma list of active, quarantined, released, archived, forgotten; empty for all.")
    ] = "",
    most: Annotated[int, typer.Option(min=1, help="How many at most.")] = 1000,
    as_json: Json = False,
) -> None:
    """List memories, oldest first; `--state quarantined` are those that wait for a person."""
    from blocks.plain_text import plain

    states = _states(state)
    found = _with(lambda memory: memory.records(agent=agent, user=user, states=states, most=most))
    if as_json:
        echo_json(found)
        return
    for one in found:
        whose = f"{one.namespace.agent} for {one.namespace.user}"
        line = f"{one.memory_id}  {_state(one):12} {one.kind:10} {one.importance:2}  {whose}  {one.text}"
        typer.echo(plain(line)[: 60 + WIDTH])
    if not found:
        typer.echo("there are no such memories", err=True)


@commands.command("show")
def show(memory_id: MemoryId, as_json: Json = False) -> None:
    """Show a memory, where it came from, and why it was kept back."""
    from blocks.plain_text import plain

    async def read(memory: "Memory") -> "MemoryRecord":
        return await memory.record(await _whole(memory, memory_id))

    record = _with(read)
    if as_json:
        echo_json(record)
        return
    for line in _page(record):
        typer.echo(plain(line))


@commands.command("add")
def add(
    text: Annotated[str, typer.Argument(help="What is to be remembered.")],
    agent: Annotated[str, typer.Option(help="Which agent.")],
    user: Annotated[str | None, typer.Option(help="For which user; by default you.")] = None,
    kind: Annotated[str, typer.Option(help="preference, fact, decision, lesson or episode.")] = "fact",
    importance: Annotated[int, typer.Option(min=1, max=10, help="1 to 10.")] = 5,
    as_json: Json = False,
) -> None:
    """Give an agent a memory; yours need no release."""
    from blocks.approvals import login_name
    from blocks.memory import Namespace, Origin
    from blocks.settings import settings
    from tasks.agents.definition import find_agent

    find_agent(agent, settings().agents_dir)  # else nobody would ever read it
    whose = Namespace(agent=agent, user=login_name() if user is None else user)
    person, told = login_name(), _kind(kind)
    done = _with(
        lambda memory: memory.remember(
            whose, text, origin=Origin(tool=person), kind=told, importance=importance, by=person
        )
    )
    _tell(done.record, as_json=as_json)


@commands.command("release")
def release(memory_id: MemoryId, as_json: Json = False) -> None:
    """Have a memory recalled that was kept back, archived or forgotten: you have read it and vouch for it."""
    from blocks.approvals import login_name

    async def released(memory: "Memory") -> "MemoryRecord":
        return await memory.release(await _whole(memory, memory_id), login_name())

    _tell(_with(released), as_json=as_json)


@commands.command("split")
def split(memory_id: MemoryId, as_json: Json = False) -> None:
    """Undo a merge of the last 30 days: the parts are recalled again."""

    async def apart(memory: "Memory") -> "Sequence[MemoryRecord]":
        return await memory.split(await _whole(memory, memory_id))

    parts = _with(apart)
    if as_json:
        echo_json(parts)
        return
    for one in parts:
        _tell(one, as_json=False)


@commands.command("forget")
def forget(
    memory_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="One memory.", show_default=False)] = None,
    agent: Annotated[str | None, typer.Option(help="All of this agent.")] = None,
    user: Annotated[str | None, typer.Option(help="All of this user.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a memory, or all of an agent or user, for good; what it was merged from and into goes along."""
    from blocks.errors import BadInput

    if memory_id is not None and (agent or user):
        raise BadInput("a memory and an agent or user are named", fix="name one of the two", field="memory_id")
    if memory_id is not None:
        beginning = memory_id
        memory_id = _with(lambda memory: _whole(memory, beginning))
    if not yes and not _agreed(memory_id, agent, user):
        raise typer.Exit(1)
    erased = _with(lambda memory: memory.erase(memory_id=memory_id, agent=agent, user=user))
    if as_json:
        echo_json(erased)
    else:
        typer.echo(_told(erased))


@commands.command("export")
def export(
    agent: Agent = None,
    user: User = None,
    out: Annotated[Path | None, typer.Option(help="A new file, for you alone; by default standard output.")] = None,
) -> None:
    """Write every memory with its origins as JSON lines, whatever its state."""

    async def write(memory: "Memory", stream: IO[str]) -> int:
        count = 0
        async for record in memory.every(agent=agent, user=user):
            stream.write(record.model_dump_json() + "\n")
            count += 1
        return count

    with _opened(out) as stream:
        count = _with(lambda memory: write(memory, stream))
    typer.echo(f"{count} memories", err=True)


@commands.command("notes")
def show_notes(
    agent: Agent = None,
    user: User = None,
    out: Annotated[Path | None, typer.Option(help="Folder; gets AGENT/USER/MEMORY.md for each.")] = None,
) -> None:
    """Show what is recalled as a page for people, MEMORY.md."""
    from blocks.memory.notes import notes

    async def pages(memory: "Memory") -> "list[tuple[Namespace, str]]":
        chosen = [one for one in await memory.namespaces() if agent in (None, one.agent) and user in (None, one.user)]
        return [(one, notes(one, await memory.records(agent=one.agent, user=one.user))) for one in chosen]

    for namespace, page in _with(pages):
        if out is None:
            typer.echo(page)
            continue
        path = out / _file_name(namespace.agent) / _file_name(namespace.user) / "MEMORY.md"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
        typer.echo(path)


@commands.command("consolidate")
def consolidate(agent: Agent = None, user: User = None, as_json: Json = False) -> None:
    """Merge what says the same, archive and erase what is old; the service does it every night."""
    from deployments.cli.session import run_flow

    def start() -> "Coroutine[Any, Any, Consolidated]":
        from flows.memory import consolidate_memory

        return consolidate_memory(agent, user)

    made = run_flow(start, quiet=as_json)
    if as_json:
        echo_json(made)
        return
    typer.echo(f"merged {made.by_rule + made.by_model}, archived {made.archived}, erased {made.erased}")
    for trouble in made.troubles:
        typer.echo(trouble, err=True)


def _with(work: "Callable[[Memory], Awaitable[T]]") -> T:
    """Do something with the memory of AGENTS_HOME."""
    from blocks.memory.open import open_memory

    async def run() -> T:
        memory = open_memory()
        try:
            return await work(memory)
        finally:
            memory.close()

    return asyncio.run(run())


async def _whole(memory: "Memory", beginning: str) -> str:
    """The one id that begins so. Raises `BadInput` where several do."""
    return whole_id(beginning, [one.memory_id async for one in memory.every() if one.memory_id.startswith(beginning)])


def _states(text: str) -> "tuple[State, ...]":
    from blocks.errors import BadInput
    from blocks.memory import STATES

    wanted = {part.strip() for part in text.split(",") if part.strip()}
    if unknown := wanted - set(STATES):
        raise BadInput(f"there is no state {sorted(unknown)[0]!r}", fix=f"use {', '.join(STATES)}", field="--state")
    return tuple(state for state in STATES if state in wanted)


def _kind(text: str) -> "Kind":
    from blocks.errors import BadInput
    from blocks.memory import KINDS

    for kind in KINDS:
        if kind == text:
            return kind
    raise BadInput(f"there is no kind {text!r}", fix=f"use {', '.join(KINDS)}", field="--kind")


def _agreed(memory_id: str | None, agent: str | None, user: str | None) -> bool:
    """Whether the person at the terminal wants it. Raises `BadInput`: nobody is there to ask."""
    from blocks.errors import BadInput

    named = [f"memory {memory_id}"] if memory_id else []
    named += [f"of agent {agent}"] if agent else []
    named += [f"of user {user}"] if user else []
    what = " ".join(named) if memory_id else f"all memories {' '.join(named)}"
    try:
        return not named or typer.confirm(f"Delete {what}?", err=True)
    except typer.Abort:
        if sys.stdin.isatty():
            raise
        raise BadInput(f"nobody said whether to delete {what}", fix="give --yes", field="--yes") from None


@contextmanager
def _opened(out: Path | None) -> "Generator[IO[str]]":
    from blocks.errors import BadInput

    if out is None:
        yield sys.stdout
        return
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise BadInput(f"{out} cannot be made: {error.strerror}", fix="name a new file", field="--out") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        yield stream


def _tell(record: "MemoryRecord", *, as_json: bool) -> None:
    if as_json:
        echo_json(record)
    else:
        typer.echo(f"{record.memory_id}: {_state(record)}")


def _told(erased: "Erased") -> str:
    if not erased.residue:
        return f"{_count(erased.memories)} gone"
    more = "another process uses the file, and traces are left in it until `c500 memory consolidate` clears them"
    return f"{_count(erased.memories)} gone; {more}"


def _count(memories: int) -> str:
    return "1 memory is" if memories == 1 else f"{memories} memories are"


def _state(record: "MemoryRecord") -> str:
    return f"merged into {record.merged_into}" if record.merged_into else record.state


def _page(record: "MemoryRecord") -> "Iterator[str]":
    yield record.text
    yield ""
    yield f"{record.kind} of importance {record.importance}, of {record.namespace.agent} for {record.namespace.user}"
    yield f"{_state(record)}, recalled {record.accesses} times, last {record.used_at:%Y-%m-%d}"
    yield from (f"kept back: {reason}" for reason in record.reasons)
    if record.reviewed_by:
        yield f"read by {record.reviewed_by}"
    if record.forgotten_by:
        yield f"forgotten by {record.forgotten_by}"
    for origin in record.origins:
        labels = f", after it had seen what is {', '.join(sorted(origin.labels))}" if origin.labels else ""
        run = f" in run {origin.run_id}, call {origin.call_id}" if origin.run_id else ""
        yield f"{local_time(origin.at or record.created_at)} by {origin.tool}{run}{labels}"


def _file_name(name: str) -> str:
    """A name as that of a folder, whatever it holds."""
    return "_" if name in ("", ".", "..") else quote(name, safe=" @")
