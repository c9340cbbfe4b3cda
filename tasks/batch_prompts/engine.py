"""Who answers chunks: a model through the account pool, or an agent's session."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from tasks.batch_prompts.chunk import Chunk

Cells = dict[str, Any]
"""One output row as it was given: the row's number, the keys, the columns; nothing of it is proven."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What an engine gave for a chunk.

    Attributes:
        rows: The output rows, unchecked.
        problems: What was wrong with the answer as a whole, as that it was cut.
        cost_usd: Of the question; None where it is not known.
        session: Of the agent that answered.
        account: That answered.
        model: That answered.
        prompt_tokens: Sent.
        completion_tokens: Answered.
    """

    rows: list[Cells] = field(default_factory=list[Cells])
    problems: tuple[str, ...] = ()
    cost_usd: float | None = None
    session: str | None = None
    account: str | None = None
    model: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Engine(Protocol):
    """Answers chunks."""

    async def answer(self, chunk: Chunk, prompt: str) -> Answered:
        """What is answered to a prompt.

        Args:
            chunk: What is asked.
            prompt: As `prompt_of` makes it.

        Raises:
            EngineFailed, TooLarge: there is no answer to this chunk; a smaller one may be answered.
            C500Error: nothing is answered now.
        """
        ...
