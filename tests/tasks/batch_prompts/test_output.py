"""Written tables open in strict readers, the same cells in both forms, none of which a spreadsheet would run."""

import csv
import unicodedata
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from blocks.errors import StoreFailed
from blocks.rows.read import read_rows
from tasks.batch_prompts.cells import LONGEST_XLSX, safe_cell
from tasks.batch_prompts.columns import tidy
from tasks.batch_prompts.output import replacing, write_csv, write_xlsx

VIETNAMESE = "Nguyễn Thị Hồng Đào: giá 12.000₫, “rất tốt” ạ 👍"
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


@pytest.mark.parametrize(
    "text",
    [
        *("=1+1", "+84 912", "-x", "@SUM(1)", "\t=1", "\n=1", "＝1", "-1+2", "=", "+", "-"),
        *(" =1+1", "\u00a0=1", "\ufeff=1", "\u200b\u200d=1", "\u3000＝1", "  @SUM(1)", "﹦1", "﹫SUM(1)"),
    ],
)
def test_a_text_that_would_be_a_formula_begins_with_an_apostrophe(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", [-1, 2.5, True, None, "-12", "+3", "-1.5e3", "a=1", VIETNAMESE, "", "−5", "1-2"])
def test_numbers_and_harmless_texts_stay_as_they_are(value: Any) -> None:
    assert safe_cell(value) == value
    assert type(safe_cell(value)) is type(value)


def test_a_letter_and_its_mark_are_one_when_what_stood_between_is_gone() -> None:
    assert safe_cell("e\x00\u0301") == tidy("e\x00\u0301") == "é"


@given(st.text() | st.integers() | st.floats(allow_nan=False) | st.none())
def test_no_cell_begins_like_a_formula_and_every_text_is_in_nfc(value: Any) -> None:
    made = safe_cell(value)
    if isinstance(made, str):
        assert unicodedata.is_normalized("NFC", made)
        numeric = made.lstrip("+-").replace(".", "").replace(",", "").lower().replace("e", "").replace("-", "")
        assert not made.startswith(("=", "@", "\t", "\r")) or numeric == made
        assert not made.startswith(("+", "-")) or numeric.replace("+", "").isdigit()


def tables(folder: Path, names: list[str], rows: list[list[Any]]) -> tuple[list[list[str]], list[list[Any]]]:
    """The cells of the CSV and of the XLSX file that are written."""
    from openpyxl import load_workbook

    write_csv(folder / "a.csv", names, rows)
    write_xlsx(folder / "a.xlsx", names, rows)
    with (folder / "a.csv").open(encoding="utf-8-sig", newline="") as file:
        listed = list(csv.reader(file, strict=True))
    book: Any = load_workbook(folder / "a.xlsx")
    return listed, [[cell.value for cell in row] for row in book.active.iter_rows()]


def test_both_forms_have_the_same_cells_and_our_reader_gives_them_back(tmp_path: Path) -> None:
    names = ["row", "nhóm", "text", "score", "sure"]
    rows = [
        [1, "Bảo hành", VIETNAMESE, -3, True],
        [2, "=A1", 'two\nlines, "quoted"', 2.5, None],
        [3, "#N/A", "", 0, False],
    ]
    listed, cells = tables(tmp_path, names, rows)
    assert listed[1:] == [
        ["1", "Bảo hành", VIETNAMESE, "-3", "True"],
        ["2", "'=A1", 'two\nlines, "quoted"', "2.5", ""],
        ["3", "#N/A", "", "0", "False"],
    ]
    assert cells == [
        names,
        [1, "Bảo hành", VIETNAMESE, -3, True],
        [2, "'=A1", 'two\nlines, "quoted"', 2.5, None],
        [3, "#N/A", None, 0, False],
    ]
    assert [row["text"] for row in read_rows(str(tmp_path / "a.csv"))] == [VIETNAMESE, 'two\nlines, "quoted"', ""]
    assert [row["score"] for row in read_rows(str(tmp_path / "a.xlsx"))] == [-3, 2.5, 0]


def test_the_workbook_is_whole_and_holds_no_formula(tmp_path: Path) -> None:
    hostile = ["=1+1", "@SUM(A1)", "+1+1", "\t=1", '=HYPERLINK("http://x")', "\x00=1", "\ud800x", "_x003D_1", "#REF!"]
    tables(tmp_path, ["=name", "b"], [[text, 1] for text in hostile])
    with ZipFile(tmp_path / "a.xlsx") as book:
        assert book.testzip() is None
        parts = {name: book.read(name) for name in book.namelist()}
    assert {"[Content_Types].xml", "xl/workbook.xml", "xl/worksheets/sheet1.xml"} <= parts.keys()
    for name, content in parts.items():
        if name.endswith((".xml", ".rels")):
            etree.fromstring(content, etree.XMLParser(resolve_entities=False))
    sheet = etree.fromstring(parts["xl/worksheets/sheet1.xml"])
    assert not list(sheet.iter(f"{MAIN}f"))
    assert {cell.get("t") for cell in sheet.iter(f"{MAIN}c")} <= {"inlineStr", "n", "s", None}
    text = (tmp_path / "a.csv").read_text(encoding="utf-8-sig")
    assert not any(char in text for char in "\x00\ud800")


def test_a_cell_that_is_too_long_for_excel_is_cut_there_and_whole_in_the_csv_file(tmp_path: Path) -> None:
    listed, cells = tables(tmp_path, ["text"], [["ữ" * 40_000]])
    assert (len(listed[1][0]), len(cells[1][0])) == (40_000, LONGEST_XLSX)


def test_what_excel_counts_twice_is_cut_by_its_count(tmp_path: Path) -> None:
    _, cells = tables(tmp_path, ["text"], [["👍" * 20_000]])
    assert cells[1][0] == "👍" * (LONGEST_XLSX // 2)


def test_a_number_that_excel_would_round_is_a_text_there(tmp_path: Path) -> None:
    listed, cells = tables(tmp_path, ["id"], [[1234567890123456789], [-(10**15)], [10**15 - 1]])
    assert [row[0] for row in listed[1:]] == ["1234567890123456789", "-1000000000000000", "999999999999999"]
    assert [row[0] for row in cells[1:]] == ["1234567890123456789", "-1000000000000000", 999999999999999]


def test_what_fails_half_way_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("before")
    with pytest.raises(StoreFailed), replacing(path) as fresh:
        fresh.write_text("half")
        raise OSError(28, "No space left on device")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
