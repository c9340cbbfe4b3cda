"""What the steps of a runbook work with while it runs, and how they end."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from tasks.ops.runbook.checked import FAILURE
from tasks.ops.runbook.form import Runbook, Words, template
from tasks.ops.runbook.template import UNKNOWN
from tasks.ops.runbook.typed import Kind

CATCHABLE = ("failed", "refused")
"""Ends of a step of which `on_failure` says what is done; whatever else ends the run."""


class Halt(Exception):
    """A step did not go well, and its runbook does not go on.

    Args:
        status: `failed`, `refused`, `in_doubt` or `timed_out`.
        place: The step's.
        why: In words.
    """

    def __init__(self, status: str, place: str, why: str) -> None:
        super().__init__(why)
        self.status, self.place, self.why = status, place, why


@dataclass(frozen=True, kw_only=True)
class Came:
    """What came of one try of a step."""

    status: Any
    why: str = ""
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    kinds: dict[str, Kind] = field(default_factory=dict[str, Kind])
    exit_code: int | None = None
    said: str = ""
    approvers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A runbook that runs, perhaps called by another.

    Attributes:
        book: The runbook.
        prefix: Of its steps' places.
        deadline: When it has to be done.
        values: Of its variables.
        kinds: Their types.
    """

    book: Runbook
    prefix: str
    deadline: datetime
    values: dict[str, Any]
    kinds: dict[str, Kind]

    def copied(self) -> "Frame":
        """The same for steps whose variables are put together later."""
        return replace(self, values=dict(self.values), kinds=dict(self.kinds))

    def within(self, prefix: str, **known: str) -> "Frame":
        """The same for steps that make up for another's failure, which know more."""
        return replace(self, prefix=prefix, values=self.values | known, kinds=self.kinds | FAILURE)

    def learn(self, values: dict[str, Any], kinds: dict[str, Kind]) -> None:
        """Have variables."""
        self.values.update(values)
        self.kinds.update(kinds)

    def joined(self, frames: Iterable["Frame"]) -> None:
        """Have the variables of steps that were done side by side."""
        for one in frames:
            new = {name: value for name, value in one.values.items() if self.values.get(name, self) is not value}
            self.learn(new, {name: one.kinds[name] for name in new})

    def either(self, one: "Frame", other: "Frame") -> None:
        """Have the variables of which a dry run knows that they will be there, but not what they are."""
        for name in one.values.keys() & other.values.keys() - self.values.keys():
            same = one.values[name] == other.values[name]
            self.learn({name: one.values[name] if same else UNKNOWN}, {name: one.kinds[name]})

    def text(self, told: str) -> str:
        """A text with the values in it. Raises `Unknown`, `Refused`."""
        return template(told).render(self.values)

    def argv(self, words: Sequence[str], how: Words) -> tuple[str, ...]:
        """A command with the values in it, each within its word. Raises `Unknown`, `Refused`."""
        return tuple(
            template(word).word(self.values, self.kinds, allow_option=how.allow_option, allow_path=how.allow_path)
            for word in words
        )

    def left_s(self) -> float:
        """Seconds until it has to be done; 0 when its time is up."""
        return max(0.0, (self.deadline - datetime.now(UTC)).total_seconds())
