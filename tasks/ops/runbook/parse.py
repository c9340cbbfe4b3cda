"""Values taken from what a command wrote. Bad answers give typed faults, never code."""

import json
import re
from collections.abc import Iterable
from typing import Any

from tasks.ops.runbook.form import Parse
from tasks.ops.runbook.typed import MOST_ITEMS, compiled


class Unparsed(ValueError):
    """An answer has not what is looked for."""


def parsed(parses: Iterable[Parse], stdout: str, stderr: str, exit_code: int) -> dict[str, Any]:
    """The variables that an answer gives. Raises `Unparsed`, which names the variable."""
    found: dict[str, Any] = {}
    for parse in parses:
        try:
            raw = _raw(parse, {"stdout": stdout, "stderr": stderr}.get(parse.source, ""), exit_code)
            found[parse.set] = parse.cast(raw)
        except ValueError as error:
            if parse.default is None:
                raise Unparsed(f"{parse.set} cannot be read from its {parse.source}: {error}") from None
            found[parse.set] = parse.cast(parse.default)
    return found


def _raw(parse: Parse, text: str, exit_code: int) -> Any:
    if parse.source == "exit_code":
        return exit_code
    if parse.json_path is not None:
        return _of_json(text, parse.json_path)
    lines = [line for line in re.split(r"\r?\n", text) if line.strip()]
    if parse.lines:
        return lines[:MOST_ITEMS]
    if parse.line is not None:
        text = _nth(lines, parse.line, "line")
    if parse.column is not None:
        text = _nth(text.split(), parse.column, "column")
    if parse.regex is not None:
        text = _matched(parse, text)
    return text.strip()


def _of_json(text: str, path: str | tuple[str | int, ...]) -> Any:
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    steps = (path.split(".") if path else []) if isinstance(path, str) else path
    for step in steps:
        if isinstance(value, list) and str(step).lstrip("-").isdigit():
            items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
            value = _nth(items, int(step), "item")
        elif isinstance(value, dict) and str(step) in value:
            value = value[str(step)]  # pyright: ignore[reportUnknownVariableType]
        else:
            raise ValueError(f"it has no {step}")
    return value  # pyright: ignore[reportUnknownVariableType]


def _nth(items: list[Any], number: int, what: str) -> Any:
    try:
        return items[number]
    except IndexError:
        raise ValueError(f"it has no {what} {number}") from None


def _matched(parse: Parse, text: str) -> str:
    assert parse.regex is not None  # noqa: S101
    regex = compiled(parse.regex, by_line=True)
    match = regex.search(text)
    if match is None:
        raise ValueError(f"nothing in it matches {parse.regex}")
    group = parse.group if parse.group is not None else min(1, regex.groups)
    if match[group] is None:
        raise ValueError(f"its group {group} matched nothing")
    return match[group]
