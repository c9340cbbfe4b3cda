"""A task from its beginning to its files: opened, run, verified, collected; gone on with, and never begun twice."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.errors import Conflict, EngineUnavailable, LimitReached
from blocks.iiagent.rest import AgentRest
from blocks.iiagent.server import AgentServer
from blocks.iiagent.session import AgentSession, open_session
from blocks.iiagent.state import find_session, sessions_folder
from blocks.iiagent.upload import upload
from blocks.iiagent.workspace import workspace_of
from blocks.progress import in_thread
from blocks.steps import WHERE_WORTH_RETRYING
from blocks.store.scratch import locked
from blocks.timeline import measure
from tasks.sessions.collect import collect
from tasks.sessions.converse import Ask, Conversation, Tell
from tasks.sessions.outcome import Outcome
from tasks.sessions.patience import patiently
from tasks.sessions.proving import declared, known_names, proven
from tasks.sessions.record import Step, TaskRecord
from tasks.sessions.result import AgentResult, Collected, counters_of
from tasks.sessions.task import AgentTask, check_for
from tasks.sessions.watch import HURRY_S, Watch


class TaskRun:
    """A task in its open session.

    Attributes:
        task: The task.
        session: Its session.
        files: Paths of its files, as the server named them.
    """

    def __init__(self, task: AgentTask, session: AgentSession, watch: Watch) -> None:
        self.task, self.session, self._watch = task, session, watch
        self.files: tuple[str, ...] = ()

    async def send_files(self) -> None:
        """Have its files in the workspace, each once. Raises as `upload`."""
        await patiently(self._send_files, self.session.server.limits)

    async def _send_files(self) -> None:
        session, self.files = self.session, ()
        for file in self.task.files:
            own, sent = await upload(
                session.rest, session.session_id, file.path, file.name, known=session.state.uploads
            )
            if session.state.uploads.get(own) != sent:
                await session.note(**{own: sent})
            self.files = (*self.files, sent.path)

    async def converse(self, ask: Ask | None = None, tell: Tell | None = None) -> TaskRecord:
        """Turn by turn until it is done, or given up. Raises as `Conversation.run`."""
        talk = Conversation(self.task, self.session, self._watch, files=self.files, ask=ask, tell=tell)
        return await patiently(talk.run, self.session.server.limits)

    async def verify(self, record: TaskRecord) -> Outcome:
        """What it came to, looked at once more: its files may have changed since. Raises as `prove`."""
        last = record.last
        if last is None or last.outcome.kind != "done" or not self.task.checks:
            return Outcome(kind="interrupted") if last is None else last.outcome
        return await patiently(lambda: self._verified(record, last), self.session.server.limits)

    async def _verified(self, record: TaskRecord, last: Step) -> Outcome:
        session = self.session
        names = await known_names(self.task, record, session.rest, session.session_id, session.workspace)
        workspace = workspace_of(session.server, session.rest, session.session_id, names, root=session.workspace)
        found = await proven(self.task, workspace, last.turn.answer)
        if found is None or found.holds:
            return last.outcome
        return Outcome(kind="incomplete", missing=found.missing)

    async def collect(self, record: TaskRecord) -> Collected | None:
        """Bring its files here; None where its time is used up and the server does not answer. Raises as `collect`."""
        if record.stopped_by != "wall_clock":
            return await patiently(lambda: self._collected(record), self.session.server.limits)
        self.session.rest.hurry(HURRY_S)
        with suppress(EngineUnavailable, LimitReached):
            return await self._collected(record)
        return None

    async def _collected(self, record: TaskRecord) -> Collected:
        session, asked = self.session, self.task
        return await collect(
            session.server,
            session.rest,
            session.session_id,
            more=[*record.files, *declared(asked)],
            root=session.workspace,
            manifest=asked.manifest,
            into=asked.into,
            limits=asked.download,
            unpack=asked.unpack,
        )

    def result(self, record: TaskRecord, outcome: Outcome, files: Collected | None) -> AgentResult:
        """What came of it."""
        session = self.session
        said = [step.turn.answer for step in record.steps if step.turn.answer]
        return AgentResult(
            task_id=self.task.task_id,
            server=session.server.name,
            session_id=session.session_id,
            ui_url=session.server.session_url(session.session_id),
            outcome=outcome,
            stopped_by=record.stopped_by,
            answer=said[-1] if said else "",
            files=files,
            counters=counters_of(record),
        )


@asynccontextmanager
async def opened(task: AgentTask, server: AgentServer) -> AsyncGenerator[TaskRun]:
    """A task in its session: the one that it had before, in whatever process that was.

    Raises:
        Conflict: another process is at it.
        C500Error: see `open_session`.
    """
    check_for(task, server)
    server = _in_time(server, task)
    folder = await in_thread(folder_of, task)
    watch = Watch()
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(folder.with_name(f"{folder.name}.lock"), wait=False) as alone:
        if not alone:
            raise Conflict(f"another process is at the task {task.task_id}", fix="wait until it has ended")
        async with open_session(server, folder, session_id=task.session_id, on_event=watch) as session:
            yield TaskRun(task, session, watch)


def _in_time(server: AgentServer, task: AgentTask) -> AgentServer:
    """The server, with no request that waits for longer than the whole task may take."""
    within_s = min(server.limits.request_s, max(HURRY_S, task.allowance.wall_s))
    return server.model_copy(update={"limits": server.limits.model_copy(update={"request_s": within_s})})


def folder_of(task: AgentTask) -> Path:
    """Where the session of a task is kept; that of a conversation which it goes on with may be here already."""
    if task.session_id is None:
        return sessions_folder() / task.task_id
    return find_session(task.session_id) or sessions_folder() / task.session_id


async def perform(task: AgentTask, server: AgentServer, *, tell: Tell | None = None) -> AgentResult:
    """All phases of a task, without Prefect's tasks around each; see `perform_steps`."""
    async with opened(task, server) as run:
        await run.send_files()
        record = await run.converse(tell=tell)
        outcome = await run.verify(record)
        return run.result(record, outcome, await run.collect(record))


async def perform_steps(
    task: AgentTask, server: AgentServer, *, ask: Ask | None = None, tell: Tell | None = None
) -> AgentResult:
    """All phases of a task, each one of Prefect's tasks, tried again where that may help.

    Args:
        task: The task.
        server: Where.
        ask: Who answers questions of the agent.
        tell: Is told of each turn.
    """
    with measure("reach"):
        await reach_step(_in_time(server, task))
    async with opened(task, server) as run:
        with measure("send files"):
            await send_step(run)
        with measure("run"):
            record = await run_step(run, ask, tell)
        with measure("verify"):
            outcome = await verify_step(run, record)
        with measure("collect"):
            files = await collect_step(run, record)
        return run.result(record, outcome, files)


@task(
    name="reach",
    cache_policy=NO_CACHE,
    persist_result=False,
    **WHERE_WORTH_RETRYING,
)
async def reach_step(server: AgentServer) -> None:
    """See that the server is there, and one that we speak to."""
    async with AgentRest(server) as rest:
        await rest.flavor()


@task(
    name="send-files",
    cache_policy=NO_CACHE,
    persist_result=False,
    **WHERE_WORTH_RETRYING,
)
async def send_step(run: TaskRun) -> None:
    """Have the files in the workspace."""
    await run.send_files()


@task(
    name="run",
    cache_policy=NO_CACHE,
    persist_result=False,
    **WHERE_WORTH_RETRYING,
)
async def run_step(run: TaskRun, ask: Ask | None, tell: Tell | None) -> TaskRecord:
    """Turn by turn until the task is done, or given up; a retry goes on where the last attempt was."""
    return await run.converse(ask, tell)


@task(
    name="verify",
    cache_policy=NO_CACHE,
    persist_result=False,
    **WHERE_WORTH_RETRYING,
)
async def verify_step(run: TaskRun, record: TaskRecord) -> Outcome:
    """Look at the proof once more."""
    return await run.verify(record)


@task(
    name="collect",
    cache_policy=NO_CACHE,
    persist_result=False,
    **WHERE_WORTH_RETRYING,
)
async def collect_step(run: TaskRun, record: TaskRecord) -> Collected | None:
    """Bring the files here."""
    return await run.collect(record)
