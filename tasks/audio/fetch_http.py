"""Recordings at http(s) addresses, without becoming a way into private networks."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from blocks.errors import BadInput, EngineUnavailable, NotAllowed, NotFound
from tasks.audio.fetch import too_large

if TYPE_CHECKING:
    import httpx

MAX_REDIRECTS = 5
TIMEOUT_S = 30
CHUNK_BYTES = 1 << 16
DEFAULT_PORTS = {"http": 80, "https": 443}


async def read_url(url: str, max_bytes: int, allow_private: bool) -> AsyncIterator[bytes]:
    """The content at an address, in pieces; every hop of a redirection is checked anew.

    Each hop is resolved once, and the connection goes to the very address that was checked, so
    that a name which changes its mind (DNS rebinding) gains nothing.

    Raises:
        NotAllowed, NotFound, BadInput, TooLarge, EngineUnavailable: see `fetch`.
    """
    import httpx

    async with httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False) as client:
        for _ in range(MAX_REDIRECTS + 1):
            address = await _checked_address(url, allow_private)
            request = _pinned(client, url, address)
            try:
                response = await client.send(request, stream=True)
                try:
                    if not response.is_redirect:
                        _check(response.status_code, response.headers.get("content-length"), url, max_bytes)
                        async for chunk in response.aiter_bytes(CHUNK_BYTES):
                            yield chunk
                        return
                    url = urljoin(url, response.headers["location"])
                finally:
                    await response.aclose()
            except httpx.TransportError as error:
                raise EngineUnavailable(
                    f"{_host(url)} cannot be reached: {error or type(error).__name__}",
                    fix="check the address; try again later",
                ) from error
    raise BadInput(f"{url} redirects more than {MAX_REDIRECTS} times", fix="give the final address", field="source")


def _pinned(client: "httpx.AsyncClient", url: str, address: str) -> "httpx.Request":
    """A request that goes to this very address, but asks for the name of the URL."""
    import httpx

    original = httpx.URL(url)
    return client.build_request(
        "GET",
        original.copy_with(host=address, fragment=None),
        headers={"Host": original.netloc.decode(), "Accept-Encoding": "identity"},
        extensions={"sni_hostname": original.host},
    )


def _check(status: int, length: str | None, url: str, max_bytes: int) -> None:
    if status in (404, 410):
        raise NotFound(f"nothing is at {url}", fix="check the address", field="source")
    if status == 429 or status >= 500:
        raise EngineUnavailable(f"{_host(url)} answers {status}", fix="try again later")
    if status != 200:
        raise BadInput(f"{url} answers {status}", fix="check the address and its permissions", field="source")
    if length and length.isdigit() and int(length) > max_bytes:
        raise too_large(max_bytes)


async def _checked_address(url: str, allow_private: bool) -> str:
    """One address of the host, after all of them were found to be public."""
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme not in DEFAULT_PORTS or not host:
        raise BadInput(f"{url} is no http(s) address", fix="give a full address", field="source")
    try:
        port = parts.port or DEFAULT_PORTS[parts.scheme]
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (ValueError, UnicodeError) as error:
        raise BadInput(f"{url} is no valid address", fix="correct it", field="source") from error
    except socket.gaierror as error:
        raise EngineUnavailable(f"{host} cannot be resolved", fix="check the address; try again later") from error
    addresses = [str(entry[4][0]) for entry in found]
    if not allow_private and not all(is_public(address) for address in addresses):
        raise NotAllowed(
            f"{host} is an address of a private network",
            fix="set ALLOW_PRIVATE_SOURCES=true if you trust who submits jobs",
            field="source",
        )
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet; wrapped IPv4 addresses are unwrapped first."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo or (None, None))[1]
        if inner is not None:
            return is_public(str(inner))
        if parsed in ipaddress.ip_network("64:ff9b::/96"):
            return is_public(str(ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)))
    return parsed.is_global and not parsed.is_multicast


def _host(url: str) -> str:
    return urlsplit(url).hostname or url
