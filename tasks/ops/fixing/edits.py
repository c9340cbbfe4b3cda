"""Changes to the text of a test file: the least that does it; all else stays as it is written."""

import ast
import io
import re
import tokenize

from tasks.ops.change.looked_at import parsed

Import = ast.Import | ast.ImportFrom


def lines_of(text: str) -> list[str]:
    """Its lines as Python counts them: other characters that end lines elsewhere do not."""
    return io.StringIO(text, newline="\n").readlines()


def with_name(text: str, old: str, new: str, *, first: int = 1, last: int | None = None) -> str:
    """The text with a name changed wherever it stands as a word of Python, between two lines."""
    lines = lines_of(text)
    for token in reversed(_tokens(text)):
        row, column = token.start
        if token.type == tokenize.NAME and token.string == old and first <= row <= (last or len(lines)):
            line = lines[row - 1]
            lines[row - 1] = line[:column] + new + line[column + len(old) :]
    return "".join(lines)


def with_module(text: str, old: str, new: str) -> str:
    """The text with another path of a module, in imports, in uses of it and in texts that name it for a patch."""
    return re.sub(rf"(?<![\w.]){re.escape(old)}(?!\w)", new, text)


def with_constant(text: str, node: ast.Constant, value: object) -> str:
    """The text with another value in place of a constant on one line."""
    assert node.end_col_offset is not None  # noqa: S101 - parsed from text
    lines = lines_of(text)
    line = lines[node.lineno - 1].encode()
    quoted = _like(line[node.col_offset : node.end_col_offset].decode(), value)
    lines[node.lineno - 1] = (line[: node.col_offset] + quoted.encode() + line[node.end_col_offset :]).decode()
    return "".join(lines)


def with_import(text: str, node: Import, statements: list[str]) -> str | None:
    """The text with statements in place of an import; None where a comment would be lost."""
    lines = lines_of(text)
    start, end = node.lineno - 1, node.end_lineno or node.lineno
    if any("#" in line or ";" in line for line in lines[start:end]):
        return None
    indent = " " * node.col_offset
    if not statements and node.col_offset:
        return None  # its block might be left empty
    return "".join([*lines[:start], *(f"{indent}{one}\n" for one in statements), *lines[end:]])


def without_alias(node: Import, name: str) -> list[str]:
    """The statements that are left of an import without a name."""
    rest = [alias for alias in node.names if (alias.asname or alias.name) != name]
    if not rest:
        return []
    if isinstance(node, ast.Import):
        return [ast.unparse(ast.Import(names=rest))]
    return [ast.unparse(ast.ImportFrom(module=node.module, names=rest, level=node.level))]


def imports_in(text: str) -> list[Import]:
    """The imports of a text."""
    tree = parsed(text)
    return [] if tree is None else [node for node in ast.walk(tree) if isinstance(node, Import)]


def uses_of(text: str, name: str) -> int:
    """How often a name is used, but for its imports: as a name, a parameter (which may be a fixture), or in a text."""
    tree = parsed(text)
    if tree is None:
        return 1
    return sum(
        (isinstance(node, ast.Name) and node.id == name)
        or (isinstance(node, ast.arg) and node.arg == name)
        or (isinstance(node, ast.Constant) and isinstance(node.value, str) and name in node.value.split("."))
        for node in ast.walk(tree)
    )


def is_bound_otherwise(text: str, name: str) -> bool:
    """Whether something else of the text has the name, too, as a variable, a parameter or a function."""
    tree = parsed(text)
    return tree is None or any(
        (isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load))
        or (isinstance(node, ast.arg) and node.arg == name)
        or (isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name == name)
        or (isinstance(node, ast.keyword) and node.arg == name)
        for node in ast.walk(tree)
    )


def _tokens(text: str) -> list[tokenize.TokenInfo]:
    try:
        return list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return []


def _like(old: str, value: object) -> str:
    """A constant as it is written, in the quotes of another."""
    told = repr(value)
    if isinstance(value, str) and old.startswith('"') and '"' not in value and "\\" not in told:
        return f'"{told[1:-1]}"'
    return told
