"""Cells of tables that spreadsheets open: texts that would be taken for formulas are made harmless."""

import json
import re
import unicodedata
from typing import Any

from blocks.rows.row import whole
from tasks.batch_prompts.columns import INVISIBLE

BEGINS_FORMULA = re.compile(r"[\t\r\n]|[\s\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]*[=+\-@＝＋－＠﹦﹢﹣﹫]")
"""What makes a spreadsheet take a text for a formula, or split it so that one begins (OWASP, «CSV Injection»).

Blanks and marks without width before it do not count: Excel leaves them out when it reads a cell.
"""

NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?")
"""A text that is nothing but a number is none."""

LONGEST_XLSX = 32_767
"""Characters of a cell that Excel takes."""


def safe_cell(value: Any) -> str | int | float | bool | None:
    """A value as it may stand in a table: numbers stay numbers, a dangerous text begins with an apostrophe."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # First without control characters: a letter and its mark may stand on both sides of one.
    text = unicodedata.normalize("NFC", whole(text).translate(dict.fromkeys(INVISIBLE - {0x0D})))
    return f"'{text}" if BEGINS_FORMULA.match(text) and not NUMBER.fullmatch(text) else text
