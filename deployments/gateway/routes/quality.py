"""Data Docs and reports at `/quality`, for browsers: a page asks for a key once, and a cookie stands for it then."""

import re
from functools import cache
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Annotated, Any

from litestar import Request, Response, delete, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import PathParameter
from litestar.response import Redirect

from blocks.errors import NotFound
from blocks.keys import ApiKey, Scope
from blocks.progress import in_thread
from blocks.settings import settings
from blocks.store.files import Files
from deployments.gateway.routes.page import HEADERS
from deployments.gateway.web.auth import OPEN, LiveKeys, needs
from deployments.gateway.web.browser_session import LASTS_S, issue, may_read

FOLDER = Path(__file__).with_name("quality")
SCOPE: Scope = "admin"
"""Audits tell of everybody's jobs."""

COOKIE = "c500_quality"
DOCS = "quality/docs/"
REPORTS = "reports/"
PAGE = re.compile(r"/?(index\.html|periods/[0-9A-Za-z-]{1,64}\.html)")
REPORT = re.compile(r"/?(index\.html|(?:day|week|span)/[A-Za-z0-9][A-Za-z0-9.-]{0,99}/report\.html)")

DOCS_HEADERS = HEADERS | {
    # The pages are of the store and have one style each, which their own policy names by its hash.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "private, no-cache",
    "Vary": "Cookie",
}

SIGN_IN_HEADERS = HEADERS | {"Cache-Control": "no-store"}


@cache
def _static(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


@get("/quality", opt=OPEN, include_in_schema=False, sync_to_thread=False)
def enter() -> Redirect:
    """To the first page, to which the links of all pages are relative."""
    return Redirect("/quality/index.html", status_code=303)


@get("/quality/sign-in.js", opt=OPEN, include_in_schema=False, sync_to_thread=False)
def sign_in_script() -> Response[bytes]:
    """What the page that asks for a key does."""
    return Response(_static("sign-in.js"), media_type="text/javascript", headers=HEADERS)


@get("/reports/{page:path}", opt=OPEN, include_in_schema=False, sync_to_thread=False)
def lead_to_report(page: Annotated[str, PathParameter(description="A report.")]) -> Redirect:
    """To a report: in the store, where the links of Data Docs lead there from, both lie a folder deeper than here."""
    name = REPORT.fullmatch(page)
    if name is None:
        raise NotFound("there is no such page", fix="open /quality/index.html")
    return Redirect(f"/quality/reports/{name[1]}", status_code=303)


@get("/quality/reports/{page:path}", opt=OPEN, include_in_schema=False)
async def read_report(
    page: Annotated[str, PathParameter(description="A report, or the list of all.")],
    request: Request[Any, Any, Any],
    files: NamedDependency[Files],
) -> Response[bytes]:
    """A report of operations, as a page of Data Docs."""
    return await _served(request, files, REPORT.fullmatch(page), REPORTS, "make the report: `c500 report`")


@get("/quality/{page:path}", opt=OPEN, include_in_schema=False)
async def read_page(
    page: Annotated[str, PathParameter(description="A page of the site.")],
    request: Request[Any, Any, Any],
    files: NamedDependency[Files],
) -> Response[bytes]:
    """A page of Data Docs; without a valid cookie the page that asks for a key, under the same address."""
    return await _served(request, files, PAGE.fullmatch(page), DOCS, "audit the period: `c500 quality audit`")


async def _served(
    request: Request[Any, Any, Any], files: Files, name: re.Match[str] | None, folder: str, fix: str
) -> Response[bytes]:
    key = await _key_of(request)
    if key is None:
        return Response(_static("sign-in.html"), status_code=401, media_type="text/html", headers=SIGN_IN_HEADERS)
    request.app.state.quotas.request(key)
    if name is None:
        raise NotFound("there is no such page", fix="open /quality/index.html")
    content = await in_thread(_read, files, f"{folder}{name[1]}", fix)
    return Response(content, media_type="text/html", headers=DOCS_HEADERS)


@post(
    "/v1/quality/session",
    opt=needs(SCOPE),
    operation_id="openQualitySession",
    summary="A cookie for the Data Docs",
    tags=["quality"],
    status_code=204,
    request_max_body_size=1_000,
)
async def open_session(request: Request[Any, Any, Any], key: NamedDependency[ApiKey]) -> Response[None]:
    """Have the browser that asks open the pages under `/quality` for eight hours, or until the key is revoked."""
    return Response(None, status_code=204, cookies=[_cookie(request, issue(key, settings().secret_api_key), LASTS_S)])


@delete(
    "/v1/quality/session",
    opt=needs(SCOPE),
    operation_id="closeQualitySession",
    summary="Forget the cookie for the Data Docs",
    tags=["quality"],
    status_code=204,
)
async def close_session(request: Request[Any, Any, Any]) -> Response[None]:
    """Have the browser forget the cookie."""
    return Response(None, status_code=204, cookies=[_cookie(request, "", 0)])


def _cookie(request: Request[Any, Any, Any], value: str, lasts_s: int) -> Cookie:
    return Cookie(
        key=COOKIE,
        value=value,
        max_age=lasts_s,
        path="/quality",
        httponly=True,
        # Behind a proxy that ends TLS the request itself is plain; the browser says what it sees.
        secure="https" in (request.url.scheme, request.headers.get("origin", "").partition(":")[0]),
        # Not strict: a link in a message to the operators leads to the page. Nothing is changed by a GET.
        samesite="lax",
    )


async def _key_of(request: Request[Any, Any, Any]) -> ApiKey | None:
    """The key that the request's cookie stands for."""
    value = _cookie_of(request)
    if not value:
        return None
    # Anybody may send a cookie: those that are wrong must not each have the keys read from the store.
    live: LiveKeys = request.app.state.live_keys
    return may_read(value, await live.known(), settings().secret_api_key, SCOPE)


def _cookie_of(request: Request[Any, Any, Any]) -> str:
    try:
        morsel = SimpleCookie(request.headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _read(files: Files, key: str, fix: str) -> bytes:
    try:
        return files.read_bytes(key)
    except NotFound:
        raise NotFound("there is no such page", fix=fix) from None


handlers = [enter, sign_in_script, lead_to_report, read_report, read_page, open_session, close_session]
