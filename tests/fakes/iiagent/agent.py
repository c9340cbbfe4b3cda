"""A scripted agent: it plays the steps of the scenario for one query after the other."""

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.fakes.iiagent.incidents import Wait
from tests.fakes.iiagent.sessions import Message, Session
from tests.fakes.iiagent.step import Ending, Step
from tests.fakes.iiagent.turns import MAX_TURNS, Done

if TYPE_CHECKING:
    from tests.fakes.iiagent.connection import Connection
    from tests.fakes.iiagent.server import FakeServer

INTERRUPTED = "Agent interrupted by user. You can resume by providing a new instruction."
TOOL_INTERRUPTED = "Tool execution interrupted by user. You can resume by providing a new instruction."


@dataclass
class Run:
    """One query, as a scenario sees it before it, and a test after it.

    Attributes:
        session: Its session.
        number: How many were started in the session before.
        text: The query.
        resume: Whether it went on with the history.
        files: Names of files that came with it.
        model: Key of the model.
        history: What the agent knew of earlier at its start.
        outcome: "" while it goes on, then done, silent, max_turns, interrupted, error, or lost (nothing was kept).
        turns: Turns of the model so far.
    """

    session: Session
    number: int
    text: str
    resume: bool
    files: list[str]
    model: str
    history: list[Message] = field(default_factory=list)
    outcome: str = ""
    turns: int = 0


class Agent:
    """An agent of one connection.

    Attributes:
        history: What it knows; only in memory until a run ends well.
        connection: Where its events go; None: to nobody, but they are stored.
        cancelled: It stops before its next turn.
    """

    def __init__(self, server: "FakeServer", session: Session, connection: "Connection", model: str) -> None:
        self.server = server
        self.session = session
        self.connection: Connection | None = connection
        self.model = model
        self.history = session.history
        self.cancelled = False
        self._calls = itertools.count(1)
        self._ends_as = Ending("lost", saves=False)
        self.task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a run goes on."""
        return self.task is not None and not self.task.done()

    def start(self, text: str, *, resume: bool, files: list[str]) -> None:
        """Begin a run."""
        if not resume:
            self.history = []
        run = Run(self.session, self.session.runs, text, resume, files, self.model, list(self.history))
        self.session.runs += 1
        self.session.name = self.session.name or text[:100]
        self.session.save()
        self.server.runs.append(run)
        self.cancelled = False
        self.task = self.server.spawn(self._run(run))

    def start_waiting(self) -> None:
        """Begin a run that nobody asked for and that only a cancellation ends."""
        self.cancelled = False
        self.task = self.server.spawn(self._until_cancelled())

    def start_compacting(self, polls: int) -> None:
        """Begin a compaction that is over when the events of the session were looked at so often."""
        self.task = self.server.spawn(self._compact(polls))

    def cancel(self) -> None:
        """Stop before the next turn."""
        self.cancelled = True
        self.server.changed()

    def end(self, ending: Ending) -> "asyncio.Task[None] | None":
        """Stop now, and not only before the next turn; what to wait for."""
        if self.task is None or self.task.done():
            return None
        self._ends_as = ending
        self.task.cancel()
        return self.task

    def lose(self) -> None:
        """Stop now, and keep nothing."""
        self.end(Ending("lost", saves=False))

    def compact(self) -> None:
        """Make the history one message."""
        self.history = [{"role": "user", "text": "summary of the conversation"}] if self.history else []
        self.session.compactions += 1
        self.session.save()

    def forget_last_query(self) -> None:
        """Drop what came from the last message of the user on, also from what REST shows."""
        asked = [at for at, message in enumerate(self.history) if message["role"] == "user"]
        del self.history[asked[-1] if asked else 0 :]
        self.session.forget_last_query()

    async def emit(self, kind: str, content: Any) -> None:
        """Store an event and show it, if anybody looks."""
        self.session.store(kind, content)
        if self.connection is not None:
            await self.connection.send(kind, content)

    async def think(self, text: str) -> None:
        """The model's own text."""
        await self.emit("agent_thinking", {"text": text})

    async def call(self, tool: str, called: dict[str, Any], result: Any, edit: dict[str, Any] | None = None) -> None:
        """One call of a tool, and the file that it wrote."""
        call_id = f"call_{self.session.runs}_{next(self._calls)}"
        known = {"tool_call_id": call_id, "tool_name": tool}
        self.history.append({"role": "assistant", "text": f"{tool} {called}"[:300]})
        await self.emit("tool_call", known | {"tool_input": called})
        if edit is not None:
            await self.emit("file_edit", edit)
        await self.emit("tool_result", known | {"result": result})
        self.history.append({"role": "tool", "text": str(result)[:300]})

    async def _run(self, run: Run) -> None:
        self.session.store("user_message", {"text": run.text})
        self.history.append({"role": "user", "text": run.text})
        with self.server.at_work(self.session.id):
            try:
                await self._play(run)
            except Ending as ending:
                self._finish(run, ending)
            except asyncio.CancelledError:
                if self._ends_as.outcome == "interrupted":
                    self.session.store("agent_response_interrupted", {"text": INTERRUPTED})
                self._finish(run, self._ends_as)
        self.server.changed()

    def _finish(self, run: Run, ending: Ending) -> None:
        run.outcome = ending.outcome
        if ending.saves:
            self.session.save_history(self.history)

    async def _play(self, run: Run) -> None:
        for step in itertools.chain(self.server.scenario.steps(run), [Done()]):
            if not step.turn:
                await step.play(self)
                continue
            if run.turns == self.server.knobs.max_turns:
                await self.emit("agent_response", {"text": MAX_TURNS})
                raise Ending("max_turns")
            await self._linger(run)
            await self._stop_if_cancelled(INTERRUPTED)
            run.turns += 1
            async with self.server.slot():
                await self._ask_model(step)
                if step.thinking:
                    await self.think(step.thinking)
                await step.play(self)

    async def _linger(self, run: Run) -> None:
        """Be slow to notice that the connection is gone."""
        polls = self.server.knobs.late_polls
        if self.connection is None and polls and not self.server.crowded(run.session.id):
            late = Wait(f"late-{run.session.id}-{run.number}", polls=polls)
            await late.play(self)

    async def _ask_model(self, step: Step) -> None:
        if step.gate:
            await self.server.gates.through(step.gate)
        await self.server.model_time()
        if self.cancelled and step.tool_name:
            known = {"tool_call_id": f"call_{self.session.runs}_{next(self._calls)}", "tool_name": step.tool_name}
            await self.emit("tool_result", known | {"result": "Tool execution interrupted by user."})
            await self._stop_if_cancelled(TOOL_INTERRUPTED)

    async def _stop_if_cancelled(self, text: str) -> None:
        if self.cancelled:
            self.history.append({"role": "assistant", "text": text})
            await self.emit("agent_response_interrupted", {"text": text})
            raise Ending("interrupted")

    async def _compact(self, polls: int) -> None:
        with self.server.at_work(self.session.id):
            await Wait(f"compact-{self.session.id}", polls=polls).play(self)
            self.compact()
            await self.emit("agent_response", {})

    async def _until_cancelled(self) -> None:
        with self.server.at_work(self.session.id):
            await self.server.until(lambda: self.cancelled)
            await self.emit("agent_response_interrupted", {"text": INTERRUPTED})
