"""What rules look at: a change with the contents of its files, as far as they are known."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from tasks.ops.change.config import ReviewRules, matches
from tasks.ops.change.diff import ChangedFile

CONTENT_BYTES = 2_000_000


@dataclass(frozen=True)
class Change:
    """A change.

    Attributes:
        files: What it changes.
        rules: Of the project.
        before, after: Contents by path; of a bare diff there are none.
        sizes: Bytes of the files of the whole tree after it; of a bare diff there are none.
    """

    files: tuple[ChangedFile, ...]
    rules: ReviewRules = field(default_factory=ReviewRules)
    before: dict[str, bytes] = field(default_factory=dict[str, bytes])
    after: dict[str, bytes] = field(default_factory=dict[str, bytes])
    sizes: dict[str, int] = field(default_factory=dict[str, int])

    def standing(self) -> Iterator[ChangedFile]:
        """The files that are there after it, and are to be looked at."""
        for one in self.files:
            if one.status != "deleted" and not matches(one.path, self.rules.ignore):
                yield one

    def text(self, file: ChangedFile, *, old: bool = False) -> str | None:
        """A file's text; None where it is not known, too large, or no text."""
        content = self.before.get(file.before or "") if old else self.after.get(file.path)
        if content is None or len(content) > CONTENT_BYTES:
            return None
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            return None

    def tree(self, file: ChangedFile, *, old: bool = False) -> ast.Module | None:
        """A Python file's syntax; None where it is not known or wrong."""
        text = self.text(file, old=old) if file.suffix == ".py" else None
        return None if text is None else parsed(text)


def parsed(text: str) -> ast.Module | None:
    """The syntax of a Python text; None where it is wrong."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
