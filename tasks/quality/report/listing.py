"""The page that names all reports of operations, from which each opens."""

import re
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

from blocks.page import document
from blocks.store.files import Files

KEPT = "reports"
INDEX = f"{KEPT}/index.html"
PAGE = re.compile(r"reports/(day|week|span)/([A-Za-z0-9][A-Za-z0-9.-]{0,99})/report\.html")
TITLES = {"day": "Days", "week": "Weeks", "span": "Other periods"}
MOST = 400
"""Reports of one kind on the page: more than a year of days."""

STYLE = Path(__file__).with_name("page.css")


def publish_listing(files: Files) -> None:
    """Write the page anew, of the reports that the store has now. Raises `StoreFailed`."""
    with files.lock(KEPT):
        files.put_bytes(INDEX, listing_page(files.list(f"{KEPT}/")).encode(), "text/html; charset=utf-8")


def listing_page(keys: Iterable[str]) -> str:
    """The page.

    Args:
        keys: Of all files of reports.
    """
    return document("Reports of operations", "".join(_content(keys)), STYLE)


def _content(keys: Iterable[str]) -> Iterator[str]:
    yield "<header><h1>Reports of operations</h1></header><main>"
    found = [one for key in keys if (one := PAGE.fullmatch(key))]
    for kind, title in TITLES.items():
        names = sorted((one[2] for one in found if one[1] == kind), reverse=True)[:MOST]
        if names:
            yield f"<section><h2>{title}</h2><nav><ul>"
            yield from (f'<li><a href="{kind}/{escape(name)}/report.html">{escape(name)}</a></li>' for name in names)
            yield "</ul></nav></section>"
    yield "</main>"
