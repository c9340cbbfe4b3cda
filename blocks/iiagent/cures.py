"""What is done about each kind of failure, so often and no more."""

from blocks.iiagent.events import AgentResponse, AgentResponseInterrupted, ServerError, StreamComplete
from blocks.iiagent.faults import FAULTS, ErrorKind
from blocks.iiagent.link import Link, Watch
from blocks.iiagent.pace import Nap
from blocks.iiagent.turn import Effort, TurnError
from blocks.iiagent.wire import Wire
from blocks.plain_text import cut
from blocks.redact import default_redactor

MOST_SAID = 2000
"""Characters of an error."""


class Failed(Exception):
    """A turn cannot be brought to an end.

    Attributes:
        error: Why, without secrets.
    """

    def __init__(self, kind: ErrorKind, message: str, fix: str = "") -> None:
        super().__init__(message)
        # Providers quote keys, and whole prompts.
        said = cut(default_redactor().text(message[: 4 * MOST_SAID]), MOST_SAID)
        self.error = TurnError(kind=kind, message=said, fix=fix or FAULTS[kind].fix)


class Cures:
    """The cures of one turn.

    Args:
        wire: The session's connection and state.
        nap: How it waits.
        effort: Is told of each.
        watch: How long an answer may take.
    """

    def __init__(self, wire: Wire, nap: Nap, effort: Effort, watch: Watch) -> None:
        self._wire, self._nap, self._effort, self._watch = wire, nap, effort, watch
        self._limits = wire.server.limits
        self._tried = {wire.state.model_key}
        self._asked_once = False

    async def before_asking_again(self, link: Link, kind: ErrorKind, message: str) -> None:
        """Do what makes it worth asking again. Raises `Failed` where nothing does."""
        cure = FAULTS[kind].cure
        if cure == "rotate":
            self._rotate(message)
        elif cure == "compact":
            await self._compact(link, message)
        elif cure == "once" and not self._asked_once:
            self._asked_once = True
            self._effort.retries += 1
        elif cure in ("pause", "cancel", "init"):
            await self._pause(kind, message)
            if cure == "cancel":
                await link.send("cancel", {})  # the run that somebody left in this agent
                await link.end_of_run(self._watch)
            elif cure == "init":
                self._wire.forget_agent()
        else:
            raise Failed(kind, message)

    async def backoff(self, tries: int) -> None:
        """Wait, longer each time."""
        await self._nap.backoff(tries, self._limits.backoff_s, self._limits.longest_backoff_s)

    def _rotate(self, message: str) -> None:
        """Go on with the next model key that this turn has not tried."""
        keys, current = self._wire.server.model_keys, self._wire.state.model_key
        first = keys.index(current) + 1 if current in keys else 0
        left = [key for key in (*keys[first:], *keys[:first]) if key not in self._tried]
        if not left:
            raise Failed("key", message)
        self._tried.add(left[0])
        self._effort.rotations += 1
        rotated = {"model_key": left[0], "rotations": self._wire.state.rotations + 1}
        self._wire.state = self._wire.state.model_copy(update=rotated)
        self._wire.forget_agent()

    async def _pause(self, kind: ErrorKind, message: str) -> None:
        if self._effort.retries >= self._limits.retries:
            raise Failed(kind, message)
        await self.backoff(self._effort.retries)
        self._effort.retries += 1

    async def _compact(self, link: Link, message: str) -> None:
        """Have the conversation made shorter; once in a turn."""
        if self._effort.compactions:
            raise Failed("context", message)
        self._effort.compactions += 1
        await self._keep(over=False)  # until it is said to be over: whoever loses the socket meanwhile has to wait
        await link.send("query", {"text": "/compact", "resume": True, "files": []})
        event = await link.event(self._watch)
        while not isinstance(event, AgentResponse | StreamComplete | AgentResponseInterrupted | ServerError):
            event = await link.event(self._watch)
        await self._keep(over=True)
        if isinstance(event, ServerError):
            raise Failed("context", f"{message}; and /compact failed: {event.message}")

    async def _keep(self, *, over: bool) -> None:
        """Note whether the server may still be at something of this turn."""
        if (running := self._wire.state.running) is not None:
            await self._wire.save(running=running.model_copy(update={"over": over}))
