"""Data Docs of audits at `/quality`, for browsers: a page asks for a key once, and a cookie stands for it then."""

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
from blocks.keys import ApiKey, KeyRing, Scope
from blocks.progress import in_thread
from blocks.settings import settings
from blocks.store.files import Files
from deployments.gateway.routes.page import HEADERS
from deployments.gateway.web.auth import OPEN, needs
from deployments.gateway.web.browser_session import LASTS_S, issue, may_read

FOLDER = Path(__file__).with_name("quality")
SCOPE: Scope = "admin"
"""Audits tell of everybody's jobs."""

COOKIE = "c500_quality"
DOCS = "quality/docs"
PAGE = re.compile(r"/?(index\.html|periods/[0-9A-Za-z-]{1,64}\.html)")

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


@get("/quality/{page:path}", opt=OPEN, include_in_schema=False)
async def read_page(
    page: Annotated[str, PathParameter(description="A page of the site.")],
    request: Request[Any, Any, Any],
    files: NamedDependency[Files],
) -> Response[bytes]:
    """A page of Data Docs; without a valid cookie the page that asks for a key, under the same address."""
    key = await _key_of(request, files)
    if key is None:
        return Response(_static("sign-in.html"), status_code=401, media_type="text/html", headers=SIGN_IN_HEADERS)
    request.app.state.quotas.request(key)
    name = PAGE.fullmatch(page)
    if name is None:
        raise NotFound("there is no such page", fix="open /quality/index.html")
    return Response(await in_thread(_read, files, name[1]), media_type="text/html", headers=DOCS_HEADERS)


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
        secure=request.url.scheme == "https",
        # Not strict: a link in a message to the operators leads to the page. Nothing is changed by a GET.
        samesite="lax",
    )


async def _key_of(request: Request[Any, Any, Any], files: Files) -> ApiKey | None:
    """The key that the request's cookie stands for."""
    value = _cookie_of(request)
    if not value:
        return None
    static = settings().secret_api_key
    ring = KeyRing(files, static)
    keys = list(await in_thread(ring.list))
    if static is not None:
        keys.append(ring.check(static.get_secret_value()))
    return may_read(value, keys, static, SCOPE)


def _cookie_of(request: Request[Any, Any, Any]) -> str:
    try:
        morsel = SimpleCookie(request.headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _read(files: Files, name: str) -> bytes:
    try:
        return files.read_bytes(f"{DOCS}/{name}")
    except NotFound:
        raise NotFound("there is no such page", fix="audit the period: `c500 quality audit`") from None


handlers = [enter, sign_in_script, read_page, open_session, close_session]
