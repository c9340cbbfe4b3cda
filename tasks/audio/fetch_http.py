"""Recordings at http(s) addresses, without becoming a way into private networks."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit

from blocks.errors import BadInput, EngineUnavailable, NotAllowed, NotFound
from tasks.audio.sink import too_large

if TYPE_CHECKING:
    import httpx

MAX_REDIRECTS = 5
TIMEOUT_S = 30
CHUNK_BYTES = 1 << 16
DEFAULT_PORTS = {"http": 80, "https": 443}


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
    async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, verify=_trusted()) as client:
        for _ in range(MAX_REDIRECTS + 1):
            addresses = await _checked_addresses(url, allow_private)
            try:
                async with _answer(client, url, addresses) as response:
                    if not response.has_redirect_location:
                        _check(response.status_code, response.headers.get("content-length"), url, max_bytes)
                        async for chunk in response.aiter_bytes(CHUNK_BYTES):
                            yield chunk
                        return
                    url = _redirected(url, response.headers["location"])
            except httpx.InvalidURL as error:
                raise _no_address(url) from error
            except httpx.RequestError as error:
                raise EngineUnavailable(
                    f"{shown(url)} cannot be read: {str(error) or type(error).__name__}",
                    fix="check the address; try again later",
                ) from error
    raise BadInput(f"{shown(url)} redirects more than {MAX_REDIRECTS} times", fix="give the final address")


def _trusted() -> ssl.SSLContext:
    """Certificates of this machine (or SSL_CERT_FILE), where a company adds its own, and the public ones."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


@asynccontextmanager
async def _answer(client: "httpx.AsyncClient", url: str, addresses: list[str]) -> AsyncGenerator["httpx.Response"]:
    """The answer of the first of the addresses that takes a connection, its body still to be read."""
    import httpx

    for position, address in enumerate(addresses, start=1):
        try:
            response = await client.send(_pinned(client, url, address), stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if position == len(addresses):
                raise
            continue
        try:
            yield response
        finally:
            await response.aclose()
        return


def _redirected(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise _no_address(location) from error


def _pinned(client: "httpx.AsyncClient", url: str, address: str) -> "httpx.Request":
    """A request that goes to this very address, but asks for the name of the URL."""
    import httpx

    original = httpx.URL(url)
    return client.build_request(
        "GET",
        original.copy_with(host=address, fragment=None),
        headers={"Host": original.netloc.decode(), "Accept-Encoding": "identity"},
        extensions={"sni_hostname": original.raw_host.decode("ascii")},
    )


def _check(status: int, length: str | None, url: str, max_bytes: int) -> None:
    if status in (404, 410):
        raise NotFound(f"nothing is at {shown(url)}", fix="check the address", field="source")
    if status == 429 or status >= 500:
        raise EngineUnavailable(f"{shown(url)} answers {status}", fix="try again later")
    if status != 200:
        raise BadInput(f"{shown(url)} answers {status}", fix="check the address and its permissions", field="source")
    if length and length.isdigit() and int(length) > max_bytes:
        raise too_large(max_bytes)


async def _checked_addresses(url: str, allow_private: bool) -> list[str]:
    """The addresses of the host, after all of them were found to be public."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        if parts.scheme not in DEFAULT_PORTS or not host:
            raise _no_address(url)
        port = parts.port or DEFAULT_PORTS[parts.scheme]
    except ValueError as error:
        raise _no_address(url) from error
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that IDNA cannot encode
        raise _no_address(url) from error
    except socket.gaierror as error:
        raise EngineUnavailable(f"{host} cannot be resolved", fix="check the address; try again later") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not allow_private and not all(is_public(address) for address in addresses):
        raise NotAllowed(
            f"{host} is an address of a private network",
            fix="set ALLOW_PRIVATE_SOURCES=true if you trust who submits jobs",
            field="source",
        )
    return addresses


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet; wrapped IPv4 addresses are unwrapped first."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo or (None, None))[1]
        if inner is not None:
            return is_public(str(inner))
        if parsed in ipaddress.ip_network("64:ff9b::/96"):
            return is_public(str(ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)))
        if parsed.is_site_local:  # fec0::/10, given up but still routed by some
            return False
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


def shown(url: str) -> str:
    """The URL without user, password and query, which may be secrets (signed addresses)."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _no_address(url: str) -> BadInput:
    scheme, _, rest = url.partition("://")
    place = rest.rpartition("@")[2].partition("?")[0]
    return BadInput(f"{scheme}://{place} is no http(s) address", fix="give a full address", field="source")
