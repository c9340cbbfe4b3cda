"""Loops: an agent that does the same thing again and again, as it is or in disguise, and gets no further.

Four kinds, over the last ten calls:
- exact: the same tool with the same arguments, in whatever order they are written;
- near: calls that differ only in numbers, ids, times, case, blanks, look-alike characters, or a few characters more;
- cyclic: calls in turns, as deploy, roll back, deploy, roll back;
- result: one tool that gives the same result to whatever it is asked.

A repeat that brings something new is progress, and none: reading a long file piece by piece, running tests after each
change. The first finding is told to the model; with the next the run ends.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Literal

from pydantic import Field

from blocks.action import hash_of
from blocks.model import Frozen
from tasks.agents.folded import alike, as_text, folded

ROUNDS = 2
ROUNDS_IN_DISGUISE = 3
"""So often calls are made in turns before it is a cycle: more often where they only seem to be the same."""

Kind = Literal["exact", "near", "cyclic", "result"]


class LoopRules(Frozen):
    """When calls are a loop.

    Attributes:
        window: Calls that are looked at.
        exact: Times the same call may be made in the window; twice as often where it brings something new each time.
        near: Likewise calls that are nearly the same and bring nothing new.
        likeness: From which two calls are nearly the same, 0 to 1.
        differing: Characters in which they may differ at most.
        longest_cycle: Calls that take turns, at most.
        result: Times a tool may give the same result in the window.
        warnings: Findings of a run that are only told to the model.
    """

    window: int = Field(default=10, ge=4, le=100)
    exact: int = Field(default=3, ge=1)
    near: int = Field(default=3, ge=1)
    likeness: float = Field(default=0.85, gt=0, lt=1)
    differing: int = Field(default=40, ge=0)
    longest_cycle: int = Field(default=5, ge=2)
    result: int = Field(default=5, ge=2)
    warnings: int = Field(default=3, ge=0)


class FoundLoop(Frozen):
    """A loop.

    Attributes:
        kind: Of which kind.
        tool: The tool that was called last.
        times: So often it was done, this call included.
        final: Whether the run should end, since it was told before.
    """

    kind: Kind
    tool: str
    times: int
    final: bool = False

    @property
    def told(self) -> str:
        """What people are told; the same in every replay."""
        done = {
            "exact": f"called {self.tool} {self.times} times with the same arguments",
            "near": f"made {self.times} calls of {self.tool} that are nearly the same and brought nothing new",
            "cyclic": f"repeated the same calls in turns, {self.tool} {self.times} times, and nothing changed",
            "result": f"called {self.tool} {self.times} times, and it gave the same result each time",
        }[self.kind]
        return f"the agent went round in circles: it {done}"

    @property
    def text(self) -> str:
        """What the model is told; the same in every replay."""
        done = {
            "exact": f"You have called {self.tool} {self.times} times with the same arguments",
            "near": f"You have made {self.times} calls of {self.tool} that are nearly the same and bring nothing new",
            "cyclic": f"You repeat the same calls in turns, {self.tool} {self.times} times by now, and nothing changes",
            "result": f"You have called {self.tool} {self.times} times, and it gives the same result each time",
        }[self.kind]
        return (
            f"{done}. This call was not made. Doing it again will end the run: take another way to the goal, or stop "
            "and say what keeps you from it."
        )


@dataclass(kw_only=True, eq=False)
class Made:
    """A call as it is remembered.

    Attributes:
        tool: Its name.
        exact: Hash of tool and arguments.
        folded: Both as text, without what a loop may hide behind.
        arguments: Each as text, by name.
        polls: Whether calling it again and again is its use.
        read_only: Whether it changes nothing.
        pending: Whether it has not come back yet.
        result: What came back, folded; None while it has not, or when the call was not made.
    """

    tool: str
    exact: str
    folded: str
    arguments: dict[str, str]
    polls: bool
    read_only: bool
    pending: bool = True
    result: str | None = None


@dataclass(kw_only=True, eq=False)
class Loops:
    """The latest calls of a run.

    Attributes:
        rules: When they are a loop.
    """

    rules: LoopRules = field(default_factory=LoopRules)
    _times: Counter[str] = field(default_factory=Counter[str], init=False)
    _latest: deque[Made] = field(init=False)
    _found: int = field(default=0, init=False)
    _since_found: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._latest = deque(maxlen=max(self.rules.window, ROUNDS_IN_DISGUISE * self.rules.longest_cycle))

    def begin(
        self, tool: str, arguments: dict[str, Any], *, polls: bool = False, read_only: bool = False
    ) -> tuple[Made, FoundLoop | None]:
        """A call is about to be made.

        Args:
            tool: Its name.
            arguments: As the model gave them.
            polls: Whether calling it again and again is its use; no loop is seen in such calls.
            read_only: Whether it changes nothing.

        Returns:
            The call, for `end`, and the loop it is part of; then it should not be made.
        """
        exact = hash_of(tool, as_text(arguments))
        named = {name: as_text(value) for name, value in arguments.items()}
        text = folded(f"{tool} {as_text(arguments)}")
        made = Made(tool=tool, exact=exact, folded=text, arguments=named, polls=polls, read_only=read_only)
        self._times[exact] += 1
        finding = self._finding(made)
        self._latest.append(made)
        return made, self._judged(finding)

    def end(self, made: Made, result: Any) -> None:
        """A call came back with this."""
        made.pending, made.result = False, folded(as_text(result))

    def dropped(self, made: Made) -> None:
        """A call was not made."""
        made.pending = False

    def times(self, made: Made) -> int:
        """So often this very call was begun in the whole run."""
        return self._times[made.exact]

    def withdraw(self, made: Made) -> None:
        """A call was put off and will come again: it was none yet."""
        self._times[made.exact] -= 1
        if made in self._latest:
            self._latest.remove(made)

    def _finding(self, made: Made) -> FoundLoop | None:
        latest = list(self._latest)
        earlier = latest[-self.rules.window :]
        found: tuple[tuple[Kind, int], ...] = (
            ("exact", self._exact(made, earlier)),
            ("cyclic", self._cyclic([*latest, made])),
            ("near", self._near(made, earlier)),
            ("result", self._result(made, earlier)),
        )
        return next((FoundLoop(kind=kind, tool=made.tool, times=times) for kind, times in found if times), None)

    def _judged(self, finding: FoundLoop | None) -> FoundLoop | None:
        """The finding, final when the model was told of one lately, or too often."""
        if finding is None:
            self._since_found = None if self._since_found is None else self._since_found + 1
            return None
        lately = self._since_found is not None and self._since_found < self.rules.window
        self._found, self._since_found = self._found + 1, 0
        return finding.model_copy(update={"final": lately or self._found > self.rules.warnings})

    def _exact(self, made: Made, earlier: Sequence[Made]) -> int:
        same = [one for one in earlier if one.exact == made.exact]
        most = self.rules.exact * 2 if _all_new(same) else self.rules.exact
        return len(same) + 1 if len(same) >= most and not made.polls else 0

    def _near(self, made: Made, earlier: Sequence[Made]) -> int:
        rules = self.rules
        near = [
            one
            for one in earlier
            if not one.pending
            and not one.polls
            and alike(one.folded, made.folded, least=rules.likeness, most_chars=rules.differing)
        ]
        results = {one.result for one in near if one.result is not None}
        stale = len(near) - max(0, len(results) - 1)
        return len(near) + 1 if stale >= rules.near and not made.polls else 0

    def _cyclic(self, calls: Sequence[Made]) -> int:
        for length in range(2, min(self.rules.longest_cycle, len(calls) // ROUNDS) + 1):
            rounds = [calls[end - length : end] for end in range(len(calls), length - 1, -length)]
            needed = ROUNDS if _exact_round(rounds[0], rounds[1]) else ROUNDS_IN_DISGUISE
            if len({one.folded for one in rounds[0]}) > 1 and _same_rounds(rounds) >= needed:
                return sum(one.folded == rounds[0][-1].folded for one in calls)
        return 0

    def _result(self, made: Made, earlier: Sequence[Made]) -> int:
        of_tool = [one for one in earlier if one.tool == made.tool and one.result is not None]
        if made.polls or not of_tool:
            return 0
        same = [one for one in of_tool if one.result == of_tool[-1].result and _concerns(one, made)]
        return len(same) + 1 if len(same) >= self.rules.result else 0


def _all_new(calls: Iterable[Made]) -> bool:
    """Whether each of the calls brought something that none before it did."""
    results = [call.result for call in calls]
    return None not in results and len(set(results)) == len(results)


def _same_rounds(rounds: Sequence[Sequence[Made]]) -> int:
    """So many of the rounds are the same as the first, from it on; it counts too."""
    return 1 + sum(1 for _ in takewhile(lambda one: _same_round(rounds[0], one), rounds[1:]))


def _same_round(latest: Sequence[Made], before: Sequence[Made]) -> bool:
    """Whether two rounds of calls are the same, and what is known of their results too."""
    pairs = list(zip(latest, before, strict=True))
    if any(one.folded != other.folded for one, other in pairs) or all(one.polls for one in latest):
        return False
    known = [(one.result, other.result) for one, other in pairs if one.result is not None and other.result is not None]
    return bool(known) and all(one == other for one, other in known)


def _exact_round(one: Sequence[Made], other: Sequence[Made]) -> bool:
    return all(call.exact == like.exact for call, like in zip(one, other, strict=True))


def _concerns(one: Made, other: Made) -> bool:
    """Whether two calls of a tool are about the same thing, as far as can be told: they only look, or share half."""
    shared = one.arguments.items() & other.arguments.items()
    return one.read_only or len(shared) * 2 >= max(1, len(other.arguments))
