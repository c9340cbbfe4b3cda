"""Regular expressions that people, models and files give: those of RE2, which no text can slow."""

from functools import lru_cache
from typing import Annotated, Any

import re2
from pydantic import AfterValidator, Field

MEMORY_BYTES = 8 << 20
"""Of one expression, RE2's own default: what needs more is refused."""


@lru_cache(maxsize=1024)
def compiled(pattern: str, *, by_line: bool = False) -> Any:
    """A regular expression of RE2: whatever it is held against, it takes time in proportion, and bounded memory.

    Args:
        pattern: The expression.
        by_line: Whether `^` and `$` are the beginning and the end of any line.

    Raises:
        ValueError: it is none.
    """
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MEMORY_BYTES
    try:
        return re2.compile(f"(?m){pattern}" if by_line else pattern, options)
    except re2.error as error:
        told = error.args[0] if error.args else error
        told = told.decode(errors="replace") if isinstance(told, bytes) else told
        raise ValueError(f"it is no regular expression of RE2: {told}") from None


def _is_pattern(pattern: str) -> str:
    compiled(pattern)
    return pattern


Pattern = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_is_pattern)]
"""An expression of RE2."""
