"""What calls took."""

from collections.abc import Iterable

from blocks.accounts.chat import Answer
from blocks.model import Frozen


class Spent(Frozen):
    """What calls took; only answered calls count.

    Attributes:
        calls: How many.
        prompt_tokens: Sent.
        completion_tokens: Answered.
        cost_usd: Dollars; None when the price of a model is unknown.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        known = self.cost_usd is not None and other.cost_usd is not None
        return Spent(
            calls=self.calls + other.calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost_usd=round((self.cost_usd or 0) + (other.cost_usd or 0), 9) if known else None,
        )

    @classmethod
    def of(cls, answer: Answer) -> "Spent":
        """What one answer took; nothing when it came from a cache."""
        if answer.cached is not None:
            return cls()
        usage = answer.reply.usage
        return cls(
            calls=1,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cost_usd=answer.cost_usd,
        )

    @classmethod
    def of_all(cls, answers: Iterable[Answer]) -> "Spent":
        """What several answers took."""
        return sum(map(cls.of, answers), start=cls())
