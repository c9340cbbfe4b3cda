"""Values taken from what a command wrote: which, and how. Bad answers give typed faults, never code."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydantic import Field, model_validator

from blocks.faults import Fault, faulty
from blocks.patterns import Pattern, compiled
from tasks.ops.runbook.typed import MOST_ITEMS, Name, Typed


class Parse(Typed):
    """A variable, and where it stands in what a command wrote.

    Attributes:
        set: The variable.
        source: What is looked at.
        json_path: Place in a JSON answer: names and numbers joined by dots, or as a list.
        line: Number of a line, from 0; -1 is the last.
        column: Number of a word of it, from 0; -1 is the last.
        regex: RE2 that is looked for.
        group: Its group, by number or name.
        lines: All lines, without empty ones, as a list.
        default: What it is where it is not there.
    """

    set: Name
    source: Literal["stdout", "stderr", "exit_code"] = Field(default="stdout", alias="from")
    json_path: str | tuple[str | int, ...] | None = Field(default=None, alias="json")
    line: int | None = None
    column: int | None = None
    regex: Pattern | None = None
    group: int | str | None = None
    lines: bool = False
    default: Any = None

    @model_validator(mode="after")
    def _can_be_parsed(self) -> "Parse":
        if faults := [Fault((field,), what) for field, what in _unparsable(self)]:
            raise faulty(faults)
        return self


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


def _unparsable(parse: Parse) -> Iterator[tuple[str, str]]:
    """What of a parse leads nowhere, field by field."""
    ways = [name for name in ("json_path", "lines") if getattr(parse, name) not in (None, False)]
    picks = [name for name in ("line", "column", "regex") if getattr(parse, name) is not None]
    if len(ways) > 1 or (ways and picks):
        yield "set", "json and lines stand alone; line, column and regex go together"
    if parse.source == "exit_code" and (ways or picks):
        yield "from", "an exit code is a number, and nothing in it can be looked for"
    if parse.source == "exit_code" and parse.type not in ("int", "number"):
        yield "type", "an exit code is an int"
    if parse.column is not None and parse.line is None:
        yield "column", "a column of which line?"
    if parse.json_path is None and parse.lines != (parse.type == "list"):
        yield "type", "lines give a list, and only lines and json do"
    if parse.json_path is None and parse.type == "json":
        yield "type", "only json gives values of type json"
    yield from _no_group(parse)
    if parse.default is not None:
        try:
            parse.cast(parse.default)
        except ValueError as error:
            yield "default", str(error)


def _no_group(parse: Parse) -> Iterator[tuple[str, str]]:
    if parse.group is None:
        return
    if parse.regex is None:
        yield "group", "a group of which regex?"
        return
    found = compiled(parse.regex)
    there = parse.group in found.groupindex if isinstance(parse.group, str) else 0 <= parse.group <= found.groups
    if not there:
        yield "group", "the regex has no such group"
