"""What a model says about facts, where there are accounts: text for people, never a command, never a decision."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from tasks.ops.incident.context import Fact

USER = "operations"
"""Who the calls are for, in budgets and books."""

FACT_CHARS = 1200
ALL_CHARS = 24_000

STYLE = (
    "Write plain sentences without links, markup or commands. Say only what the material shows, name facts by their "
    "ids in brackets, and say so where it shows nothing."
)

Sentence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=600)]


class Assessment(BaseModel):
    """What a model makes of the facts of an incident."""

    summary: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1200)]
    hypotheses: list[Sentence] = Field(default_factory=list[str], max_length=5)


class Reply(BaseModel):
    """What a model answers to a question."""

    answer: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


class Retrospect(BaseModel):
    """What a model says about an incident that is over."""

    summary: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1500)]
    lessons: list[Sentence] = Field(default_factory=list[str], max_length=5)


def facts_text(facts: Sequence[Fact]) -> str:
    """Facts as a model reads them."""
    lines: list[str] = []
    for fact in facts:
        at = f" at {fact.at:%Y-%m-%d %H:%M:%S} UTC" if fact.at else ""
        lines.append(f"[{fact.fact_id}] {fact.kind}{at}: {fact.title}\n{fact.text[:FACT_CHARS]}".rstrip())
    return "\n".join(lines)[:ALL_CHARS]
