"""The answers as CSV and XLSX, made from the ledger: each file whole or not at all, the same rows in both."""

import csv
import json
import os
import zipfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from blocks.errors import StoreFailed
from tasks.batch_prompts.cells import LONGEST_XLSX, safe_cell
from tasks.batch_prompts.crossing import Outgoing
from tasks.batch_prompts.ledger import Ledger
from tasks.batch_prompts.plan import Plan

MOST_XLSX_ROWS = 1_048_576
"""Of a sheet, its first row included."""

MOST_EXACT = 10**15 - 1
"""Numbers beyond it lose digits in Excel; they are written as texts."""

Line = list[Any]


def header(plan: Plan) -> list[str]:
    """The columns of the output."""
    return [plan.file.row_column, *kept(plan), *plan.per_row.names, *plan.file.columns]


def kept(plan: Plan) -> list[str]:
    """Columns of the table that go into the output."""
    return list(dict.fromkeys((plan.file.group_column, *plan.file.keep)))


def lines(plan: Plan, ledger: Ledger, outgoing: Outgoing | None = None) -> Iterator[Line]:
    """The output rows, in the order of the table and of the keys; those of rows that are not done are left out.

    Args:
        plan: What was asked.
        ledger: The answers.
        outgoing: Holds them against their contract as they pass.

    Raises:
        ContractBroken: the ledger holds what the plan does not allow.
    """
    columns = list(plan.file.columns)
    for item in ledger.every():
        answers = ledger.answers(item)
        if len(answers) < len(plan.per_row.units):
            continue
        row = {**item.row, plan.file.group_column: item.group}  # as the plan writes it
        before = [item.number, *(row.get(name) for name in kept(plan))]
        found = [(unit, [cells.get(name) for name in columns]) for unit, cells, _ in answers]
        if outgoing is not None:
            outgoing.add(*((item.number, plan.per_row.place[unit], item.group, cells) for unit, cells in found))
        for unit, cells in found:
            yield [*before, *unit, *cells]
    if outgoing is not None:
        outgoing.end()


def write_output(plan: Plan, ledger: Ledger) -> int:
    """Write both files, and the dead letters where there are any; returns how many output rows there are. Blocks.

    Raises:
        ContractBroken: the ledger holds what the plan does not allow; the files stay as they were.
        StoreFailed: a file cannot be written.
    """
    with replacing(plan.place(".csv")) as fresh:
        written = write_csv(fresh, header(plan), lines(plan, ledger, Outgoing(plan)))
    with replacing(plan.place(".xlsx")) as fresh:
        write_xlsx(fresh, header(plan), lines(plan, ledger))
    _write_dead(plan, ledger)
    return written


def _write_dead(plan: Plan, ledger: Ledger) -> None:
    place = plan.place(".dead.csv")
    if not ledger.dead_rows():
        place.unlink(missing_ok=True)
        return
    names = [plan.file.row_column, "reason", "content"]
    known = ", ".join(plan.templates)
    told = (
        [item.number, f"its {plan.file.group_column} is none of {known}", json.dumps(item.row, ensure_ascii=False)]
        for item in ledger.dead()
    )
    with replacing(place) as fresh:
        write_csv(fresh, names, told)


def write_csv(path: Path, names: list[str], rows: Iterable[Line]) -> int:
    """A CSV file as spreadsheets read it: UTF-8 with its mark, lines as RFC 4180 ends them."""
    written = 0
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(map(safe_cell, names))
        for row in rows:
            writer.writerow(map(safe_cell, row))
            written += 1
        file.flush()
        os.fsync(file.fileno())
    return written


def write_xlsx(path: Path, names: list[str], rows: Iterable[Line]) -> None:
    """An XLSX file in bounded memory; a further sheet where one is full, a cell that is too long for Excel is cut."""
    from openpyxl import Workbook

    book: Any = Workbook(write_only=True)
    sheet = _sheet(book, 1, names)
    for at, row in enumerate(rows):
        if at and at % (MOST_XLSX_ROWS - 1) == 0:
            sheet = _sheet(book, at // (MOST_XLSX_ROWS - 1) + 1, names)
        sheet.append([_xlsx_cell(sheet, value) for value in row])
    book.save(path)


def _sheet(book: Any, number: int, names: list[str]) -> Any:
    sheet = book.create_sheet("answers" if number == 1 else f"answers {number}")
    sheet.freeze_panes = "A2"
    sheet.append([_xlsx_cell(sheet, name) for name in names])
    return sheet


def _xlsx_cell(sheet: Any, value: Any) -> Any:
    from openpyxl.cell import WriteOnlyCell

    made = safe_cell(value)
    if isinstance(made, int) and abs(made) > MOST_EXACT:
        made = str(made)
    if not isinstance(made, str):
        return made
    text: Any = WriteOnlyCell(sheet, value=_cut(made))
    text.data_type = "s"  # it takes a text such as #N/A for an error
    return text


def _cut(text: str) -> str:
    """What Excel takes of a text; it counts a character beyond the first 65,536, as an emoji, for two."""
    if 2 * len(text) <= LONGEST_XLSX:
        return text
    return text.encode("utf-16-le")[: 2 * LONGEST_XLSX].decode("utf-16-le", "ignore")


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A path to write to; its file takes the place of the other at the end, and never a part of it.

    Raises:
        StoreFailed: it cannot be written.
    """
    fresh = path.with_name(f".{path.name}.new")
    try:
        yield fresh
        fresh.replace(path)
    except (OSError, zipfile.LargeZipFile) as error:
        told = getattr(error, "strerror", None) or error
        raise StoreFailed(
            f"{path} cannot be written: {told}", fix="make room or correct the permissions, and run it again"
        ) from error
    finally:
        fresh.unlink(missing_ok=True)
