"""Chunks answered by agents: the rows go up as a table, the agent writes another, and only what is in that counts."""

import asyncio
import csv
import io
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from blocks.content import content_hash
from blocks.errors import BadInput, EngineFailed, NotFound, TooLarge
from blocks.iiagent.server import AgentServer, servers
from blocks.iiagent.session import AgentSession, open_session, sessions_folder
from blocks.iiagent.state import read_state
from blocks.iiagent.turn import Turn
from blocks.iiagent.upload import upload
from blocks.iiagent.workspace import read_small, workspace_of
from blocks.progress import in_thread
from blocks.rows.read import DELIMITERS
from tasks.batch_prompts.cells import safe_cell
from tasks.batch_prompts.chunk import Chunk
from tasks.batch_prompts.engine import Answered, Cells
from tasks.batch_prompts.plan import Plan

MOST_BYTES = 32 * 2**20
"""Of a table that an agent wrote."""

MOST_PROBLEMS = 20

OF_THE_CHUNK = ("time", "idle", "size", "context")
"""Failures of a turn that a smaller chunk may be spared."""

FORM = """\
The rows are in the attached file {given}, too. Write the answer to the file {wanted} of your workspace, as a table: CSV
in UTF-8, separated by commas, texts that hold commas, quotes or line breaks in double quotes. Its first line is this:
{columns}
Then one line for each wanted row, and nothing else. Do not ask anything back; you are done when the file has {count}
lines below the first."""


class AgentEngine:
    """Sessions of II-Agent servers: one for each chunk, in which it is also repaired.

    Args:
        plan: What is asked.

    Raises:
        NotFound, BadInput: AGENT_SERVERS_FILE, or a server of the plan, is not to be had.
    """

    def __init__(self, plan: Plan) -> None:
        known, chosen = servers(), plan.file.agent
        self._plan = plan
        self._servers = [known.named(name) for name in chosen.servers] or list(known.servers)
        self._slots = {one.name: asyncio.Semaphore(one.max_sessions) for one in self._servers}
        self._begun = {one.name: 0 for one in self._servers}
        self._folders: dict[str, Path] = {}
        self._ended: dict[str, int] = {}
        for server in self._servers:
            if chosen.model_key is not None and chosen.model_key not in server.model_keys:
                raise BadInput(
                    f"the agent server {server.name} has no model key {chosen.model_key}",
                    fix=f"use one of {', '.join(server.model_keys)}",
                    field="agent.model_key",
                )

    async def answer(self, chunk: Chunk, prompt: str) -> Answered:
        """See `Engine.answer`. A process that was killed finds the session, and its turn that has ended, again."""
        folder = self._folders.get(chunk.session or "") or self._folder(chunk)
        first = self._plan.file.agent.model_key
        async with self._server_for(folder) as server, open_session(server, folder, model_key=first) as session:
            self._folders[session.session_id] = folder
            return await self._asked(session, chunk, prompt)

    def _folder(self, chunk: Chunk) -> Path:
        """Of a chunk that was asked as often as now: the same after a kill, another when it is asked anew."""
        asked = [self._plan.versions[chunk.group], chunk.asked]
        wanted = [[item.key, list(map(list, chunk.wanted[item.number]))] for item in chunk.items]
        return sessions_folder() / f"batch-{self._plan.plan_id}-{content_hash([asked, wanted])[:24]}"

    @asynccontextmanager
    async def _server_for(self, folder: Path) -> AsyncGenerator[AgentServer]:
        """The server that has the session, or the one with the fewest; when it has room."""
        state = await in_thread(read_state, folder)
        has = [one for one in self._servers if state is not None and one.name == state.server]
        server = has[0] if has else min(self._servers, key=lambda one: self._begun[one.name] / one.max_sessions)
        self._begun[server.name] += 1
        try:
            async with self._slots[server.name]:
                yield server
        finally:
            self._begun[server.name] -= 1

    async def _asked(self, session: AgentSession, chunk: Chunk, prompt: str) -> Answered:
        # With how many turns have ended: the same repair asked for again is another turn, and an unfinished one is not.
        ended = self._ended.get(session.session_id, 0)
        options, key = self._plan.file.agent, content_hash([prompt, ended])[:24]
        number = [*session.state.turns, key].index(key) + 1
        wanted = options.output_name if number == 1 else options.output_name.replace(".csv", f"-{number}.csv")
        name, sent = await upload(
            session.rest,
            session.session_id,
            await in_thread(_table, self._plan, chunk),
            options.input_name,
            known=session.state.uploads,
        )
        await session.note(**{name: sent})
        columns = ",".join(_columns(self._plan))
        form = FORM.format(given=Path(sent.path).name, wanted=wanted, columns=columns, count=chunk.units)
        turn = await session.turn(f"{prompt}\n\n{form}", files=(sent.path,), key=key)
        rows, problems = await _found(session, wanted)
        # Only now: where the table could not be read, the same turn is looked at again, and not another one asked for.
        self._ended[session.session_id] = ended + (key in session.state.turns)
        if not rows:
            _check(turn)
        return Answered(
            rows=rows,
            problems=(*([turn.error.message] if turn.error else ()), *problems),
            session=session.session_id,
            model=session.state.model_key,
        )


def _columns(plan: Plan) -> list[str]:
    return [plan.file.row_column, *plan.per_row.names, *plan.file.columns]


def _table(plan: Plan, chunk: Chunk) -> bytes:
    """The rows of a chunk as a file: an agent may open it in a spreadsheet, too."""
    names = list(dict.fromkeys(name for item in chunk.items for name in item.row))
    rows = [[item.number, *(item.row.get(name) for name in names)] for item in chunk.items]
    text = io.StringIO(newline="")
    csv.writer(text).writerows(map(safe_cell, line) for line in [[plan.file.row_column, *names], *rows])
    return text.getvalue().encode("utf-8-sig")


def _check(turn: Turn) -> None:
    """Raise what a turn failed with; what only this chunk is too much for as such."""
    if turn.error is not None and turn.error.kind in OF_THE_CHUNK:
        raise EngineFailed(turn.error.message, fix=turn.error.fix, kind=turn.error.kind)
    turn.check()


async def _found(session: AgentSession, name: str) -> tuple[list[Cells], tuple[str, ...]]:
    """The rows of the table that the agent wrote, and what is wrong with it."""
    files = workspace_of(session.server, session.rest, session.session_id, root=session.workspace)
    try:
        content = await read_small(files, name, most_bytes=MOST_BYTES)
    except NotFound:
        return [], (f"there is no file {name}",)
    except (TooLarge, EngineFailed) as error:
        return [], (error.message,)
    return read_table(content, name)


def read_table(content: bytes, name: str) -> tuple[list[Cells], tuple[str, ...]]:
    """The rows of a CSV file, and what is wrong with it; a line that does not fit spoils no other."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return [], (f"{name} is not UTF-8 text",)
    first = text.partition("\n")[0]
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=max(DELIMITERS, key=first.count))
    rows: list[Cells] = []
    problems: list[str] = []
    try:
        names = [cell.strip() for cell in next(lines, list[str]())]
        for at, line in enumerate(lines, start=2):
            if len(line) == len(names):
                rows.append(dict(zip(names, line, strict=True)))
            elif line:
                problems.append(f"line {at} of {name} has {len(line)} cells, and the first has {len(names)}")
    except csv.Error as error:
        problems.append(f"{name}: {error}")
    return rows, tuple(problems[:MOST_PROBLEMS])
