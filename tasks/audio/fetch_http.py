"""Recordings at http(s) addresses, without becoming a way into private networks."""

from collections.abc import AsyncGenerator
from urllib.parse import unquote, urljoin, urlsplit

from blocks.errors import BadInput, EngineUnavailable, NotAllowed, NotFound
from blocks.pinned_http import pinned_answer, trusted_certificates
from blocks.web_address import DEFAULT_PORTS, WebAddress, resolved
from tasks.audio.sink import too_large

MAX_REDIRECTS = 5
TIMEOUT_S = 30
CHUNK_BYTES = 1 << 16


def name_of(url: str) -> str:
    """The last part of the URL's path, decoded; the host when there is none."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _no_address(url) from error
    return unquote(parts.path).rsplit("/", 1)[-1] or parts.hostname or url


async def read_url(url: str, max_bytes: int, allow_private: bool) -> AsyncGenerator[bytes]:
    """The content at an address, in pieces; every hop of a redirection is checked anew.

    Each hop is resolved once, and the connection goes to the very address that was checked, so
    that a name which changes its mind (DNS rebinding) gains nothing.

    Raises:
        NotAllowed, NotFound, BadInput, TooLarge, EngineUnavailable: see `fetch`.
    """
    import httpx

    # No proxy from the environment: it would resolve the name again, by itself.
    async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, verify=trusted_certificates()) as client:
        for _ in range(MAX_REDIRECTS + 1):
            address = _address(url)
            ips = await _checked_ips(address, allow_private)
            try:
                async with pinned_answer(client, "GET", address, ips) as response:
                    if not response.has_redirect_location:
                        _check(response.status_code, response.headers.get("content-length"), url, max_bytes)
                        async for chunk in response.aiter_bytes(CHUNK_BYTES):
                            yield chunk
                        return
                    url = _redirected(url, response.headers["location"])
            except httpx.RequestError as error:
                raise EngineUnavailable(
                    f"{shown(url)} cannot be read: {str(error) or type(error).__name__}",
                    fix="check the address; try again later",
                ) from error
    raise BadInput(f"{shown(url)} redirects more than {MAX_REDIRECTS} times", fix="give the final address")


def _redirected(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise _no_address(location) from error


def _check(status: int, length: str | None, url: str, max_bytes: int) -> None:
    if status in (404, 410):
        raise NotFound(f"nothing is at {shown(url)}", fix="check the address", field="source")
    if status == 429 or status >= 500:
        raise EngineUnavailable(f"{shown(url)} answers {status}", fix="try again later")
    if status != 200:
        raise BadInput(f"{shown(url)} answers {status}", fix="check the address and its permissions", field="source")
    if length and length.isdigit() and int(length) > max_bytes:
        raise too_large(max_bytes)


def _address(url: str) -> WebAddress:
    """An address as a person gives it: unlike those of models it may hold a password, and is shown by `shown`."""
    import httpx

    try:
        parsed = httpx.URL(url).copy_with(fragment=None)
    except httpx.InvalidURL as error:
        raise _no_address(url) from error
    host, port = parsed.raw_host.decode("ascii"), parsed.port or DEFAULT_PORTS.get(parsed.scheme, 0)
    if parsed.scheme not in DEFAULT_PORTS or not host or port > 65_535:
        raise _no_address(url)
    return WebAddress(str(parsed), parsed.scheme, host, port)


async def _checked_ips(address: WebAddress, allow_private: bool) -> list[str]:
    """The IP addresses of the host, after all of them were found to be public."""
    try:
        return await resolved(address, private=allow_private)
    except BadInput as error:  # a label that is too long
        raise _no_address(address.url) from error
    except NotAllowed as error:
        fix = "set ALLOW_PRIVATE_SOURCES=true if you trust who submits jobs"
        raise NotAllowed(error.message, fix=fix, field="source") from error


def shown(url: str) -> str:
    """The URL without user, password and query, which may be secrets (signed addresses)."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _no_address(url: str) -> BadInput:
    scheme, _, rest = url.partition("://")
    place = rest.rpartition("@")[2].partition("?")[0]
    return BadInput(f"{scheme}://{place} is no http(s) address", fix="give a full address", field="source")
