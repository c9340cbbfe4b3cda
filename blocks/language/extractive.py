"""A language engine without a model: it ranks, cuts and copies what was said, and makes nothing up."""

import json
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from blocks.language.facts import Facts
from blocks.language.filling import fill
from blocks.language.protocol import Completion, Prompt
from blocks.language.sentences import punctuate
from blocks.language.validation import problems_of
from blocks.progress import in_thread
from blocks.transcript import EngineInfo, Segment

RULES_VERSION = "1"
"""Raise it when the rules give another output for the same text."""


class ExtractiveEngine:
    """Sentence ranking by LexRank, key phrases by RAKE, and rules for the rest."""

    def info(self) -> EngineInfo:
        """Name, version and libraries."""
        libraries = {name: version(name) for name in ("sumy", "rake-nltk")}
        return EngineInfo(name="extractive", version=RULES_VERSION, settings=libraries)

    @property
    def prompts_at_once(self) -> int:
        """It computes one after the other."""
        return 1

    def budget(self) -> None:
        """It takes any length."""

    def load(self) -> None:
        """There is no model."""

    def unload(self) -> None:
        """There is no model."""

    async def complete(self, prompts: Sequence[Prompt], schema: dict[str, Any] | None = None) -> list[Completion]:
        """Answer each prompt by its task; see `LanguageEngine.complete`."""
        return [await in_thread(_answer, prompt, schema) for prompt in prompts]


def _answer(prompt: Prompt, schema: dict[str, Any] | None) -> Completion:
    start = time.perf_counter()
    segments = prompt.segments or tuple(
        Segment(start_s=0, end_s=0, text=line.strip()) for line in prompt.text.splitlines() if line.strip()
    )
    if prompt.task == "enhance":
        parsed: dict[str, Any] = {"lines": [punctuate(segment, prompt.language) for segment in segments]}
    else:
        parsed = fill(schema or {}, Facts(segments, prompt.language))
    return Completion(
        text=json.dumps(parsed, ensure_ascii=False),
        parsed=parsed,
        problems=tuple(problems_of(parsed, schema)) if schema else (),
        cost_usd=0.0,
        latency_s=time.perf_counter() - start,
    )
