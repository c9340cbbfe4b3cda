"""Rows of a source, one after the other in bounded memory: CSV, JSONL, Parquet, XLSX, or a list."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from blocks.errors import BadInput, NotFound, Unsupported
from blocks.rows.row import Row, fault, named, plain, whole

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
        for number, row in enumerate(reader(path), start=1):
            yield _listed(row, number)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}", fix="check it", field="source") from error


def reader_of(source: str) -> "Callable[[Path], Iterator[Row]]":
    """What reads a file of that name. Raises `Unsupported`."""
    from blocks.rows.tables import parquet_rows, xlsx_rows

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
    # What is no UTF-8 comes as lone surrogates, which UTF-8 has none of: so the row that has it is known.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        number = 0
        try:
            header = file.readline(LONGEST_ROW_BYTES)
            file.seek(0)
            lines = csv.reader(file, delimiter=max(DELIMITERS, key=header.count))
            names = named(next(lines, list[str]()))
            if not _is_utf8(names):
                raise _not_utf8(f"the first line of {path.name}")
            for fields in filter(None, lines):
                number += 1
                if not _is_utf8(fields):
                    raise _not_utf8(f"row {number}", row=number)
                if len(fields) != len(names):
                    fault(number, f"it has {len(fields)} fields, and the first line names {len(names)}")
                yield dict(zip(names, fields, strict=True))
        except csv.Error as error:
            fault(number + 1, str(error))


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
                raise _not_utf8(f"row {number}", row=number) from error
            except (ValueError, RecursionError) as error:
                fault(number, f"it is no JSON: {error}")
            yield _listed(row, number)


def _listed(row: Any, number: int) -> Row:
    if isinstance(row, str):
        return {TEXT: whole(row)}
    if not isinstance(row, Mapping):
        fault(number, f"it is {type(row).__name__}, and no object with columns")
    try:
        return plain(row)
    except ValueError as error:
        fault(number, str(error))


def _is_utf8(texts: Sequence[str]) -> bool:
    """Whether a line that was read with `surrogateescape` was UTF-8."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True


def _not_utf8(what: str, **where: int) -> BadInput:
    fix = "convert the file, for instance with iconv"
    return BadInput(f"{what} is not UTF-8 text", fix=fix, field="source", **where)
