"""Written tables open in LibreOffice itself: every cell as it was, and none of them a formula."""

import csv
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from tasks.batch_prompts.cells import safe_cell
from tasks.batch_prompts.output import write_csv, write_xlsx

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(shutil.which("soffice") is None, reason="needs Debian's libreoffice-calc-nogui"),
]

NAMES = ["mã", "câu trả lời", "điểm"]
TEXTS = [
    "Nguyễn Thị Hồng Đào: giá 12.000₫, “rất tốt” ạ",
    "=1+1",
    " =HYPERLINK(A1)",
    "＝cmd|' /C calc'!A0",
    "@SUM(1)",
    "+84 912 345",
    "-x",
    "\t=1",
    'two\nlines, "quoted"; and more',
    "=1;=2",
]


def converted(path: Path, to: str, *options: str) -> Path:
    """A file as LibreOffice writes it in another form."""
    folder = path.parent / f"as-{to}"
    profile = f"-env:UserInstallation=file://{path.parent}/profile"
    form = f"{to}{options[0] if options else ''}"
    command = ["soffice", profile, "--headless", "--convert-to", form, *options[1:], "--outdir", str(folder), str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return folder / f"{path.stem}.{to}"


def rows() -> list[list[Any]]:
    return [[number, text, -2.5] for number, text in enumerate(TEXTS, 1)]


def test_the_xlsx_has_every_cell_and_no_formula(tmp_path: Path) -> None:
    write_xlsx(tmp_path / "a.xlsx", NAMES, rows())
    shown = converted(tmp_path / "a.xlsx", "csv", ":Text - txt - csv (StarCalc):44,34,76")
    with shown.open(encoding="utf-8", newline="") as file:
        header, *lines = csv.reader(file)
    assert header == NAMES
    assert [line[1] for line in lines] == [safe_cell(text) for text in TEXTS]
    assert [line[2] for line in lines] == ["-2.5"] * len(TEXTS)


def test_the_csv_is_read_without_a_formula(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", NAMES, rows())
    opened = converted(tmp_path / "a.csv", "xlsx", "", "--infilter=Text - txt - csv (StarCalc):44,34,76")
    cells = [cell for row in load_workbook(opened).active.iter_rows(min_row=2) for cell in row]  # type: ignore[union-attr]
    assert [cell.coordinate for cell in cells if cell.data_type == "f"] == []
    assert [cell.value for cell in cells if cell.column == 2] == [safe_cell(text) for text in TEXTS]
