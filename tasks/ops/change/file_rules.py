"""Rules about whole files: what cannot be read, what is large, what needs a way back, what belongs together."""

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

import yaml

from tasks.ops.change.config import is_docs, is_test, matches
from tasks.ops.change.diff import ChangedFile
from tasks.ops.change.looked_at import Change, parsed
from tasks.ops.change.python_rules import public_changes, removed_functions
from tasks.ops.change.result import Finding, Severity

LOCKS = {
    "pyproject.toml": ("uv.lock", "poetry.lock", "pdm.lock", "requirements.lock"),
    "package.json": ("package-lock.json", "yarn.lock", "pnpm-lock.yaml"),
    "Cargo.toml": ("Cargo.lock",),
    "go.mod": ("go.sum",),
    "Gemfile": ("Gemfile.lock",),
    "composer.json": ("composer.lock",),
}
VERSION = re.compile(r"\d+\.\d+|[<>=~^]=?\s?\d")
DESTRUCTIVE = re.compile(r"(?i)\b(DROP\s+(TABLE|COLUMN|SCHEMA|DATABASE)|TRUNCATE)\b")
NO_WAY_BACK = re.compile(r"\b(RunPython|RunSQL)\(\s*[^,()]{1,300}\)")
FLYWAY = re.compile(r"V(\d[\d._]*)__.*\.sql$")
SQL_UP = re.compile(r"(.*)\.up\.sql$")
MOST_NAMED = 5


def file_findings(change: Change) -> Iterator[Finding]:
    """What is wrong with files as a whole."""
    for file in change.standing():
        yield from _unreadable(change, file)
        yield from _size(change, file)
        yield from _migration(change, file)
        if file.mode == "120000" and (target := next(iter(file.added.values()), "")).startswith(("/", "..")):
            yield _finding(
                file, 1, "high", "link-outside", f"a link to {target[:200]}", "have links stay in the project"
            )
    yield from _locks(change)
    yield from _companions(change)


def _finding(file: ChangedFile, line: int | None, severity: Severity, rule: str, message: str, fix: str) -> Finding:
    return Finding(file=file.path, line=line, severity=severity, rule=rule, message=message, suggestion=fix)


def _unreadable(change: Change, file: ChangedFile) -> Iterator[Finding]:
    check = next((check for suffixes, check in READERS if file.suffix in suffixes), None)
    text, old = change.text(file), change.text(file, old=True)
    if check is None or text is None or file.mode == "120000":
        return
    if (fault := check(text)) is not None and (old is None or check(old) is None):
        yield _finding(file, fault[0], "high", "unreadable", f"it cannot be read: {fault[1]}", "correct it")


def _json(text: str) -> tuple[int, str] | None:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.lineno, error.msg
    except RecursionError:
        return 1, "it is nested too deep"
    return None


def _yaml(text: str) -> tuple[int, str] | None:
    if "{{" in text or "{%" in text:  # a template of YAML is none yet
        return None
    try:
        for _ in yaml.parse(text, Loader=yaml.SafeLoader):
            pass
    except yaml.YAMLError as error:
        mark: Any = getattr(error, "problem_mark", None)
        return (mark.line + 1 if mark else 1), str(getattr(error, "problem", None) or "it is no YAML")[:200]
    except RecursionError:
        return 1, "it is nested too deep"
    return None


def _toml(text: str) -> tuple[int, str] | None:
    try:
        tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        line = re.search(r"line (\d+)", str(error))
        return (int(line[1]) if line else 1), str(error)[:200]
    return None


def _python(text: str) -> tuple[int, str] | None:
    return None if parsed(text) is not None else (1, "it is no Python of this version")


READERS: tuple[tuple[tuple[str, ...], Callable[[str], tuple[int, str] | None]], ...] = (
    ((".json",), _json),
    ((".yaml", ".yml"), _yaml),
    ((".toml",), _toml),
    ((".py",), _python),
)


def _size(change: Change, file: ChangedFile) -> Iterator[Finding]:
    size = change.sizes.get(file.path, sum(len(line) + 1 for line in file.added.values()))
    if file.status == "added" and size >= change.rules.large_file_bytes:
        what = "binary file" if file.is_binary else "file"
        fix = "keep it elsewhere: the history has it for ever"
        yield _finding(file, None, "medium", "large-file", f"a {what} of {size / 1e6:.1f} MB", fix)


def _migration(change: Change, file: ChangedFile) -> Iterator[Finding]:
    folders = file.path.split("/")[:-1]
    if file.status != "added" or not any(
        part in ("migrations", "versions", "migrate", "migration") for part in folders
    ):
        return
    text = change.text(file) or "\n".join(file.added.values())
    if why := _no_way_back(change, file, text):
        yield _finding(
            file, 1, "medium", "migration-without-rollback", why, "say how it is undone, or that it cannot be"
        )
    for number, line in file.added.items():
        if file.suffix == ".sql" and not file.name.endswith(".down.sql") and DESTRUCTIVE.search(line):
            fix = "first have nobody use it any more, in a release of its own"
            yield _finding(file, number, "high", "destructive-migration", "data is thrown away", fix)


def _no_way_back(change: Change, file: ChangedFile, text: str) -> str:
    paths = {one.path for one in change.files} | set(change.sizes)
    folder = file.path.removesuffix(file.name)
    if file.suffix == ".py" and "def upgrade(" in text:
        down = re.search(r"def downgrade\([^)]*\)[^:]*:\s*(\"\"\"[^\"]*\"\"\"\s*)?(pass\b|\.\.\.|raise\b)", text)
        return "" if "def downgrade(" in text and not down else "its downgrade is missing, or does nothing"
    if file.suffix == ".py" and NO_WAY_BACK.search(text):
        return "a step of it has no way back"
    if match := SQL_UP.fullmatch(file.path):
        return "" if f"{match[1]}.down.sql" in paths else "there is no .down.sql to its .up.sql"
    if match := FLYWAY.fullmatch(file.name):
        undo = f"{folder}U{match[1]}__"
        return "" if any(path.startswith(undo) for path in paths) else "there is no undo migration beside it"
    return ""


def _locks(change: Change) -> Iterator[Finding]:
    changed = {one.path: one for one in change.files}
    for file in change.standing():
        folder = file.path.removesuffix(file.name)
        for manifest, locks in LOCKS.items():
            theirs = [f"{folder}{lock}" for lock in locks]
            there = [lock for lock in theirs if lock in change.sizes or lock in changed]
            if file.name == manifest and there and not any(lock in changed for lock in there):
                lines = [number for number, line in file.added.items() if VERSION.search(line)]
                if lines:
                    told = f"versions change, but {PurePosixPath(there[0]).name} does not"
                    yield _finding(file, lines[0], "medium", "lock-file-stale", told, "make the lock file anew")
            if file.path in theirs and file.status == "modified" and f"{folder}{manifest}" not in changed:
                told = f"it changes, but {manifest} does not"
                yield _finding(file, None, "low", "lock-file-alone", told, "say why in the commit's message")


def _companions(change: Change) -> Iterator[Finding]:
    """Tests and docs that should change along."""
    for file in change.standing():
        public = public_changes(change, file)
        untested = [one for one in public if not _is_tested(change, file, one.name)]
        if untested:
            yield _finding(
                file,
                untested[0].line,
                "medium",
                "missing-tests",
                f"no test changes with {_named([one.name for one in untested])}",
                f"change or add a test, as test_{PurePosixPath(file.path).stem}.py",
            )
        other = [
            one.name for one in public if one.has_other_signature and not one.is_new and not one.has_other_docstring
        ]
        gone = removed_functions(change, file)
        if (other or gone) and not _is_documented(change, file, [*other, *gone]):
            line = next((one.line for one in public if one.name in other), None)
            told = f"{_named([*other, *gone])} is called in another way or gone, and no docs change"
            yield _finding(file, line, "low", "missing-docs", told, "say so in docstring, docs or change log")


def _named(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _is_tested(change: Change, file: ChangedFile, name: str) -> bool:
    stem, last = PurePosixPath(file.path).stem, re.compile(rf"\b{re.escape(name.rsplit('.', 1)[-1])}\b")
    mapped = [one for one in change.rules.tests if matches(file.path, (one.source,))]
    wanted = tuple(need.replace("{stem}", stem) for one in mapped for need in one.needs)
    for other in change.files:
        if wanted and matches(other.path, wanted):
            return True
        if wanted or other.status == "deleted" or not is_test(other.path):
            continue
        if stem in PurePosixPath(other.path).stem or any(last.search(line) for line in other.added.values()):
            return True
    return False


def _is_documented(change: Change, file: ChangedFile, names: list[str]) -> bool:
    stem = PurePosixPath(file.path).stem
    mapped = [one for one in change.rules.docs if matches(file.path, (one.source,))]
    wanted = tuple(need.replace("{stem}", stem) for one in mapped for need in one.needs)
    return any(matches(one.path, wanted) if wanted else is_docs(one.path) for one in change.files) or not names
