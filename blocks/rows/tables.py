"""Rows of Parquet and XLSX files, in bounded memory."""

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile

from blocks.errors import BadInput
from blocks.rows.row import Row, fault, named

BATCH = 256
"""Rows of a Parquet file in memory at once, beside one page of each column."""

DAMAGED = (
    *(BadZipFile, EOFError, LookupError, ValueError, zlib.error),
    SyntaxError,  # of the parsers of XML, of the standard library and of lxml
    RuntimeError,  # of zipfile and pyarrow: a part is encrypted, or packed in a way they do not know
    *(TypeError, AttributeError, OverflowError),  # of openpyxl: an element or a value is not what it must be
)
"""What reading a damaged file raises; pyarrow's own errors are among these, too."""


def parquet_rows(path: Path) -> Iterator[Row]:
    """Rows of a Parquet file."""
    from pyarrow import parquet

    tables: Any = parquet
    try:
        with tables.ParquetFile(path, pre_buffer=False) as file:
            named(file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=BATCH):
                yield from batch.to_pylist()
    except DAMAGED as error:
        raise _unreadable(path, "Parquet", error) from error


def xlsx_rows(path: Path) -> Iterator[Row]:
    """Rows of the first sheet of a workbook, with names in its first row; rows without any value are passed over."""
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with closing(DiskStrings()) as strings:
            yield from _sheet_rows(path, strings)
    except (InvalidFileException, *DAMAGED) as error:
        raise _unreadable(path, "XLSX", error) from error


def _sheet_rows(path: Path, strings: "DiskStrings") -> Iterator[Row]:
    book = _open_book(path, strings)
    try:
        lines = _lines(book, path.name)
        names = named(_without_end(next(lines, ())))
        for number, cells in enumerate((line for line in map(_without_end, lines) if line), start=1):
            if len(cells) > len(names):
                fault(number, f"it has {len(cells)} cells, and the first row names {len(names)}")
            yield dict(zip(names, [*cells, *[None] * (len(names) - len(cells))], strict=True))
    finally:
        book.close()


def _lines(book: Any, name: str) -> Iterator[tuple[Any, ...]]:
    """The lines of a workbook's first sheet, as openpyxl's own `iter_rows` gives them, but for empty formulas."""
    from openpyxl.worksheet._reader import FORMULA_TAG, VALUE_TAG, WorkSheetParser

    class Parser(WorkSheetParser):
        def parse_cell(self, element: Any) -> Any:
            # One that was computed to an empty text has the type `str`.
            if element.find(FORMULA_TAG) is not None and not element.findtext(VALUE_TAG) and element.get("t") != "str":
                raise _uncomputed(name, element.get("r"), self.row_counter)
            return super().parse_cell(element)

    sheet = book.worksheets[0]
    sheet.reset_dimensions()  # some writers give the wrong ones, and cells beyond them would be left out
    formats = {"date_formats": book._date_formats, "timedelta_formats": book._timedelta_formats}
    with sheet._get_source() as source:
        parser: Any = Parser(source, sheet._shared_strings, data_only=True, epoch=book.epoch, **formats)
        reached = 0
        for number, cells in parser.parse():
            yield from (() for _ in range(reached + 1, number))  # rows that the file leaves out
            if number > reached:
                reached = number
                yield sheet._get_row(cells, values_only=True)


def _uncomputed(name: str, cell: str | None, row: int) -> BadInput:
    return BadInput(
        f"{name}: cell {cell or f'in line {row}'} has a formula and no value, as programs write it that do not compute",
        fix="open the file in a spreadsheet, save it there, and give that one",
        field="source",
    )


def _without_end(cells: tuple[Any, ...]) -> list[Any]:
    """The cells up to the last with a value."""
    kept = list(cells)
    while kept and kept[-1] is None:
        kept.pop()
    return kept


class DiskStrings:
    """The texts of a workbook by number: openpyxl would keep all of them in memory, however it reads the sheet."""

    def __init__(self) -> None:
        # Without a name it is a file that SQLite has unlinked, so that nothing is left of it.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute("CREATE TABLE strings (number INTEGER PRIMARY KEY, text TEXT)")

    def fill(self, file: IO[bytes]) -> None:
        """Read the workbook's table of strings."""
        from openpyxl.cell.text import Text
        from openpyxl.xml.constants import SHEET_MAIN_NS
        from openpyxl.xml.functions import iterparse

        number, root = 0, None
        self._database.execute("BEGIN")
        for event, node in iterparse(file, events=("start", "end")):
            root = node if root is None else root
            if event == "end" and node.tag == f"{{{SHEET_MAIN_NS}}}si":
                element: Any = Text.from_tree(node)
                text = element.content.replace("x005F_", "")
                self._database.execute("INSERT INTO strings VALUES (?, ?)", (number, text))
                number += 1
                root.clear()  # else the emptied nodes stay, a kilobyte each
        self._database.execute("COMMIT")

    def __getitem__(self, number: int) -> str:
        row = self._database.execute("SELECT text FROM strings WHERE number = ?", (number,)).fetchone()
        if row is None:
            raise KeyError(f"string {number}")
        return row[0]

    def close(self) -> None:
        """Give the room back."""
        self._database.close()


def _open_book(path: Path, strings: DiskStrings) -> Any:
    from openpyxl.reader.excel import ExcelReader
    from openpyxl.xml.constants import SHARED_STRINGS

    class Reader(ExcelReader):
        def read_strings(self) -> None:
            part: Any = self.package.find(SHARED_STRINGS)
            self.shared_strings: Any = strings
            if part is not None:
                archive: Any = self.archive
                with archive.open(part.PartName[1:]) as file:
                    strings.fill(file)

    reader: Any = Reader(str(path), read_only=True, data_only=True, keep_links=False)
    reader.read()
    return reader.wb


def _unreadable(path: Path, kind: str, error: Exception) -> BadInput:
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return BadInput(f"{path.name} is no {kind} file that can be read: {first}", fix="check the file", field="source")
