"""Records that people write: JSONL, CSV or YAML, each with the line that it stands in."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from blocks.errors import BadInput, NotFound, Unsupported
from blocks.faults import Place, faults_of
from blocks.model import Frozen
from blocks.yaml_file import YamlText, read_yaml

R = TypeVar("R", bound=Frozen)

FIX = "correct the file; docs/evaluation.md shows its form"
LONGEST_BYTES = 256 * 2**20
JSON_COLUMNS = ("words", "turns", "expected", "match", "rubrics", "summary")
"""Columns of CSV files whose cells hold JSON."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """A record as it was written.

    Attributes:
        content: What it says.
        line: The line of a place within it.
    """

    content: Any
    line: Callable[[Place], int]


@dataclass(frozen=True, kw_only=True)
class Records:
    """A file of records.

    Attributes:
        path: The file.
        field: The option that names it.
        written: The records in order.
        common: What a YAML file says beside its list, for all of them.
    """

    path: Path
    field: str
    written: tuple[Written, ...]
    common: dict[str, Any]

    def read_as(self, form: type[R]) -> list[tuple[R, int]]:
        """Each record with its line.

        Raises:
            BadInput: with every fault, a line each, as `file:line: field: what`.
        """
        adapter, problems = TypeAdapter(form), list[tuple[int, str]]()
        found: list[tuple[R, int]] = []
        for one in self.written:
            content = {**self.common, **one.content} if isinstance(one.content, dict) else one.content
            try:
                found.append((adapter.validate_python(content), one.line(())))
            except ValidationError as error:
                told = [(one.line(fault.place), fault.where, fault.what) for fault in faults_of(error, adapter)]
                problems += [(line, what if where == "file" else f"{where}: {what}") for line, where, what in told]
        if problems:
            raise self.wrong(problems)
        return found

    def wrong(self, problems: Sequence[tuple[int, str]]) -> BadInput:
        """The error of a file that is wrong in these lines."""
        return YamlText(name=str(self.path), fix=FIX, field=self.field).bad(sorted(problems))


def read_records(path: Path, field: str, list_name: str) -> Records:
    """The records of a file.

    Args:
        path: `.jsonl`, `.csv`, `.tsv`, `.yaml` or `.yml`.
        field: The option that names it, for errors.
        list_name: What a YAML file that is a mapping calls its list.

    Raises:
        NotFound: there is no such file.
        Unsupported: its ending is another one.
        BadInput: it cannot be read, or holds nothing.
    """
    readers = {".jsonl": _json_lines, ".ndjson": _json_lines, ".csv": _csv_rows, ".tsv": _csv_rows}
    suffix = path.suffix.lower()
    if suffix in (".yaml", ".yml"):
        written, common = _yaml_items(read_yaml(path, fix=FIX, field=field), list_name)
    elif suffix in readers:
        written, common = tuple(readers[suffix](_text(path, field), _bad(path, field))), {}
    else:
        raise Unsupported(
            f"{path.name} is of no format that is read here", fix="give a .jsonl, .csv or .yaml file", field=field
        )
    if not written:
        raise BadInput(f"{path} holds no record", fix=FIX, field=field)
    return Records(path=path, field=field, written=written, common=common)


def _bad(path: Path, field: str) -> Callable[[int, str], BadInput]:
    return lambda line, what: YamlText(name=str(path), fix=FIX, field=field).bad([(line, what)])


def _text(path: Path, field: str) -> str:
    try:
        if path.stat().st_size > LONGEST_BYTES:
            raise BadInput(f"{path} is larger than {LONGEST_BYTES // 2**20} MiB", fix="split it", field=field)
        content = path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}", fix="check the path", field=field) from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}", fix="check it", field=field) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad(path, field)(content.count(b"\n", 0, error.start) + 1, "it is no UTF-8 text") from None


def _json_lines(text: str, bad: Callable[[int, str], BadInput]) -> Iterator[Written]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield Written(content=_json(line, number, bad), line=lambda _, number=number: number)


def _csv_rows(text: str, bad: Callable[[int, str], BadInput]) -> Iterator[Written]:
    """Rows by the names in the first line; an empty cell is not given, and `expected.NAME` is a field of `expected`."""
    csv.field_size_limit(LONGEST_BYTES)
    first = text.partition("\n")[0]
    rows = csv.reader(text.splitlines(keepends=True), delimiter=max(",;\t", key=first.count), strict=True)
    try:
        names, line = [name.strip() for name in next(rows, list[str]())], rows.line_num + 1
        if twice := {name for name in names if names.count(name) > 1}:
            raise bad(1, f"two columns are named {', '.join(sorted(twice))}")
        for cells in rows:
            if len(cells) not in (0, len(names)):
                raise bad(line, f"it has {len(cells)} cells, and the first line names {len(names)}")
            if cells:
                given = {name: cell for name, cell in zip(names, cells, strict=True) if cell != ""}
                yield Written(content=_nested(given, line, bad), line=lambda _, line=line: line)
            line = rows.line_num + 1
    except csv.Error as error:
        raise bad(rows.line_num, f"it is no CSV: {error}") from error


def _nested(cells: dict[str, str], line: int, bad: Callable[[int, str], BadInput]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, cell in cells.items():
        outer, _, inner = name.partition(".")
        if outer in JSON_COLUMNS and not inner:
            made[name] = _json(cell, line, lambda line, what, name=name: bad(line, f"{name}: {what}"))
        elif inner:
            made.setdefault(outer, {})[inner] = cell
        else:
            made[name] = cell
    return made


def _json(text: str, line: int, bad: Callable[[int, str], BadInput]) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "it cannot be read"
        raise bad(line, f"it is no JSON: {reason}") from None


def _yaml_items(read: YamlText, list_name: str) -> tuple[tuple[Written, ...], dict[str, Any]]:
    content, before = read.content, cast(Place, ())
    common: dict[str, Any] = {}
    if isinstance(content, dict):
        fields = cast(dict[str, Any], content)
        common = {name: _dates_as_text(value) for name, value in fields.items() if name != list_name}
        content, before = fields.get(list_name), (list_name,)
    if not isinstance(content, list):
        raise read.bad(
            [(read.line(before), f"here belongs a list of records, or a mapping with such a list as {list_name}")]
        )
    items = cast(list[Any], content)
    written = [
        Written(content=_dates_as_text(item), line=partial(_line_in, read, (*before, at)))
        for at, item in enumerate(items)
    ]
    return tuple(written), common


def _line_in(read: YamlText, before: Place, place: Place) -> int:
    return read.line((*before, *place))


def _dates_as_text(value: Any) -> Any:
    """YAML reads 2025-03-20 as a date; summaries are JSON, which has texts for those."""
    if isinstance(value, dict):
        return {name: _dates_as_text(item) for name, item in cast(dict[Any, Any], value).items()}
    if isinstance(value, list):
        return [_dates_as_text(item) for item in cast(list[Any], value)]
    return value.isoformat() if hasattr(value, "isoformat") else value
