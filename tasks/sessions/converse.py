"""A task, turn by turn: asked, proven, gone on with while that changes anything, and given up in time."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from blocks.errors import EngineUnavailable, LimitReached
from blocks.iiagent.session import AgentSession
from blocks.iiagent.workspace import Workspace, workspace_of
from blocks.progress import in_thread, notice
from tasks.sessions.allowance import calls_left, next_move, wall_left_s
from tasks.sessions.outcome import Outcome, outcome_of
from tasks.sessions.proving import fingerprint, known_names, proven
from tasks.sessions.record import Step, StepKind, StoppedBy, TaskRecord, read_record, write_record
from tasks.sessions.task import AgentTask
from tasks.sessions.watch import HURRY_S, Watch
from tasks.sessions.words import answer_text, continue_text

TELL_EVERY_S = 20.0
"""Seconds between two lines about a turn that goes on."""

MOST_TOLD = 300
WAITS = "; it waits for the server, or for the end of an earlier run"

Ask = Callable[[str, str], Awaitable[str | None]]
"""Puts a question of the agent to people, under a key of its own; None where nobody answered."""

Tell = Callable[[TaskRecord], Awaitable[None]]
"""Is told of each turn that has ended."""


class Conversation:
    """A task in its open session.

    Args:
        task: The task.
        session: The session.
        watch: Takes the session's events.
        files: Paths of the uploaded files.
        ask: Who answers questions, where the task has no answer itself.
        tell: Is told of each turn.
    """

    def __init__(
        self,
        task: AgentTask,
        session: AgentSession,
        watch: Watch,
        *,
        files: Sequence[str] = (),
        ask: Ask | None = None,
        tell: Tell | None = None,
    ) -> None:
        self._task, self._session, self._watch, self._files = task, session, watch, tuple(files)
        self._ask, self._tell = ask, tell
        self._record = read_record(session.folder, task.task_id)

    async def run(self) -> TaskRecord:
        """Bring the task to its end, from where any process left it.

        Raises:
            EngineUnavailable: its files cannot be looked at; nothing is decided, and the same call goes on.
            C500Error: see `AgentSession.turn`.
        """
        await self._take_up()
        while (kind := await self._next()) is not None:
            text = await self._text(kind)
            if text is None:  # nobody answered
                break
            await self._step(kind, text)
        return self._record

    async def _take_up(self) -> None:
        """End the turn that a process left unfinished; begin a new allowance where the task had ended without it."""
        record, state = self._record, self._session.state
        running = state.running
        left = running is not None and not running.given_up and running.key == record.key
        if left or record.key in state.turns:
            # The turn has its text already, and keeps it.
            await self._step("continue" if record.steps else "goal", self._task.prompt)
        elif record.last is not None and self._begins_again(record.last.outcome):
            outcome = record.last.outcome if running else await self._outcome_now(record, record.last)
            steps = (*record.steps[:-1], record.last.model_copy(update={"outcome": outcome}))
            await self._keep(steps=steps, since=record.since if outcome.kind == "done" else len(steps), stopped_by="")

    def _begins_again(self, outcome: Outcome) -> bool:
        """An error or an interruption is no verdict: whoever calls again wants the task to go on."""
        return self._task.again or (
            outcome.kind in ("error", "interrupted") and self._record.stopped_by not in ("wall_clock", "tool_calls")
        )

    async def _outcome_now(self, record: TaskRecord, last: Step) -> Outcome:
        """What the last turn came to by its files, and the task's checks, as they are now."""
        names = await self._names(record)
        found = await proven(self._task, self._workspace(names), last.turn.answer) if record.worked else None
        if found is None:
            return last.outcome
        if found.holds:
            return Outcome(kind="done")
        return Outcome(kind="incomplete", missing=found.missing) if last.outcome.kind == "done" else last.outcome

    async def _next(self) -> StepKind | None:
        can_answer = self._task.answer is not None or self._ask is not None
        move = next_move(self._record, self._task.allowance, can_answer=can_answer)
        if move.kind is None and move.stopped_by != self._record.stopped_by and not self._record.stopped_by:
            await self._keep(stopped_by=move.stopped_by)
        return move.kind

    async def _text(self, kind: StepKind) -> str | None:
        """The prompt to give; None where a question has no answer."""
        goal, last = self._task.prompt, self._record.last
        if kind == "goal" or last is None:
            return goal
        if kind == "continue":
            return continue_text(goal, last.outcome, self._files)
        question, answer = last.outcome.question, self._task.answer
        if answer is None and self._ask is not None:
            answer = await self._ask(question, self._record.key)
        return None if answer is None else answer_text(goal, question, answer, self._files)

    async def _step(self, kind: StepKind, text: str) -> None:
        """One turn, and what came of it."""
        record, allowance = self._record, self._task.allowance
        wall_s, calls = wall_left_s(record, allowance), calls_left(record, allowance)
        async with self._telling(), self._watch.over(self._session, wall_s=wall_s, calls=calls):
            turn = await self._session.turn(text, files=self._files if not record.steps else (), key=record.key)
        ended = Step(kind=kind, turn=turn, outcome=Outcome(kind="error", error=turn.error))
        left_s = self._watch.left_to_look(record.key, wall_s - turn.seconds)
        self._session.rest.hurry(max(left_s, HURRY_S))
        stopped_by: StoppedBy = ""
        try:
            step = await self._seen(ended)
        except (EngineUnavailable, LimitReached):
            if turn.responded and left_s > 0:  # kept with its session: the next try looks at it again
                raise
            # One that was called off would be begun again, and what it took forgotten.
            step = ended.model_copy(update={"outcome": Outcome(kind="interrupted")})
            stopped_by = "wall_clock" if left_s <= 0 else ""
        if step.outcome.kind == "interrupted":
            stopped_by = self._watch.called_off_for or stopped_by
        await self._keep(steps=(*record.steps, step), stopped_by=stopped_by)
        notice(f"turn {len(record.steps) + 1}: {step.outcome.told[:MOST_TOLD]}, {turn.seconds:.0f} s")
        if self._tell is not None:
            await self._tell(self._record)

    @asynccontextmanager
    async def _telling(self) -> AsyncGenerator[None]:
        """Within, who listens is told now and then how far the turn is."""
        telling = asyncio.create_task(self._tell_on(f"turn {len(self._record.steps) + 1}"))
        try:
            yield
        finally:
            telling.cancel()

    async def _tell_on(self, turn: str) -> None:
        began, calls = time.monotonic(), self._watch.calls
        notice(f"{turn}: begins in the session {self._session.session_id} on {self._session.server.name}")
        while True:
            await asyncio.sleep(TELL_EVERY_S)
            waits = "" if self._session.is_connected else WAITS
            notice(f"{turn}: {time.monotonic() - began:.0f} s, {self._watch.calls - calls} calls of tools{waits}")

    async def _seen(self, step: Step) -> Step:
        """The turn with its outcome. Of one that failed nothing is looked at: its run may still go on."""
        if step.turn.error is not None:
            return step
        seen = self._record.model_copy(update={"steps": (*self._record.steps, step)})
        names = await self._names(seen)
        workspace = self._workspace(names)
        found = await proven(self._task, workspace, step.turn.answer)
        mark = await fingerprint(workspace, names, seen.work_calls)
        outcome = outcome_of(step.turn, found, worked=seen.worked)
        return step.model_copy(update={"outcome": outcome, "fingerprint": mark})

    def _workspace(self, names: Sequence[str]) -> Workspace:
        session = self._session
        return workspace_of(session.server, session.rest, session.session_id, names, root=session.workspace)

    async def _names(self, record: TaskRecord) -> list[str]:
        session = self._session
        return await known_names(self._task, record, session.rest, session.session_id, session.workspace)

    async def _keep(self, **changes: object) -> None:
        self._record = await in_thread(write_record, self._session.folder, self._record.model_copy(update=changes))
