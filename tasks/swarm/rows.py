"""Rows of a source, one after the other in bounded memory: CSV, JSONL, Parquet, XLSX, or a list."""

import base64
import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, cast

from blocks.errors import BadInput, NotFound, Unsupported

Row = dict[str, Any]
"""Values by column: what JSON can hold."""

Source = str | Sequence[str | Mapping[str, Any]]
"""Path of a file, or the rows themselves; a row that is a text has one column, `text`."""

LONGEST_ROW_BYTES = 16 * 2**20
DELIMITERS = ",;\t|"
TEXT = "text"


def read_rows(source: Source) -> Iterator[Row]:
    """The rows in order; row 1 is the first with data.

    Raises:
        NotFound: there is no such file.
        Unsupported: its ending is of no format that we read.
        BadInput: it cannot be read; `details["row"]` says where.
    """
    if not isinstance(source, str):
        yield from (_listed(row, number) for number, row in enumerate(source, start=1))
        return
    path, reader = Path(source), reader_of(source)
    if not path.is_file():
        raise NotFound(f"there is no file {path}", fix="check the path", field="source")
    try:
        for row in reader(path):
            yield {name: plain(value) for name, value in row.items()}
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}", fix="check it", field="source") from error


def reader_of(source: str) -> "Callable[[Path], Iterator[Row]]":
    """What reads a file of that name. Raises `Unsupported`."""
    from tasks.swarm.tables import parquet_rows, xlsx_rows

    readers = {".csv": csv_rows, ".tsv": csv_rows, ".jsonl": json_rows, ".ndjson": json_rows}
    readers |= {".parquet": parquet_rows, ".xlsx": xlsx_rows}
    suffix = Path(source).suffix.lower()
    if suffix not in readers:
        raise Unsupported(
            f"{Path(source).name} is of no format that rows are read from",
            fix=f"give a file ending in {', '.join(readers)}",
            field="source",
        )
    return readers[suffix]


def csv_rows(path: Path) -> Iterator[Row]:
    """Rows of a CSV file in UTF-8 with names in its first line; separated by what its first line has most of."""
    csv.field_size_limit(LONGEST_ROW_BYTES)
    with path.open(encoding="utf-8-sig", newline="") as file:
        number = 0
        try:
            header = file.readline(LONGEST_ROW_BYTES)
            file.seek(0)
            lines = csv.reader(file, delimiter=max(DELIMITERS, key=header.count))
            names = named(next(lines, list[str]()))
            for fields in filter(None, lines):
                number += 1
                if len(fields) != len(names):
                    fault(number, f"it has {len(fields)} fields, and the first line names {len(names)}")
                yield dict(zip(names, fields, strict=True))
        except csv.Error as error:
            fault(number + 1, str(error))
        except UnicodeDecodeError as error:
            raise _not_utf8(path) from error


def json_rows(path: Path) -> Iterator[Row]:
    """Rows of a JSONL file: an object in each line; empty lines are passed over."""
    number = 0
    with path.open("rb") as file:
        for line in iter(partial(file.readline, LONGEST_ROW_BYTES + 1), b""):
            if not line.strip():
                continue
            number += 1
            if len(line) > LONGEST_ROW_BYTES:
                fault(number, f"it is over {LONGEST_ROW_BYTES} bytes")
            try:
                row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError as error:
                raise _not_utf8(path) from error
            except (ValueError, RecursionError) as error:
                fault(number, f"it is no JSON: {error}")
            yield _listed(row, number)


def named(cells: Sequence[Any]) -> list[str]:
    """Names of columns; one without a name is called by its place.

    Raises:
        BadInput: two have the same.
    """
    names = [str(cell).strip() if cell not in (None, "") else f"column_{at}" for at, cell in enumerate(cells, start=1)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadInput(f"two columns are named {', '.join(twice)}", fix="rename one of them", field="source")
    return names


def plain(value: Any) -> Any:
    """A value as JSON can hold it: dates as ISO 8601, bytes as base64, what is no number as None."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _whole(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        fields = cast(Mapping[Any, Any], value)
        return {_whole(str(name)): plain(item) for name, item in fields.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast(Sequence[Any], value)]
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def fault(number: int, what: str) -> NoReturn:
    """Say what is wrong with a row."""
    raise BadInput(f"row {number}: {what}", fix="correct the source", field="source", row=number)


def _listed(row: Any, number: int) -> Row:
    if isinstance(row, str):
        return {TEXT: _whole(row)}
    if not isinstance(row, Mapping):
        fault(number, f"it is {type(row).__name__}, and no object with columns")
    return plain(row)


def _whole(text: str) -> str:
    """Without halves of characters, which JSON can name and nothing can send."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _not_utf8(path: Path) -> BadInput:
    return BadInput(f"{path.name} is not UTF-8 text", fix="convert it, for instance with iconv", field="source")
