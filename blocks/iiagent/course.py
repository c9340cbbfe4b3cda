"""The course of one turn: ask, listen, and after whatever goes wrong go on, with never two agents in the session."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from blocks.errors import C500Error, Conflict, EngineUnavailable, StoreFailed
from blocks.iiagent.cures import Cures, Failed
from blocks.iiagent.events import AgentResponse, Event, ServerError, UserMessage
from blocks.iiagent.faults import FAULTS, ServerFault, fault_of
from blocks.iiagent.link import Link, Overdue, Refused, Watch
from blocks.iiagent.pace import Halted, Nap
from blocks.iiagent.query import Query, first_query, next_query
from blocks.iiagent.settle import Settled, settled
from blocks.iiagent.state import RunningTurn
from blocks.iiagent.stored import StoredEvent
from blocks.iiagent.transport import TOO_LARGE, Lost
from blocks.iiagent.turn import MAX_TURNS, Effort, Tally, Turn, TurnEnd, TurnError, turn_of
from blocks.iiagent.wire import Wire

INTERRUPTED = "the server interrupted the run"


class Course:
    """The course of a turn, or of making a session ready for one.

    Args:
        wire: The session's connection and state.
        nap: How it waits.
    """

    def __init__(self, wire: Wire, nap: Nap) -> None:
        self._wire, self._nap = wire, nap
        self._limits, self._pace = wire.server.limits, wire.pace
        self._began_at = wire.pace.now()
        self._until = min(wire.deadline, self._began_at + self._limits.turn_s)
        self._watch = Watch(self._until, idle_s=self._limits.idle_s)
        self._effort, self._tally, self._recovered = Effort(), Tally(), False
        self._cures = Cures(wire, nap, self._effort, self._watch)
        wire.count = self._count

    async def prepare(self) -> None:
        """Connect, and have the agent made. Raises `Failed`, by the error of the transport where it was one."""
        while True:
            try:
                await self._ready()
                return
            except Lost as lost:
                await self._after_loss(lost)
            except Overdue as overdue:
                raise Failed(overdue.kind, overdue.message) from overdue

    async def run(self, running: RunningTurn, before: RunningTurn | None) -> Turn:
        """Bring a turn to its end.

        Args:
            running: The turn; one that a process left unfinished is gone on with.
            before: Another whose end nobody saw, and that has to be over first.
        """
        ended: TurnEnd = "response"
        error: TurnError | None = None
        try:
            if before is not None and not before.over:
                await self._wait_for(before)
            await self._keep(running)
            await self._drive()
        except Halted:
            ended = "interrupted"
        except Overdue as overdue:
            await self.stop()
            ended, error = "error", Failed(overdue.kind, overdue.message).error
        except Failed as failed:
            ended, error = "error", failed.error
        if ended == "response" and self._tally.response.startswith(MAX_TURNS):
            ended = "max_turns"
        return await self._finish(running.key, ended, error)

    async def stop(self) -> None:
        """Have the run stop, and wait for its end for a little while; else close the connection."""
        running = self._wire.state.running
        if running is None or running.over:
            return
        link = self._wire.link
        try:
            if link is not None:
                watch = Watch(self._pace.now() + self._limits.cancel_s)
                async with asyncio.timeout(self._limits.cancel_s):  # who reads nothing takes no frame either
                    await link.send("cancel", {})
                end = await link.end_of_run(watch)
                # One that came to its end all the same is found among the stored events.
                await self._keep(running.model_copy(update={"over": not isinstance(end, AgentResponse)}))
                return
        except (Lost, Overdue, TimeoutError):
            pass
        await self._wire.hang_up()

    async def _drive(self) -> None:
        """Ask and listen until the agent responds."""
        running = self._running
        if not running.over:
            query = await self._settle()
        else:
            query = next_query(running)
            if running.query:  # by a process that died
                with suppress(C500Error):
                    self._catch_up(running, await self._events())
        while query is not None:
            try:
                await self._ready()
                await self._ask(query)
                query = await self._after(query, await self._heard())
            except Lost as lost:
                query = await self._after_loss(lost, query)

    @property
    def _running(self) -> RunningTurn:
        running = self._wire.state.running
        if running is None:
            raise RuntimeError("no turn goes on")
        return running

    @property
    def _link(self) -> Link:
        if self._wire.link is None:
            raise Lost("the connection was closed", ours=True)
        return self._wire.link

    async def _ready(self) -> None:
        """A connection with an agent."""
        tries, since = 0, self._pace.now()
        while True:
            self._nap.check()
            try:
                await self._nap.during(self._wire.connect())
                await self._wire.init()
                if not self._wire.fresh:
                    # Found dead now, it costs nothing; after the query, the wait until no run can have begun.
                    await self._link.check()
                return
            except EngineUnavailable as error:
                # Whoever opens a new session is told at once; one that goes on waits for its server.
                waited_s = self._pace.now() - since
                if self._wire.state.status == "NEW" or waited_s > self._limits.away_s or self._late:
                    raise Failed("lost", error.message, error.fix) from error
                await self._cures.backoff(tries)
                tries += 1
            except Refused as refused:
                await self._after_refusal(refused)
            except (StoreFailed, Conflict):
                raise
            except C500Error as error:
                raise Failed("fatal", error.message, error.fix) from error

    @property
    def _late(self) -> bool:
        return self._pace.now() >= self._until

    async def _after_refusal(self, refused: Refused) -> None:
        if FAULTS[refused.kind].cure not in ("rotate", "pause"):
            raise Failed(refused.kind, refused.message)
        await self._cures.before_asking_again(self._link, refused.kind, refused.message)

    async def _ask(self, query: Query) -> None:
        """Send a query; what is needed to find its end is kept before."""
        self._nap.check()
        baseline = await self._stored()
        running, state = self._running, self._wire.state
        begin = running.begin if running.query else baseline
        asked = {"query": query.text, "baseline": baseline, "begin": begin, "over": False}
        await self._keep(running.model_copy(update=asked), status="RUNNING", sent=state.sent + 1)
        # What the agent was given it still knows, unless it was made anew.
        files = query.files if self._wire.fresh or not query.again else ()
        self._wire.fresh = False
        await self._link.send("query", {"text": query.text, "resume": query.resume, "files": list(files)})
        if self._nap.halted:  # meanwhile: what was called off had not begun
            await self._link.send("cancel", {})

    async def _stored(self) -> int | None:
        """How many events are stored; None where the server does not tell."""
        if not self._wire.state.sent:
            return 0
        try:
            return len(await self._events())
        except C500Error:
            return None

    async def _events(self) -> Sequence[StoredEvent]:
        """All that is stored; a server that stands still does not hold up a turn that is called off."""
        return await self._nap.during(self._wire.rest.events(self._wire.session_id))

    async def _heard(self) -> Event:
        """Listen until the run ends."""
        end = await self._link.end_of_run(self._watch)
        # A response is kept with the turn itself: a process that dies before finds it among the stored events. After
        # `busy` another's run goes on.
        if not isinstance(end, AgentResponse) and _fault_of(end) != "busy":
            await self._keep(self._running.model_copy(update={"over": True}))
        return end

    async def _after(self, query: Query, end: Event) -> Query | None:
        """What is asked after a run has ended; None: nothing more."""
        if isinstance(end, AgentResponse):
            return None
        self._nap.check()
        kind, message = _fault_of(end), end.message if isinstance(end, ServerError) else INTERRUPTED
        await self._cures.before_asking_again(self._link, kind, message)
        if kind in ("busy", "not_initialized"):  # the query was not taken
            return query
        # With a new key the history of the failed run is lost; what came before it is there where it was saved.
        saved = kind != "key" or self._running.resume or self._effort.reconnects > 0
        return next_query(self._running, resume=saved)

    async def _after_loss(self, lost: Lost, query: Query | None = None) -> Query | None:
        """What is asked after a lost connection; None: nothing more, as the run has come to its end."""
        await self._wire.hang_up()
        self._nap.check()
        if lost.code == TOO_LARGE:
            raise Failed("size", _too_large(lost, self._limits.frame_bytes))
        if self._effort.reconnects >= self._limits.reconnects or self._late:
            raise Failed("lost", str(lost)) from EngineUnavailable(str(lost), fix=FAULTS["lost"].fix)
        await self._cures.backoff(self._effort.reconnects)
        self._effort.reconnects += 1
        running = self._wire.state.running
        if running is None or running.over:
            return query
        return await self._settle()

    async def _settle(self) -> Query | None:
        """Wait until the run is over whose connection is gone; what is asked then."""
        running = self._running
        found = await self._wait_for(running)
        self._catch_up(running, found.events)
        if isinstance(found.end, AgentResponse) and found.end.ends_run:  # and not only a compaction
            self._recovered = True
            return None  # kept with the turn itself, as one that was heard: see `_heard`
        unseen = not found.began and running.begin == running.baseline
        running = running.model_copy(update={"over": True} | ({"query": ""} if unseen else {}))
        await self._keep(running)
        return first_query(running) if unseen else next_query(running)

    async def _wait_for(self, running: RunningTurn) -> Settled:
        wire = self._wire
        try:
            return await settled(wire.rest, wire.session_id, running, self._limits, self._pace, self._nap, self._until)
        except (StoreFailed, Conflict):
            raise
        except C500Error as error:
            raise Failed("fatal", error.message, error.fix) from error

    def _catch_up(self, running: RunningTurn, events: Sequence[StoredEvent]) -> None:
        """Count what was stored while nobody listened."""
        if running.begin is None:
            return
        stored = [one.event for one in events[running.begin :] if _is_counted(one.event)]
        whole = Tally.of(stored)
        if whole.stored >= self._tally.stored:
            for event in stored[self._tally.stored :]:
                self._wire.replay(event)
            self._tally = whole

    def _count(self, event: Event, size_bytes: int) -> None:
        self._tally.take(event)
        self._effort.frames += 1
        self._effort.bytes += size_bytes
        if self._effort.frames > self._limits.frames:
            raise Overdue("size", f"more than {self._limits.frames} frames came")
        if self._effort.bytes > self._limits.turn_bytes:
            raise Overdue("size", f"more than {self._limits.turn_bytes} bytes came")

    async def _keep(self, running: RunningTurn, **changes: object) -> None:
        await self._wire.save(running=running, **changes)

    async def _finish(self, key: str, ended: TurnEnd, error: TurnError | None) -> Turn:
        """The turn, kept."""
        state = self._wire.state
        seconds = self._pace.now() - self._began_at
        turn = turn_of(key, ended, error, self._tally, self._effort, seconds=seconds, recovered=self._recovered)
        running, loose = state.running, None
        if running is not None and not running.over and not turn.responded:
            loose = running.model_copy(update={"given_up": True})
        if loose is not None:
            await self._wire.hang_up()
        await self._wire.save(
            running=loose,
            turns=state.turns | ({key: turn} if key and turn.responded else {}),
            status={"error": "FAILED", "interrupted": "INTERRUPTED"}.get(ended, "IDLE"),
            reconnects=state.reconnects + turn.reconnects,
            tool_calls=state.tool_calls + sum(turn.tool_calls.values()),
        )
        await self._wire.archive.flush()
        return turn


def _fault_of(end: Event) -> ServerFault:
    """What the end of a run is that is no response. An interruption that nobody asked for: the server goes down."""
    return fault_of(end.message) if isinstance(end, ServerError) else "server"


def _is_counted(event: Event) -> bool:
    """Whether a stored event is one that a `Tally` counts."""
    return event.ends_run if isinstance(event, AgentResponse) else not isinstance(event, UserMessage)


def _too_large(lost: Lost, frame_bytes: int) -> str:
    if lost.ours:
        return f"the server sent a frame of more than {frame_bytes} bytes, which ended the connection and the run"
    return "the server takes no frame of this size; send the material as files"
