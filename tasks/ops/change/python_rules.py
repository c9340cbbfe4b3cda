"""Rules about changed Python: exceptions that vanish, and public functions that change."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.ops.change.config import is_test
from tasks.ops.change.diff import ChangedFile
from tasks.ops.change.looked_at import Change
from tasks.ops.change.result import Finding

BROAD = ("Exception", "BaseException")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class PublicChange:
    """A public function that is new, or changed.

    Attributes:
        name: With its class.
        line: After the change.
        is_new: Whether there was none.
        has_other_signature: Whether it is called in another way than before.
        has_other_docstring: Whether its docstring changed, too.
    """

    name: str
    line: int
    is_new: bool
    has_other_signature: bool
    has_other_docstring: bool


def swallowed(change: Change) -> Iterator[Finding]:
    """Exceptions that vanish in new lines."""
    for file in change.standing():
        tree = change.tree(file)
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.ExceptHandler) and _is_new(node, file) and _vanishes(node):
                broad = node.type is None or (isinstance(node.type, ast.Name) and node.type.id in BROAD)
                yield Finding(
                    file=file.path,
                    line=node.lineno,
                    severity="high" if broad else "medium",
                    rule="swallowed-exception",
                    message="an exception is swallowed" + (", whatever it is" if broad else ""),
                    suggestion="handle it, log it, or use contextlib.suppress with a comment that says why",
                )


def public_changes(change: Change, file: ChangedFile) -> list[PublicChange]:
    """The public functions of a Python file that are new or changed."""
    if file.suffix != ".py" or is_test(file.path) or file.name.startswith("_"):
        return []
    tree, old = change.tree(file), change.tree(file, old=True)
    if tree is None:
        return []
    before = {name: node for name, node in functions(old)} if old else {}
    return [
        _compared(name, node, before.get(name))
        for name, node in functions(tree)
        if name not in before or _body(node) != _body(before[name]) or _signature(node) != _signature(before[name])
    ]


def removed_functions(change: Change, file: ChangedFile) -> list[str]:
    """The public functions of a Python file that are gone."""
    tree, old = change.tree(file), change.tree(file, old=True)
    if tree is None or old is None or is_test(file.path):
        return []
    after = {name for name, _ in functions(tree)}
    return [name for name, _ in functions(old) if name not in after]


def functions(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """The public functions of a module and of its public classes, by name."""
    for node in tree.body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield node.name, node
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for inner in node.body:
                if isinstance(inner, Function) and not inner.name.startswith("_"):
                    yield f"{node.name}.{inner.name}", inner


def _compared(name: str, node: Function, before: Function | None) -> PublicChange:
    return PublicChange(
        name=name,
        line=node.lineno,
        is_new=before is None,
        has_other_signature=before is None or _signature(node) != _signature(before),
        has_other_docstring=before is None or ast.get_docstring(node) != ast.get_docstring(before),
    )


def _signature(node: Function) -> str:
    return ast.dump(node.args) + (ast.dump(node.returns) if node.returns else "")


def _body(node: Function) -> str:
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return "".join(ast.dump(one) for one in body)


def _is_new(node: ast.ExceptHandler, file: ChangedFile) -> bool:
    return any(line in file.added for line in range(node.lineno, (node.end_lineno or node.lineno) + 1))


def _vanishes(node: ast.ExceptHandler) -> bool:
    return all(
        isinstance(one, (ast.Pass, ast.Continue))
        or (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))  # a docstring, or `...`
        for one in node.body
    )
