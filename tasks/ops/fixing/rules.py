"""Rules that propose a fix. Each gives the whole new text of the test file, or None where it is not certain."""

import ast
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tasks.ops.change.looked_at import parsed
from tasks.ops.ci.junit import Attempt
from tasks.ops.fixing.edits import (
    imports_in,
    is_bound_otherwise,
    lines_of,
    uses_of,
    with_constant,
    with_import,
    with_module,
    with_name,
    without_alias,
)
from tasks.ops.fixing.history import SourceChanges

NO_MODULE = re.compile(r"ModuleNotFoundError: No module named '([\w.]{1,200})'")
NO_NAME = re.compile(r"ImportError: cannot import name '(\w{1,200})' from '([\w.]{1,200})'")
NO_ATTRIBUTE = re.compile(r"AttributeError: module '([\w.]{1,200})' has no attribute '(\w{1,200})'")
NO_FIXTURE = re.compile(r"fixture '(\w{1,200})' not found")
FIXTURES = re.compile(r"available fixtures: ([\w, :./\[\]-]{1,8000})")
CLOSE, CLEARLY = 80.0, 8.0


@dataclass(frozen=True)
class Failing:
    """A test that fails.

    Attributes:
        attempt: How.
        path: Of its file.
        text: Of its file.
        changes: What changed in the sources since it passed.
        pyproject: The project's `pyproject.toml`.
    """

    attempt: Attempt
    path: str
    text: str
    changes: SourceChanges
    pyproject: str = ""

    @property
    def told(self) -> str:
        """What the runner says of it."""
        return f"{self.attempt.message}\n{self.attempt.text}"


@dataclass(frozen=True)
class Proposal:
    """A fix.

    Attributes:
        rule: Which rule proposes it; `model NAME`.
        text: Of the whole file.
        why: What it rests on.
        renames: Names that are others now, in all of the file.
        explained: Constants that changes of the source explain.
        skips: Whether the test is skipped with it, where what it needs is absent.
    """

    rule: str
    text: str
    why: str
    renames: dict[str, str] = field(default_factory=dict[str, str])
    explained: tuple[object, ...] = ()
    skips: bool = False

    @property
    def is_models(self) -> bool:
        """Whether a model proposes it."""
        return self.rule.startswith("model")


def moved_module(failing: Failing) -> Proposal | None:
    """A module that lies elsewhere now, as git has it."""
    for module in _all(NO_MODULE, failing.told):
        if (new := failing.changes.moved_module(module)) is not None:
            why = f"{module} was moved to {new}"
            return _changed(failing, "moved-module", with_module(failing.text, module, new), why, {module: new})
    for name, module in _pairs(NO_NAME, failing.told):
        if (new := failing.changes.moved_module(f"{module}.{name}")) is not None:
            return _moved(failing, module, name, *new.rpartition(".")[::2], rule="moved-module")
    return None


def renamed_symbol(failing: Failing) -> Proposal | None:
    """A function or class that has another name now, or lies in another module."""
    missing = [(module, name) for name, module in _pairs(NO_NAME, failing.told)] + _pairs(NO_ATTRIBUTE, failing.told)
    for module, name in missing:
        if (new := failing.changes.renamed_symbol(module, name)) is not None:
            if is_bound_otherwise(failing.text, name):
                return None
            text = with_name(with_module(failing.text, f"{module}.{name}", f"{module}.{new}"), name, new)
            return _changed(failing, "renamed-symbol", text, f"{module}.{name} is {new} now", {name: new})
        if (home := failing.changes.moved_symbol(module, name)) is not None:
            return _moved(failing, module, name, home, name, rule="moved-symbol")
    return None


def unused_import(failing: Failing) -> Proposal | None:
    """An import of what is no more there, and that the file does not use."""
    gone = set(_all(NO_MODULE, failing.told)) | {f"{module}.{name}" for name, module in _pairs(NO_NAME, failing.told)}
    for node in imports_in(failing.text):
        for alias in node.names:
            whole = f"{node.module}.{alias.name}" if isinstance(node, ast.ImportFrom) else alias.name
            bound = (alias.asname or alias.name).split(".")[0]
            is_gone = whole in gone or (isinstance(node, ast.ImportFrom) and node.module in gone)
            if is_gone and uses_of(failing.text, bound) == 0:
                text = with_import(failing.text, node, without_alias(node, alias.asname or alias.name))
                why = f"{whole} is gone, and is not used here"
                return None if text is None else _changed(failing, "unused-import", text, why)
    return None


def fixture_name(failing: Failing) -> Proposal | None:
    """A fixture whose name is nearly that of one there is."""
    from rapidfuzz import fuzz

    wrong, known = NO_FIXTURE.search(failing.told), FIXTURES.search(failing.told)
    function = _function(failing)
    if wrong is None or known is None or function is None:
        return None
    names = {word.strip().split("::")[-1] for word in known[1].split(",")}
    scored = sorted(((fuzz.ratio(wrong[1], name), name) for name in names), reverse=True)
    if not scored or scored[0][0] < CLOSE or (len(scored) > 1 and scored[0][0] - scored[1][0] < CLEARLY):
        return None
    new, (first, last) = scored[0][1], (function.lineno, function.end_lineno)
    text = with_name(failing.text, wrong[1], new, first=first, last=last)
    return _changed(failing, "fixture-name", text, f"there is no fixture {wrong[1]}, but {new}", {wrong[1]: new})


def expected_value(failing: Failing) -> Proposal | None:
    """An expected value that the source had, and changed to another in one line that is otherwise as it was."""
    place = _failing_line(failing)
    tree = parsed(failing.text)
    asserted = (
        next((n for n in ast.walk(tree) if isinstance(n, ast.Assert) and _covers(n, place)), None) if tree else None
    )
    if asserted is None or not isinstance(asserted.test, ast.Compare) or not isinstance(asserted.test.ops[0], ast.Eq):
        return None
    pairs = list(failing.changes.replaced_constants())
    constants = [node for node in ast.walk(asserted.test) if isinstance(node, ast.Constant)]
    fitting = [
        (node, new) for node in constants for old, new in pairs if repr(old) == repr(node.value) and old is not None
    ]
    if len(fitting) != 1 or not _is_plain(fitting[0][0]):
        return None
    node, new = fitting[0]
    why = f"the source has {new!r:.80} now where it had {node.value!r:.80}"
    changed = _changed(failing, "expected-value", with_constant(failing.text, node, new), why)
    return changed and Proposal(changed.rule, changed.text, why, explained=(new,))


def optional_dependency(failing: Failing) -> Proposal | None:
    """A skip where an optional dependency of the project is absent."""
    for module in _all(NO_MODULE, failing.told):
        package = module.split(".")[0]
        if not is_optional(package, failing.pyproject):
            continue
        for node in imports_in(failing.text):
            named = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            if node.col_offset == 0 and any(name.split(".")[0] == package for name in named):
                lines = lines_of(failing.text)
                start = node.lineno - 1
                has_pytest = any(
                    isinstance(one, ast.Import) and one.names[0].name == "pytest"
                    for one in imports_in("".join(lines[:start]))
                )
                marker = [*([] if has_pytest else ["import pytest\n"]), f'pytest.importorskip("{package}")\n']
                text = "".join([*lines[:start], *marker, *lines[start:]])
                why = f"{package} is an optional dependency, and is not installed here"
                return Proposal("optional-dependency", text, why, skips=True)
    return None


RULES: tuple[Callable[[Failing], Proposal | None], ...] = (
    moved_module,
    renamed_symbol,
    unused_import,
    fixture_name,
    expected_value,
    optional_dependency,
)


def proposed(failing: Failing) -> Proposal | None:
    """The fix of the first rule that has one."""
    return next((found for rule in RULES if (found := rule(failing)) is not None), None)


def is_optional(package: str, pyproject: str) -> bool:
    """Whether a project needs a package for extras only."""
    try:
        project: Any = tomllib.loads(pyproject).get("project", {})
    except tomllib.TOMLDecodeError:
        return False
    extras: Any = project.get("optional-dependencies", {})
    optional: list[Any] = [one for extra in extras.values() for one in extra]
    needed: list[Any] = project.get("dependencies", [])
    return package in map(_package, optional) and package not in map(_package, needed)


def _package(requirement: Any) -> str:
    return re.split(r"[^\w.-]", str(requirement), maxsplit=1)[0].lower().replace("-", "_")


def _moved(failing: Failing, module: str, name: str, home: str, new: str, *, rule: str) -> Proposal | None:
    """The import of a name from where it lies now."""
    for node in imports_in(failing.text):
        if not isinstance(node, ast.ImportFrom) or node.module != module or node.level:
            continue
        alias = next((one for one in node.names if one.name == name), None)
        if alias is None:
            continue
        bound = alias.asname or alias.name
        moved = ast.alias(name=new, asname=None if bound == new else bound)
        added = ast.unparse(ast.ImportFrom(module=home, names=[moved], level=0))
        text = with_import(failing.text, node, [*without_alias(node, bound), added])
        return None if text is None else _changed(failing, rule, text, f"{module}.{name} is {home}.{new} now")
    return None


def _changed(
    failing: Failing, rule: str, text: str, why: str, renames: dict[str, str] | None = None
) -> Proposal | None:
    if text == failing.text or parsed(text) is None:
        return None
    return Proposal(rule, text, why, renames or {})


def _all(pattern: re.Pattern[str], text: str) -> list[str]:
    return list(dict.fromkeys(match[1] for match in pattern.finditer(text)))


def _pairs(pattern: re.Pattern[str], text: str) -> list[tuple[str, str]]:
    return list(dict.fromkeys((match[1], match[2]) for match in pattern.finditer(text)))


def _function(failing: Failing) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    name = failing.attempt.test.split("[")[0].rsplit(".", 1)[-1]
    tree = parsed(failing.text)
    found = (
        [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)) and n.name == name]
        if tree
        else []
    )
    return found[0] if len(found) == 1 else None


def _failing_line(failing: Failing) -> int:
    """The line of the test file at which it failed; 0 where it is not told."""
    places = re.findall(rf"^{re.escape(failing.path)}:(\d{{1,7}}): ", failing.attempt.text, re.MULTILINE)
    return int(places[-1]) if places else 0


def _covers(node: ast.stmt, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)


def _is_plain(node: ast.Constant) -> bool:
    return (
        node.lineno == node.end_lineno
        and isinstance(node.value, (str, int, float))
        and not isinstance(node.value, bool)
    )
