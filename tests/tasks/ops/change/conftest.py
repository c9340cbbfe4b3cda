"""Changes of real repositories."""

from collections.abc import Callable
from pathlib import Path

import pytest

from blocks.redact import Redactor
from tasks.ops.change.carry_out import _looked_up
from tasks.ops.change.config import ReviewRules
from tasks.ops.change.diff import read_diff
from tasks.ops.change.file_rules import file_findings
from tasks.ops.change.git import Repository
from tasks.ops.change.line_rules import line_findings
from tasks.ops.change.looked_at import Change
from tasks.ops.change.python_rules import swallowed
from tasks.ops.change.result import Finding
from tests.fakes.repository import Repo

Files = dict[str, str | bytes | None]


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """An empty repository."""
    return Repo.made(tmp_path / "repo")


@pytest.fixture
def found(repo: Repo) -> Callable[..., object]:
    """What our rules say of a change from some files to others, as (rule, file, line)."""

    async def look(before: Files, after: Files, rules: ReviewRules | None = None) -> list[Finding]:
        base, head = repo.put({"README.md": "x\n", **before}), repo.put(after)
        repository = await Repository.opened(repo.folder)
        files = read_diff(await repository.diff(base, head))
        change: Change = await _looked_up(repository, files, rules or ReviewRules(), base, head)
        return [*line_findings(change, Redactor()), *swallowed(change), *file_findings(change)]

    return look
