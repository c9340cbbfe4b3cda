"""What language engines make of a transcript."""

from typing import Any

from pydantic import Field

from blocks.job import Notice
from blocks.language.protocol import Usage
from blocks.model import Frozen
from blocks.transcript import EngineInfo, Transcript


class Enhanced(Frozen):
    """A transcript with punctuation, capitals and numbers put right; times and speakers unchanged.

    Attributes:
        transcript: The corrected segments, one for each raw one.
        engine: The language engine that did it.
        edit_rate: Levenshtein distance in words, raw to corrected / number of raw words.
        windows: How many windows the text was worked on in.
        notices: Windows that fell back to the raw text, and why.
        usage: Tokens used.
        cost_usd: Price, None when not known.
    """

    transcript: Transcript
    engine: EngineInfo
    edit_rate: float = Field(ge=0)
    windows: int = Field(ge=0)
    notices: tuple[Notice, ...] = ()
    usage: Usage = Field(default_factory=Usage)
    cost_usd: float | None = None


class Summary(Frozen):
    """A summary by a template.

    Attributes:
        template: The template's name.
        content: The summary as the template's schema says; None when none could be made.
        engine: The language engine that wrote it.
        notices: What is missing or was shortened, and why.
        usage: Tokens used.
        cost_usd: Price, None when not known.
    """

    template: str
    content: dict[str, Any] | None
    engine: EngineInfo
    notices: tuple[Notice, ...] = ()
    usage: Usage = Field(default_factory=Usage)
    cost_usd: float | None = None
