"""Rules of a project: which tests and docs belong to which sources, and how severe findings are."""

from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import Field, TypeAdapter

from blocks.model import Frozen
from blocks.yaml_file import read_yaml
from tasks.ops.change.result import Severity

DEFAULT_TESTS = ("test_*.py", "*_test.py", "conftest.py", "*.test.[jt]s*", "*.spec.[jt]s*", "*_test.go", "*Test.java")
TEST_FOLDERS = ("tests", "test", "__tests__", "testing")
DOCS = ("*.md", "*.rst", "*.adoc", "docs/*", "doc/*")


class Mapping(Frozen):
    """Which tests or docs belong to sources.

    Attributes:
        source: Pattern of their paths; `*` goes over folders, too.
        needs: Patterns of what belongs to them; `{stem}` is the source's name without its ending. One is enough.
    """

    source: str = Field(min_length=1, max_length=300)
    needs: tuple[str, ...] = Field(min_length=1)


class ReviewRules(Frozen):
    """How changes of a project are reviewed.

    Attributes:
        tests: Which tests belong to which sources; where none fits, `test_{stem}.py` and its like anywhere.
        docs: Which docs belong to which sources; where none fits, any file of docs that changes.
        ignore: Patterns of paths that are not looked at, as generated code.
        without: Rules that are not wanted.
        severity: Of rules that are more or less severe here.
        large_file_bytes: From which size on a new file is large.
        issue: Pattern of what names an issue beside a TODO.
    """

    tests: tuple[Mapping, ...] = ()
    docs: tuple[Mapping, ...] = ()
    ignore: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    severity: dict[str, Severity] = Field(default_factory=dict)
    large_file_bytes: int = Field(default=1_000_000, gt=0)
    issue: str = Field(default=r"#\d+|[A-Z]{2,10}-\d+|https?://", max_length=200)


def read_rules(path: Path) -> ReviewRules:
    """A file of rules. Raises `NotFound`, `BadInput`."""
    return read_yaml(path, fix="correct it; docs/operations/ci.md shows its form", field="rules").read_as(
        TypeAdapter(ReviewRules)
    )


def matches(path: str, patterns: tuple[str, ...]) -> bool:
    """Whether a path, or its last part, fits a pattern."""
    name = path.rsplit("/", 1)[-1]
    return any(fnmatchcase(path, one) or ("/" not in one and fnmatchcase(name, one)) for one in patterns)


def is_test(path: str) -> bool:
    """Whether a file belongs to tests."""
    return matches(path, DEFAULT_TESTS) or any(part in TEST_FOLDERS for part in path.split("/")[:-1])


def is_docs(path: str) -> bool:
    """Whether a file belongs to docs."""
    return matches(path, DOCS)
