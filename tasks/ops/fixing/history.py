"""What changed in the sources between a commit on which tests passed and one on which they fail."""

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from tasks.ops.change.config import is_test
from tasks.ops.change.git import Repository
from tasks.ops.change.looked_at import CONTENT_BYTES, parsed

ROOTS = ("src/", "lib/", "python/")
ALIKE = 0.8
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class SourceChanges:
    """What changed in the sources; tests are left out.

    Attributes:
        before, after: Texts of the changed Python files, by path.
        renamed: Files that lie elsewhere now, old path to new.
        paths: All files there are now.
    """

    before: dict[str, str] = field(default_factory=dict[str, str])
    after: dict[str, str] = field(default_factory=dict[str, str])
    renamed: dict[str, str] = field(default_factory=dict[str, str])
    paths: frozenset[str] = frozenset()

    def moved_module(self, module: str) -> str | None:
        """Where a module lies now; None where that is not certain."""
        found = {module_of(new) for old, new in self.renamed.items() if module_of(old) == module}
        return found.pop() if len(found) == 1 else None

    def renamed_symbol(self, module: str, name: str) -> str | None:
        """What a function or class of a module is called now; None where that is not certain.

        It must be gone, and exactly one new one of the module must be of the same kind, with the same parameters and
        nearly the same body.
        """
        for path in self._paths_of(module):
            old, new = self._definitions(path)
            gone = old.get(name)
            if gone is None or name in new:
                continue
            alike = [other for other, node in new.items() if other not in old and _is_alike(gone, node)]
            return alike[0] if len(alike) == 1 else None
        return None

    def moved_symbol(self, module: str, name: str) -> str | None:
        """The module in which a function or class of a module lies now; None where that is not certain."""
        was = [self._definitions(path)[0].get(name) for path in self._paths_of(module)]
        if not any(was) or any(name in self._definitions(path)[1] for path in self._paths_of(module)):
            return None
        gone = next(node for node in was if node is not None)
        homes = [
            module_of(path)
            for path in self.after
            if (node := self._definitions(path)[1].get(name)) is not None
            and name not in self._definitions(path)[0]
            and _is_alike(gone, node)
        ]
        return homes[0] if len(homes) == 1 else None

    def replaced_constants(self) -> Iterator[tuple[object, object]]:
        """Constants that took the place of others in lines that are otherwise as they were."""
        for path, after in self.after.items():
            old, new = self.before.get(path, "").splitlines(), after.splitlines()
            for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
                if kind == "replace" and b - a == d - c:
                    for one, other in zip(old[a:b], new[c:d], strict=True):
                        yield from _replaced(one, other)

    def _paths_of(self, module: str) -> list[str]:
        return [path for path in {*self.before, *self.after} if module_of(path) == module]

    def _definitions(self, path: str) -> tuple[dict[str, Definition], dict[str, Definition]]:
        old = self.before.get(next((one for one, new in self.renamed.items() if new == path), path), "")
        return _defined(old), _defined(self.after.get(path, ""))


async def changes_between(repository: Repository, since: str, base: str) -> SourceChanges:
    """What changed in the sources between two commits."""
    listed = await repository.git("diff", "--name-status", "-z", "-M", since, base, "--")
    words, renamed, old, new = listed.split(b"\0"), dict[str, str](), set[str](), set[str]()
    while len(words) > 1:
        status, first = words.pop(0).decode(), os.fsdecode(words.pop(0))
        last = os.fsdecode(words.pop(0)) if status[:1] in ("R", "C") else first
        if is_test(first) or is_test(last) or not last.endswith(".py"):
            continue
        if status.startswith("R"):
            renamed[first] = last
        if status[:1] in ("R", "M", "D"):
            old.add(first)
        if status[:1] != "D":
            new.add(last)
    paths = frozenset(one.path for one in await repository.entries(base))
    return SourceChanges(await _texts(repository, since, old), await _texts(repository, base, new), renamed, paths)


async def _texts(repository: Repository, tree: str, paths: set[str]) -> dict[str, str]:
    entries = [one for one in await repository.entries(tree) if one.path in paths and one.size <= CONTENT_BYTES]
    contents = await repository.contents([one.blob for one in entries])
    return {one.path: contents[one.blob].decode("utf-8", "replace") for one in entries}


def module_of(path: str) -> str:
    """A Python file as it is imported."""
    for root in ROOTS:
        path = path.removeprefix(root)
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _defined(text: str) -> dict[str, Definition]:
    tree = parsed(text)
    return {} if tree is None else {node.name: node for node in tree.body if isinstance(node, Definition)}


def _is_alike(old: Definition, new: Definition) -> bool:
    if type(old) is not type(new) or _parameters(old) != _parameters(new):
        return False
    one, other = (ast.unparse(node).replace(node.name, "_") for node in (old, new))
    return SequenceMatcher(None, one, other, autojunk=False).ratio() >= ALIKE


def _parameters(node: Definition) -> str:
    return "" if isinstance(node, ast.ClassDef) else ast.dump(node.args)


def _replaced(old: str, new: str) -> Iterator[tuple[object, object]]:
    """The one constant in which two lines differ."""
    one, other = _constants(old), _constants(new)
    if one is None or other is None or one[0] != other[0]:
        return
    different = [pair for pair in zip(one[1], other[1], strict=True) if repr(pair[0]) != repr(pair[1])]
    if len(different) == 1 and type(different[0][0]) is type(different[0][1]):
        yield different[0]


def _constants(line: str) -> tuple[str, list[object]] | None:
    """A line without its constants, and these."""
    text = line.strip()
    tree = parsed(text) or parsed(f"{text} pass") or parsed(f"({text.rstrip(',')})")
    if tree is None:
        return None
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    values: list[object] = [node.value for node in found]
    for node in found:
        node.value = type(node.value).__name__
    return ast.dump(tree), values
