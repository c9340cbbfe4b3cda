"""Rows come out of every format as they went in, and what is wrong with one is told with its number."""

import json
import random
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.errors import BadInput, NotFound, Unsupported
from blocks.rows.read import read_rows
from blocks.rows.row import plain

ROWS = [
    {"id": 1, "text": "Tốt, giao nhanh", "note": None},
    {"id": 2, "text": 'two\nlines, "quoted"', "note": "x"},
    {"id": 3, "text": "", "note": "y"},
]


def as_csv(path: Path, **how: Any) -> Path:
    import csv

    with path.open("w", encoding=how.get("encoding", "utf-8"), newline="") as file:
        writer = csv.DictWriter(file, list(ROWS[0]), delimiter=how.get("delimiter", ","))
        writer.writeheader()
        writer.writerows(ROWS)
    return path


def as_jsonl(path: Path) -> Path:
    path.write_text("\n\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS) + "\n", encoding="utf-8-sig")
    return path


def as_parquet(path: Path) -> Path:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), path, row_group_size=2)
    return path


def as_xlsx(path: Path) -> Path:
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    for line in (list(ROWS[0]), *(list(row.values()) for row in ROWS)):
        sheet.append(line)
    book.create_sheet("another").append(["not read"])
    book.save(path)
    return path


@pytest.mark.parametrize(
    ("make", "name"), [(as_jsonl, "r.jsonl"), (as_jsonl, "r.NDJSON"), (as_parquet, "r.parquet"), (as_xlsx, "r.xlsx")]
)
def test_typed_formats_keep_the_values(make: Callable[[Path], Path], name: str, tmp_path: Path) -> None:
    found = list(read_rows(str(make(tmp_path / name))))
    assert found == [row | {"text": row["text"] or (None if name == "r.xlsx" else "")} for row in ROWS]


def with_formula(path: Path, cell: str) -> Path:
    """A workbook whose B2 is this element: what openpyxl, Excel or LibreOffice writes."""
    made = as_xlsx(path.with_name("made.xlsx"))
    with ZipFile(made) as whole, ZipFile(path, "w", ZIP_DEFLATED) as changed:
        for name in whole.namelist():
            content = whole.read(name)
            if name == "xl/worksheets/sheet1.xml":
                content, count = re.subn(rb'<c r="B2"[^>]*>.*?</c>', cell.encode(), content)
                assert count == 1
            changed.writestr(name, content)
    return path


@pytest.mark.parametrize("value", ["<v></v>", "<v/>", ""])
def test_a_formula_that_nobody_has_computed_is_told_with_its_cell(value: str, tmp_path: Path) -> None:
    path = with_formula(tmp_path / "rows.xlsx", f'<c r="B2"><f>1+1</f>{value}</c>')
    with pytest.raises(BadInput, match="cell B2 has a formula and no value") as raised:
        list(read_rows(str(path)))
    assert "open the file in a spreadsheet" in raised.value.fix


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ('<c r="B2"><f>1+1</f><v>2</v></c>', 2),
        ('<c r="B2" t="str"><f>""</f><v></v></c>', None),
        ('<c r="B2" t="str"><f>"a"</f><v>a</v></c>', "a"),
    ],
)
def test_the_stored_value_of_a_formula_counts(cell: str, value: object, tmp_path: Path) -> None:
    path = with_formula(tmp_path / "rows.xlsx", cell)
    assert next(iter(read_rows(str(path))))[list(ROWS[0])[1]] == value


def test_a_formula_that_openpyxl_writes_is_told(tmp_path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    for line in (["a", "b"], [1, "=A2+1"]):
        book.active.append(line)
    book.save(tmp_path / "rows.xlsx")
    with pytest.raises(BadInput, match="cell B2"):
        list(read_rows(str(tmp_path / "rows.xlsx")))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_csv_gives_texts_whatever_separates_them(delimiter: str, encoding: str, tmp_path: Path) -> None:
    path = as_csv(tmp_path / "rows.csv", delimiter=delimiter, encoding=encoding)
    assert list(read_rows(str(path))) == [
        {name: "" if value is None else str(value) for name, value in row.items()} for row in ROWS
    ]


def test_a_list_may_hold_rows_and_texts() -> None:
    assert list(read_rows(["one", {"text": "two"}])) == [{"text": "one"}, {"text": "two"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n3\n", "row 2: it has 1 fields, and the first line names 2"),
        (b"a,a\n1,2\n", "two columns are named a"),
        (b"a,b\n1,2\n1,\xff\n", "row 2 is not UTF-8"),
        (b"a,b\n" + b"1,2\n" * 50_000 + b'"\n\n",\xc3\n1,2\n', "row 50001 is not UTF-8"),
        (b"a,b\n1,\xed\xa0\x80\n", "row 1 is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "the first line of rows.csv is not UTF-8"),
        (b'a,b\n1,"' + b"x" * (17 * 2**20), "row 1: field larger than field limit"),
    ],
)
def test_a_wrong_csv_is_told(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(content)
    with pytest.raises(BadInput, match=message):
        list(read_rows(str(tmp_path / "rows.csv")))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a":1}\n{"a":\n', "row 2: it is no JSON"),
        (b'{"a":1}\n[1]\n', "row 2: it is list"),
        (b'{"a":1}\n\n"\xff"\n', "row 2 is not UTF-8"),
        (b"[" * 100_000 + b"\n", "row 1: it is no JSON"),
        (b'{"a":1}\n{"a":' + b"[" * 500 + b"]" * 500 + b"}\n", "row 2: it is nested too deep"),
        (b'{"a":"' + b"x" * (17 * 2**20) + b'"}\n', "row 1: it is over"),
    ],
)
def test_wrong_json_lines_are_told(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(content)
    with pytest.raises(BadInput, match=message):
        list(read_rows(str(tmp_path / "rows.jsonl")))


@pytest.mark.parametrize("name", ["rows.parquet", "rows.xlsx"])
def test_a_damaged_table_is_told(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(BadInput, match=r"is no (Parquet|XLSX) file"):
        list(read_rows(str(tmp_path / name)))


@pytest.mark.parametrize("part", ["xl/workbook.xml", "xl/worksheets/sheet1.xml", "xl/_rels/workbook.xml.rels"])
def test_a_workbook_with_a_torn_part_is_told(part: str, tmp_path: Path) -> None:
    path = as_xlsx(tmp_path / "rows.xlsx")
    with ZipFile(path) as whole, ZipFile(tmp_path / "torn.xlsx", "w", ZIP_DEFLATED) as torn:
        for name in whole.namelist():
            content = whole.read(name)
            torn.writestr(name, content[: len(content) // 2] if name == part else content)
    with pytest.raises(BadInput, match="is no XLSX file"):
        list(read_rows(str(tmp_path / "torn.xlsx")))


@pytest.mark.parametrize("seed", range(20))
def test_a_workbook_with_wrong_bytes_is_told_or_read(seed: int, tmp_path: Path) -> None:
    chance, path = random.Random(seed), as_xlsx(tmp_path / "rows.xlsx")
    content = bytearray(path.read_bytes())
    for _ in range(30):
        content[chance.randrange(len(content) - 500)] = chance.randrange(256)  # the table of contents stays
    path.write_bytes(content)
    with suppress(BadInput):  # and nothing else is raised; some bytes do not matter
        list(read_rows(str(path)))


def test_a_parquet_file_with_wrong_bytes_is_told_or_read(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "rows.parquet"
    parquet.write_table(pyarrow.table({"id": list(range(300)), "text": [f"row {n} of it" for n in range(300)]}), path)
    whole = path.read_bytes()
    for seed in range(200):
        chance, content = random.Random(seed), bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)
        with suppress(BadInput):
            list(read_rows(str(path)))


def test_a_workbook_without_its_sheets_is_told(tmp_path: Path) -> None:
    path = as_xlsx(tmp_path / "rows.xlsx")
    with ZipFile(path) as whole, ZipFile(tmp_path / "cut.xlsx", "w", ZIP_DEFLATED) as cut:
        for name in whole.namelist():
            if "worksheets/" not in name:
                cut.writestr(name, whole.read(name))
    with pytest.raises(BadInput):
        list(read_rows(str(tmp_path / "cut.xlsx")))


def test_cells_beyond_what_the_workbook_declares_are_read(tmp_path: Path) -> None:
    path = as_xlsx(tmp_path / "rows.xlsx")
    with ZipFile(path) as whole, ZipFile(tmp_path / "wrong.xlsx", "w", ZIP_DEFLATED) as wrong:
        for name in whole.namelist():
            wrong.writestr(name, whole.read(name).replace(b'<dimension ref="A1:C4"', b'<dimension ref="A1"'))
    assert len(list(read_rows(str(tmp_path / "wrong.xlsx")))) == len(ROWS)


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_the_row_that_is_no_utf8_is_named_for_programs_too(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b'"a"\n"b"\n"c\xff"\n')
    with pytest.raises(BadInput) as told:
        list(read_rows(str(tmp_path / name)))
    assert told.value.details["row"] == (2 if name == "rows.csv" else 3)


def test_other_files_and_missing_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="no format"):
        list(read_rows("rows.doc"))
    with pytest.raises(NotFound):
        list(read_rows(str(tmp_path / "rows.csv")))


def test_values_json_cannot_hold_become_texts_or_nothing() -> None:
    made = plain(
        {
            "when": datetime(2026, 11, 21, tzinfo=UTC),
            "day": date(2026, 11, 21),
            "much": Decimal("1.50"),
            "raw": b"\x00\xff",
            "nan": float("nan"),
            "half": "a\ud83d!",
            1: (1, [2]),
        }
    )
    assert made == {
        "when": "2026-11-21T00:00:00+00:00",
        "day": "2026-11-21",
        "much": "1.50",
        "raw": "AP8=",
        "nan": None,
        "half": "a\ufffd!",
        "1": [1, [2]],
    }


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text() | st.floats(), max_size=5))
def test_every_plain_row_can_be_sent(row: dict[str, Any]) -> None:
    json.dumps(plain(row), allow_nan=False, ensure_ascii=False).encode()
