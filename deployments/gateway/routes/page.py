"""The status page at `/`: static files, no build step, nothing from elsewhere."""

from functools import cache
from pathlib import Path
from typing import Annotated

from litestar import Response, get
from litestar.params import PathParameter

from blocks.errors import NotFound
from deployments.gateway.web.auth import OPEN

FOLDER = Path(__file__).with_name("page")
MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}

HEADERS = {
    # Nothing inline, nothing from elsewhere, no markup made of text: a file name or transcript can run no script.
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "media-src blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-cache",
}


@cache
def page_files() -> dict[str, bytes]:
    """The files of the page by name."""
    return {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in MEDIA_TYPES}


@get("/", opt=OPEN, include_in_schema=False, sync_to_thread=False)
def index() -> Response[bytes]:
    """The page."""
    return _served("index.html")


@get("/page/{name:str}", opt=OPEN, include_in_schema=False, sync_to_thread=False)
def part(name: Annotated[str, PathParameter(description="A file of the page.")]) -> Response[bytes]:
    """What the page consists of."""
    return _served(name)


def _served(name: str) -> Response[bytes]:
    content = page_files().get(name)
    if content is None:
        raise NotFound("the page has no such file", fix="open / instead")
    return Response(content, media_type=MEDIA_TYPES[Path(name).suffix], headers=HEADERS)


handlers = [index, part]
