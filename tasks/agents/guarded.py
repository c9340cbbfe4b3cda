"""What a guard knows of a run, the limits it holds it to, and how it ends one."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from pydantic import Field

from blocks.errors import C500Error, Stopped
from blocks.model import Frozen
from blocks.switches import Switch
from tasks.agents.loops import FoundLoop, Loops, Made

SAID = {"steps": "calls of the model", "actions": "tool calls", "duration_s": "seconds at work"}
"""Limits as people are told of them, where they have another name."""

BEYOND_A_LIMIT = "see `c500 audit why RUN`; where it was right to go on, raise the agent's limit, and begin a new run"
OUT_OF_A_LOOP = "see `c500 audit why RUN`; say the goal more exactly or give the agent what it lacks, in a new run"


class Limits(Frozen):
    """What a run may take at most.

    Attributes:
        steps: Calls of the model.
        actions: Tool calls.
        same_action: Calls of one tool with the same arguments.
        polls: The same for tools whose use that is, as asking for a state.
        duration_s: Seconds at work over all attempts; waiting for people does not count.
        tokens: Tokens, sent and answered; looked at before each call of the model. None for no limit.
    """

    steps: int = Field(default=50, ge=1)
    actions: int = Field(default=100, ge=1)
    same_action: int = Field(default=5, ge=1)
    polls: int = Field(default=100, ge=1)
    duration_s: float = Field(default=3600, gt=0)
    tokens: int | None = Field(default=1_000_000, ge=1)


class AgentStopped(Stopped):
    """A switch stopped the run; it can go on when the switch is cleared."""

    @classmethod
    def by(cls, switch: Switch) -> Self:
        """The error of a run that this switch stopped."""
        clear = "--all" if switch.scope == "all" else f"--{switch.scope} {switch.name}"
        fix = "look at the store of the switches" if switch.away else f"clear it with `c500 stop --clear {clear}`"
        return cls(str(switch), fix=f"{fix}, then resume the run", switch=switch.model_dump(mode="json"))

    @property
    def switch(self) -> Switch:
        """What stopped it."""
        return Switch.model_validate(self.details["switch"])


class GuardTripped(C500Error):
    """The run reached a limit or went round in circles, and was ended.

    `details` name the `limit` as it is called in `Limits`, or `loop`; its `value`, and the `most` that is allowed.
    """

    code = "GUARD_TRIPPED"
    exit_code = 3


class GuardEvent(Frozen):
    """Something that a guard did, for audit and metrics.

    Attributes:
        kind: `stopped` by a switch, `warned` of a loop, `tripped` by a limit or a loop, `refused` by a breaker.
        rule: Which: the switch's scope, the limit's name, the loop's kind, or `breaker`.
        agent, run_id: Whom it guards.
        call_id: Of the tool call; None for a call of the model.
        tool: Its name.
        message: For people.
    """

    kind: Literal["stopped", "warned", "tripped", "refused"]
    rule: str
    agent: str
    run_id: str
    call_id: str | None = None
    tool: str | None = None
    message: str


@dataclass(kw_only=True, eq=False)
class GuardedRun:
    """One attempt of a run, as its guard sees it; all its calls of `Agent.run` share it.

    Made anew for each attempt: what is replayed counts as it did the first time.

    Attributes:
        agent: The agent's name.
        run_id: The run.
        parents: Runs that it works for; when they are stopped it is too.
        used_s: Seconds at work in attempts before this one.
        clock: Seconds that never go back, whatever is done to the machine's time.
        steps: Calls of the model so far.
        actions: Tool calls so far.
        loops: What it did lately.
        ended: The limit that it passed: it makes no more calls, and ends before the model is called again.
    """

    agent: str
    run_id: str
    parents: tuple[str, ...] = ()
    used_s: float = 0.0
    clock: Callable[[], float] = time.monotonic
    steps: int = 0
    actions: int = 0
    loops: Loops = field(default_factory=Loops)
    ended: GuardTripped | None = None
    _began: float = field(init=False)
    _waited_s: float = field(default=0.0, init=False)
    _waiting: int = field(default=0, init=False)
    _waiting_since: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._began = self.clock()

    @property
    def active_s(self) -> float:
        """Seconds at work over all attempts, without those that it waited for people; to be kept for the next."""
        until = self._waiting_since if self._waiting else self.clock()
        return self.used_s + max(0.0, until - self._began - self._waited_s)

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Within, time does not count: the run waits for a person."""
        if self._waiting == 0:
            self._waiting_since = self.clock()
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if self._waiting == 0:
                self._waited_s += self.clock() - self._waiting_since

    def event(
        self, kind: Any, rule: str, message: str, call_id: str | None = None, tool: str | None = None
    ) -> GuardEvent:
        """Something that its guard did."""
        return GuardEvent(
            kind=kind, rule=rule, agent=self.agent, run_id=self.run_id, call_id=call_id, tool=tool, message=message
        )

    def passed(
        self, limits: Limits, *, tokens: int | None = None, made: Made | None = None, finding: FoundLoop | None = None
    ) -> GuardTripped | None:
        """The first limit that the run passes, as the error it ends with.

        Args:
            limits: What it may take.
            tokens: What it took so far; None when that is not to be looked at.
            made: The tool call that it is about to make.
            finding: The loop that the call is part of.
        """
        counted: list[tuple[str, float, float]] = [
            ("steps", self.steps, limits.steps),
            ("actions", self.actions, limits.actions),
            ("duration_s", round(self.active_s, 3), limits.duration_s),
        ]
        if tokens is not None and limits.tokens is not None:
            counted.append(("tokens", tokens + 1, limits.tokens))  # with all of them taken, a call would pass it
        for name, value, most in counted:
            if value > most:
                told = f"the run reached its limit of {most:g} {SAID.get(name, name)}"
                return _tripped(told, name, value, most)
        if made is not None and (over := self._too_often(limits, made)):
            return over
        if finding is not None and finding.final:
            return _tripped(finding.told, "loop", finding.times, finding.times - 1, finding.tool, fix=OUT_OF_A_LOOP)
        return None

    def _too_often(self, limits: Limits, made: Made) -> GuardTripped | None:
        times = self.loops.times(made)
        name, most = ("polls", limits.polls) if made.polls else ("same_action", limits.same_action)
        if times <= most:
            return None
        return _tripped(f"{made.tool} was called {times} times with the same arguments", name, times, most, made.tool)


def _tripped(
    message: str, limit: str, value: float, most: float, tool: str | None = None, *, fix: str = BEYOND_A_LIMIT
) -> GuardTripped:
    return GuardTripped(message, fix=fix, limit=limit, value=value, most=most, tool=tool)
