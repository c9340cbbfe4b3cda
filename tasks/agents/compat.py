"""The only place that imports pydantic_ai_harness: what of it we use, and whether it is the release we know.

The harness is young and reaches into pydantic-ai's own: the two are pinned as one exact pair.
"""

from importlib.metadata import PackageNotFoundError, version

from pydantic_ai_harness.compaction import (
    ClampOversizedMessages,
    ClearToolResults,
    CompactionStrategy,
    DeduplicateFileReads,
    SummarizingCompaction,
    TieredCompaction,
    estimate_context_tokens,
    is_pinned,
    pin,
)

from blocks.errors import Unsupported

__all__ = [
    "KNOWN",
    "SUMMARY_PREFIX",
    "ClampOversizedMessages",
    "ClearToolResults",
    "CompactionStrategy",
    "DeduplicateFileReads",
    "SummarizingCompaction",
    "TieredCompaction",
    "check_versions",
    "estimate_context_tokens",
    "is_pinned",
    "pin",
]

KNOWN = {"pydantic-ai-slim": "2.59.0", "pydantic-ai-harness": "0.59.0"}
"""The pair that the tests ran with."""

SUMMARY_PREFIX = "Summary of previous conversation:\n\n"
"""How a summary of `SummarizingCompaction` begins; it has no public name (0.59.0), a test holds it against the code."""


def check_versions() -> None:
    """Refuse other releases than the pair we know, before a run is begun with them.

    Raises:
        Unsupported: another release is installed, or none.
    """
    for package, known in KNOWN.items():
        try:
            found = version(package)
        except PackageNotFoundError:
            found = "not installed"
        if found != known:
            raise Unsupported(
                f"{package} is {found}; agents are tested with {known}",
                fix=f"pip install {' '.join(f'{name}=={wanted}' for name, wanted in KNOWN.items())}",
            )
