"""What every language engine does."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from pydantic import Field

from blocks.language.budget import TokenBudget
from blocks.model import Frozen
from blocks.transcript import EngineInfo, Segment

LanguageTask = Literal["enhance", "summarise"]


class Prompt(Frozen):
    """One request to a language engine.

    Attributes:
        task: What is wanted; engines without a model go by this.
        system: Standing instructions for a model.
        user: The request, with the text in it, for a model.
        text: The bare text to work on.
        segments: The same text as utterances with times and speakers, when it came from audio.
        language: ISO 639-1 code of the text.
        job: For which job, for the books.
    """

    task: LanguageTask
    system: str
    user: str
    text: str
    segments: tuple[Segment, ...] = ()
    language: str = "en"
    job: str | None = None


class Usage(Frozen):
    """Tokens of one request; 0 where the engine has none."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Completion(Frozen):
    """The answer to one prompt.

    Attributes:
        text: The answer as text.
        parsed: The answer as JSON, when a schema was asked for.
        problems: Why `parsed` does not satisfy the schema, after repair; empty when it does.
        usage: Tokens used, repair rounds included.
        cost_usd: Price, None when not known.
        model: The model that answered, None without one.
        latency_s: Wall time in seconds.
        cached: Whether the answer came from a cache.
    """

    text: str
    parsed: dict[str, Any] | None = None
    problems: tuple[str, ...] = ()
    usage: Usage = Field(default_factory=Usage)
    cost_usd: float | None = None
    model: str | None = None
    latency_s: float = 0.0
    cached: bool = False


class LanguageEngine(Protocol):
    """Answers prompts, with JSON of a given schema where asked."""

    def info(self) -> EngineInfo:
        """Name, version, model and settings, without loading anything."""
        ...

    @property
    def prompts_at_once(self) -> int:
        """How many prompts are worth asking at the same time."""
        ...

    def budget(self) -> TokenBudget | None:
        """What fits into one request, without loading anything; None when the engine does not say."""
        ...

    def load(self) -> None:
        """Bring the model into memory; nothing happens when it is there, or when there is none."""
        ...

    def unload(self) -> None:
        """Free everything, also while `load` runs in another thread."""
        ...

    async def complete(self, prompts: Sequence[Prompt], schema: dict[str, Any] | None = None) -> list[Completion]:
        """Answer all prompts, in order.

        Args:
            prompts: What to answer.
            schema: JSON Schema every answer must satisfy; None for plain text.

        Raises:
            EngineFailed, EngineUnavailable: it did not work.
        """
        ...
