"""What happened at a simulated account: what tests hold the client's own books against."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from blocks.accounts.account import Price
from deployments.simulator.asked import Answer


@dataclass
class Usage:
    """What calls were charged.

    Attributes:
        calls: How many.
        prompt_tokens: Read, cached ones included.
        cached_tokens: How many of them were cached.
        completion_tokens: Answered.
        cost_units: Money in 10^-9 dollars, rounded up for each call.
        unpriced: Calls of models without a price: their cost is not in `cost_units`.
    """

    calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost_units: int = 0
    unpriced: int = 0

    def charge(self, answer: Answer, price: Price | None) -> None:
        """Count a call."""
        self.calls += 1
        self.prompt_tokens += answer.prompt_tokens
        self.cached_tokens += answer.cached_tokens
        self.completion_tokens += answer.completion_tokens
        if price is None:
            self.unpriced += 1
        else:
            self.cost_units += price.cost_units(answer.prompt_tokens, answer.completion_tokens, answer.cached_tokens)

    def add(self, other: "Usage") -> None:
        """Add what another has."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass
class Book:
    """Of an account or of one of its models.

    Attributes:
        requests: All that came.
        accepted: Those within the limits: `requests` without `refused`.
        refused: Those that were not, by reason.
        faults: Accepted ones that went wrong, by fault.
        abandoned: Accepted ones whose caller went away before their end: charged only what was streamed.
        answered: Charged calls whose answer left whole.
        undelivered: Charged calls whose answer did not: reset, half sent, or left by the caller in mid-stream.
        seen: How often each identity came and was answered whole, when `identify` asks for it.
    """

    requests: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter[str])
    faults: Counter[str] = field(default_factory=Counter[str])
    abandoned: int = 0
    answered: Usage = field(default_factory=Usage)
    undelivered: Usage = field(default_factory=Usage)
    seen: dict[str, list[int]] = field(default_factory=dict[str, list[int]])

    def add(self, other: "Book") -> None:
        """Add what another has."""
        self.requests += other.requests
        self.accepted += other.accepted
        self.refused += other.refused
        self.faults += other.faults
        self.abandoned += other.abandoned
        self.answered.add(other.answered)
        self.undelivered.add(other.undelivered)
        for identity, (came, answered) in other.seen.items():
            counts = self.seen.setdefault(identity, [0, 0])
            counts[0] += came
            counts[1] += answered

    def told(self) -> dict[str, Any]:
        """As JSON: the fields above, and what was charged in all under `charged`."""
        charged = Usage()
        charged.add(self.answered)
        charged.add(self.undelivered)
        return {
            "requests": self.requests,
            "accepted": self.accepted,
            "refused": dict(self.refused),
            "faults": dict(self.faults),
            "abandoned": self.abandoned,
            "charged": vars(charged),
            "answered": dict(vars(self.answered)),
            "undelivered": dict(vars(self.undelivered)),
            "seen": {name: {"requests": came, "answered": done} for name, (came, done) in self.seen.items()},
        }
