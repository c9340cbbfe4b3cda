"""The check of a CSV file: its columns, its rows, and for which keys there are too few."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, Literal

from pydantic import Field, model_validator

from blocks.faults import Fault, faulty
from blocks.iiagent.proof import HOLDS, MOST_FILE_BYTES, Column, FilePath, Proof, Some, fails, same_form, shown, some
from blocks.iiagent.tree import in_thread
from blocks.iiagent.workspace import Workspace, read_small
from blocks.model import Frozen

MOST_ROWS = 2_000_000
OTHER_DELIMITERS = (";", "\t", "|")


class RowsPerKey(Frozen):
    """So many rows for each key.

    Attributes:
        column: In which the keys are.
        rows: For each of them.
        keys: All that there have to be; empty: those that are there.
    """

    column: Column
    rows: int = Field(default=1, ge=1)
    keys: tuple[str, ...] = Field(default=(), max_length=100_000)


class CsvShape(Frozen):
    """A CSV file has a shape.

    Attributes:
        path: The file.
        columns: That it has, in any order; others may be there, too.
        rows: How many there are in all, exactly; not said: one or more.
        rows_per_key: How many there are for each key, exactly.
        unique: Columns that together differ in all rows.
        no_blanks: Columns without an empty cell; `true` for all of `columns`.
    """

    kind: Literal["csv_shape"]
    path: FilePath
    columns: tuple[Column, ...] = ()
    rows: int | None = Field(default=None, ge=0)
    rows_per_key: RowsPerKey | None = None
    unique: tuple[Column, ...] = ()
    no_blanks: bool | tuple[Column, ...] = False

    @model_validator(mode="after")
    def _says_something(self) -> "CsvShape":
        if self.no_blanks is True and not self.columns:
            raise faulty([Fault(("no_blanks",), "true is for all of columns, and there are none; name them")])
        per_key = self.rows_per_key
        if per_key and per_key.keys and self.rows is not None and self.rows < per_key.rows * len(per_key.keys):
            raise faulty([Fault(("rows",), "there are fewer than rows_per_key asks for")])
        return self

    @property
    def needed(self) -> tuple[str, ...]:
        """All columns that anything is said of."""
        per_key = (self.rows_per_key.column,) if self.rows_per_key else ()
        return tuple(dict.fromkeys(map(same_form, (*self.columns, *per_key, *self.unique, *self.blankless))))

    @property
    def blankless(self) -> tuple[str, ...]:
        """Columns that may have no empty cell."""
        return self.no_blanks if isinstance(self.no_blanks, tuple) else self.columns if self.no_blanks else ()

    async def prove(self, workspace: Workspace, message: str) -> Proof:
        """Read the file, and count."""
        content = await read_small(workspace, self.path, most_bytes=MOST_FILE_BYTES)
        missing = await in_thread(lambda: self.missing_in(content))
        return fails(" ".join(missing)) if missing else HOLDS

    def missing_in(self, content: bytes) -> list[str]:
        """What a file of this content lacks, in sentences."""
        text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
        reader = csv.reader(text, strict=True)
        try:
            header = _header(reader, self.needed)
            if absent := [name for name in self.needed if name not in header]:
                told = f"{some(absent)}{_other_delimiter(header, absent)}"
                return [f"{self.path} has no column {told}: write it with them."]
            counts = _Counts(self, header)
            for cells in _lines(reader, len(header)):
                counts.take(cells)
        except _Unread as error:
            return [f"{self.path} cannot be read: {error}."]
        except UnicodeDecodeError:
            return [f"{self.path} cannot be read: line {_no_text(content)} is no UTF-8 text, write it as UTF-8."]
        except csv.Error as error:
            return [f"{self.path} cannot be read: line {reader.line_num}: {shown(str(error))}, quote it as CSV."]
        return [*self._rows(counts.rows), *self._keys(counts.keys), *self._twice(counts.twice), *counts.told_blanks()]

    def _rows(self, rows: int) -> Iterator[str]:
        if self.rows is None and not rows and not (self.rows_per_key and self.rows_per_key.keys):
            yield f"{self.path} has no rows: write them."
        if self.rows is None or rows == self.rows:
            return
        if rows < self.rows:
            yield f"{self.path} has {rows} of {self.rows} rows: add those that are missing, and keep the others."
        else:
            yield f"{self.path} has {rows} rows, and must have {self.rows}: remove what is too much."

    def _keys(self, counts: Counter[str]) -> Iterator[str]:
        if (wanted := self.rows_per_key) is None:
            return
        keys = list(dict.fromkeys(map(same_form, wanted.keys))) or list(counts)
        few = [key for key in keys if counts[key] < wanted.rows]
        many = [key for key in keys if counts[key] > wanted.rows]
        if few:
            told = some(f"{key} ({counts[key]} of {wanted.rows})" if counts[key] else key for key in few)
            yield f"In {self.path}, rows for these keys in column {wanted.column} are missing: {told}."
        if many:
            told = some(f"{key} ({counts[key]} instead of {wanted.rows})" for key in many)
            yield f"In {self.path}, there are too many rows for these keys in column {wanted.column}: {told}."
        if wanted.keys and (foreign := counts.keys() - set(keys)):
            yield f"In {self.path}, column {wanted.column} has keys that nobody asked for: {some(sorted(foreign))}."

    def _twice(self, twice: Some) -> Iterator[str]:
        if twice.count:
            yield (
                f"In {self.path}, {some(self.unique)} must differ in every row, and these are there more than once: "
                f"{twice}."
            )


class _Unread(ValueError):
    """Why a file is no CSV file, in words for its author."""


class _Counts:
    """What is counted of a table while it is read: agents write millions of rows, and none of them is kept."""

    def __init__(self, shape: CsvShape, header: list[str]) -> None:
        self.rows, self.twice = 0, Some()
        self.keys: Counter[str] = Counter()
        self._path = shape.path
        self._key = header.index(same_form(shape.rows_per_key.column)) if shape.rows_per_key else None
        self._unique = [header.index(same_form(name)) for name in shape.unique]
        self._blanks = [(name, header.index(same_form(name)), Some()) for name in shape.blankless]
        self._seen: set[bytes] = set()
        self._doubled: set[bytes] = set()

    def take(self, cells: list[str]) -> None:
        """Count a row."""
        self.rows += 1
        if self._key is not None:
            self.keys[same_form(cells[self._key])] += 1
        if self._unique:
            self._differs([same_form(cells[place]) for place in self._unique])
        for _, place, empty in self._blanks:
            if not cells[place].strip():
                empty.add(str(self.rows))

    def told_blanks(self) -> Iterator[str]:
        """Which columns have empty cells."""
        for name, _, empty in self._blanks:
            if empty.count:
                yield f"In {self._path}, column {name} is empty in {empty.count} rows (row {empty}): fill it."

    def _differs(self, texts: list[str]) -> None:
        mark = blake2b(repr(texts).encode(), digest_size=16).digest()  # the texts themselves may be long
        if mark in self._seen and mark not in self._doubled:
            self._doubled.add(mark)
            self.twice.add(" / ".join(texts))
        self._seen.add(mark)


def _header(reader: Iterator[list[str]], needed: tuple[str, ...]) -> list[str]:
    header = [same_form(cell) for cell in next(reader, list[str]())]
    if not header:
        raise _Unread("it is empty")
    if twice := [name for name, count in Counter(header).items() if count > 1 and name in needed]:
        raise _Unread(f"column {some(twice)} is there twice")
    return header


def _lines(reader: Any, width: int) -> Iterator[list[str]]:
    """The rows that are not empty."""
    count = 0
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        count += 1
        if count > MOST_ROWS:
            raise _Unread(f"it has more than {MOST_ROWS} rows")
        if len(cells) != width:
            raise _Unread(f"line {reader.line_num} has {len(cells)} cells, and the first line {width}")
        yield cells


def _no_text(content: bytes) -> int:
    """The first line that is no UTF-8."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return content.count(b"\n", 0, error.start) + 1
    return 1


def _other_delimiter(header: list[str], absent: list[str]) -> str:
    """A word on a header that would have the columns if it were cut elsewhere."""
    for delimiter in OTHER_DELIMITERS:
        found = {same_form(cell) for name in header for cell in name.split(delimiter)}
        if len(found) > len(header) and found >= set(absent):
            return " when it is cut at commas, which it has to be"
    return ""
