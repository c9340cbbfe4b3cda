"""Pages that are files of their own: one frame and one palette for all, no script, nothing fetched."""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from html import escape
from pathlib import Path

from blocks.plain_text import plain

SHARED = Path(__file__).with_suffix(".css")


def document(title: str, body: str, style: Path) -> str:
    """A whole page, under a content policy that refuses scripts and everything from elsewhere.

    Args:
        title: Any text.
        body: The content as HTML, in which what came from outside is escaped already.
        style: A CSS file with the style that is this page's own, which follows the shared one.
    """
    sheet = _sheet(style)
    digest = b64encode(sha256(sheet.encode()).digest()).decode()
    # Not frame-ancestors: browsers want that in a header, and complain of it here.
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
        # Without an icon of their own browsers ask the server for one.
        f'<link rel="icon" href="data:,"><title>{escape(plain(title))}</title><style>{sheet}</style></head>'
        f"<body>{body}</body></html>\n"
    )


@cache
def _sheet(own: Path) -> str:
    return SHARED.read_text(encoding="utf-8") + own.read_text(encoding="utf-8")
