"""Sessions of this machine and the servers it knows, as they are listed."""

import asyncio
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from blocks.errors import C500Error, NotFound, StoreFailed
from blocks.iiagent.archive import read_archive, told
from blocks.iiagent.books import hint, sessions_of
from blocks.iiagent.events import parse_event
from blocks.iiagent.rest import AgentRest
from blocks.iiagent.server import AgentServer, servers
from blocks.iiagent.state import FILE, SessionState, find_session, read_state, sessions_folder
from blocks.markdown import code
from blocks.model import Frozen
from blocks.plain_text import cut, plain
from tasks.sessions.fleet_plan import FleetOptions, share_of
from tasks.sessions.record import TaskRecord, records_in

MOST_LISTED = 50
TURNS = ("| turn | prompt | outcome | calls | seconds |", "|---|---|---|---|---|")


class ShownSession(Frozen):
    """A session of this machine.

    Attributes:
        session_id: Which; empty where it has none yet.
        server: Where it is.
        status: As it was last seen.
        ui_url: Where people see it.
        folder: Where it is kept.
        tool_calls: In all.
        reconnects: Sockets that were lost.
        updated_at: When it was last written.
        uploads: Files that were sent to it.
        unfinished: Whether a turn was left unfinished.
        tasks: What came of its tasks.
        events: The latest, in words.
    """

    session_id: str
    server: str
    status: str
    ui_url: str | None = None
    folder: str
    tool_calls: int = 0
    reconnects: int = 0
    updated_at: datetime
    uploads: tuple[str, ...] = ()
    unfinished: bool = False
    tasks: tuple[TaskRecord, ...] = ()
    events: tuple[str, ...] = ()


class ShownServer(Frozen):
    """A server of the settings.

    Attributes:
        name: Which.
        base_url: Where.
        is_there: Whether it answers, and is one that we speak to.
        told: What it says, or why not.
        sessions: At once at most.
        opened: Sessions that were opened from here since it was restarted.
        hint: What to do about it.
    """

    name: str
    base_url: str
    is_there: bool
    told: str
    sessions: int
    opened: int
    hint: str = ""


def session_shown(session_id: str, events: int = 0) -> ShownSession:
    """A session. Raises `BadInput`, `NotFound`, `StoreFailed`."""
    folder = find_session(session_id)
    state = None if folder is None else read_state(folder)
    if folder is None or state is None:
        raise NotFound(
            f"this machine knows no session {session_id}",
            fix="`c500 session show` lists those that it knows; `c500 session download` finds others",
            field="session_id",
        )
    return _shown(folder, state, _urls(), events=events, whole=True)


def sessions_shown() -> list[ShownSession]:
    """The latest sessions of this machine, the latest first; what cannot be read is left out."""
    urls = _urls()
    found: list[ShownSession] = []
    for path in sessions_folder().glob(f"*/{FILE}"):
        try:
            state = read_state(path.parent)
        except StoreFailed:
            continue
        if state is not None:
            found.append(_shown(path.parent, state, urls))
    return sorted(found, key=lambda one: one.updated_at, reverse=True)[:MOST_LISTED]


async def servers_shown(known: Iterable[AgentServer]) -> list[ShownServer]:
    """Each server, asked."""
    return list(await asyncio.gather(*(_asked(server) for server in known)))


def session_markdown(one: ShownSession, updated: str) -> str:
    """A session, for people."""
    lines = [
        "# Session",
        "",
        f"- {_name(one)} on {code(one.server)}, {one.status.lower()}, last written {updated}",
        f"- {one.tool_calls} calls of tools, {one.reconnects} reconnects, kept in {code(one.folder)}",
        *(["- a turn was left unfinished: the same call goes on with it"] if one.unfinished else []),
        *([f"- files sent: {', '.join(code(plain(name)) for name in one.uploads)}"] if one.uploads else []),
    ]
    for record in one.tasks:
        lines += [
            "",
            f"## Task {record.task_id}",
            "",
            *TURNS,
        ]
        lines += [
            f"| {number} | {step.kind} | {code(cut(plain(step.outcome.told), 200).replace('|', '¦'))} "
            f"| {sum(step.turn.tool_calls.values())} | {step.turn.seconds:.1f} |"
            for number, step in enumerate(record.steps, start=1)
        ]
        if record.stopped_by:
            lines += ["", f"given up: {record.stopped_by.replace('_', ' ')}"]
    if one.events:
        lines += ["", "## Events", "", *(f"- {code(event)}" for event in one.events)]
    return "\n".join(lines)


def sessions_markdown(listed: list[ShownSession]) -> str:
    """Sessions, for people."""
    rows = [
        f"| {_name(one)} | {one.server} | {one.status.lower()} | {one.tool_calls} | {one.updated_at:%Y-%m-%d %H:%M} |"
        for one in listed
    ]
    return "\n".join(["| session | server | status | calls | last written, UTC |", "|---|---|---|---|---|", *rows])


def servers_markdown(found: list[ShownServer]) -> str:
    """Servers, for people."""
    rows = [
        f"| {one.name} | {code(one.base_url)} | {code(cut(plain(one.told), 200).replace('|', '¦'))} "
        f"| {one.sessions} | {one.opened} |"
        for one in found
    ]
    hints = [f"- {one.hint}" for one in found if one.hint]
    table = ["| server | address | answers | sessions at once | opened from here |", "|---|---|---|---|---|", *rows]
    return "\n".join([*table, "", *hints])


async def _asked(server: AgentServer) -> ShownServer:
    try:
        async with AgentRest(server) as rest:
            told, is_there = f"yes, {await rest.flavor()}", True
    except C500Error as error:
        told, is_there = error.message, False
    return ShownServer(
        name=server.name,
        base_url=server.base_url,
        is_there=is_there,
        told=told,
        sessions=share_of(server, FleetOptions()).sessions,
        opened=sessions_of(server.name),
        hint=hint(server.name),
    )


def _shown(
    folder: Path, state: SessionState, known: dict[str, AgentServer], *, events: int = 0, whole: bool = False
) -> ShownSession:
    server, session = known.get(state.server), state.session_id or ""
    return ShownSession(
        session_id=session,
        server=state.server,
        status=state.status,
        ui_url=server.session_url(session) if server and session else None,
        folder=str(folder),
        tool_calls=state.tool_calls,
        reconnects=state.reconnects,
        updated_at=state.updated_at,
        uploads=tuple(state.uploads),
        unfinished=state.running is not None and not state.running.given_up,
        tasks=tuple(records_in(folder)) if whole else (),
        events=tuple(_latest(folder, events)) if events > 0 else (),
    )


def _latest(folder: Path, count: int) -> Iterable[str]:
    lines: deque[dict[str, Any]] = deque(read_archive(folder), maxlen=count)
    return [f"{line['at']} {line['from']} {_told(line)}" for line in lines]


def _told(line: dict[str, Any]) -> str:
    """A frame in a line; one that was sent is no event, and yet no unknown one."""
    event = told(parse_event(line["frame"]))
    return event.removeprefix("unknown ") if line["from"] == "sent" else event


def _urls() -> dict[str, AgentServer]:
    """The servers by name; none where there is no file: what is kept here is shown all the same."""
    try:
        return {server.name: server for server in servers().servers}
    except C500Error:
        return {}


def _name(one: ShownSession) -> str:
    return f"[{one.session_id}]({one.ui_url})" if one.ui_url else code(one.session_id or "none yet")
