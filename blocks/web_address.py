"""Addresses on the web that come from outside: which host they mean, and whether it is a public one."""

import asyncio
import ipaddress
import re
import socket
from typing import NamedTuple
from urllib.parse import urljoin

from blocks.errors import BadInput, EngineUnavailable, NotAllowed

DEFAULT_PORTS = {"http": 80, "https": 443}
MOST_CHARS = 4096
"""Of an address."""

UNSAFE = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029\ufeff]")
"""What programs read differently from one another in an address: blanks, control characters, backslashes."""

NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+", re.IGNORECASE)

NAT64 = ipaddress.ip_network("64:ff9b::/96")


class WebAddress(NamedTuple):
    """An http(s) address, taken apart by the library that will connect to it.

    Attributes:
        url: The address without a fragment; its host in lower case and IDNA form.
        scheme: `http` or `https`.
        host: A name or an IP address, without brackets.
        port: Also where the address names none.
    """

    url: str
    scheme: str
    host: str
    port: int

    @property
    def place(self) -> str:
        """`host:port`, as rules name it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def shown(self) -> str:
        """The address without its query, which may hold secrets."""
        return self.url.partition("?")[0]

    def joined(self, location: str) -> "WebAddress":
        """Where a redirection from here leads. Raises `BadInput`."""
        try:
            return web_address(urljoin(self.url, location))
        except ValueError as error:
            raise _no_address(location) from error


def web_address(url: str) -> WebAddress:
    """Take an address apart.

    Raises:
        BadInput: it is no http(s) address, holds a password, or means its host in a way that rules cannot see.
    """
    import httpx

    if len(url) > MOST_CHARS or UNSAFE.search(url):
        raise _no_address(url)
    try:
        parsed = httpx.URL(url).copy_with(fragment=None)
        host = parsed.raw_host.decode("ascii").removesuffix(".").strip("[]")
        port = DEFAULT_PORTS.get(parsed.scheme, 0) if parsed.port is None else parsed.port
        if parsed.scheme not in DEFAULT_PORTS or not host or "%" in host or not 0 < port < 65_536:
            raise _no_address(url)
        host = str(literal(host) or host)  # of IPv6 addresses, the short form
        parsed = parsed.copy_with(host=host)
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise _no_address(url) from error
    if parsed.userinfo:
        raise BadInput(
            f"the address of {host} holds a user or a password", fix="leave out what stands before the @", field="url"
        )
    _check_number(host)
    return WebAddress(str(parsed), parsed.scheme, host, port)


def _check_number(host: str) -> None:
    """`2130706433`, `0x7f.1` and `127.1` all are 127.0.0.1 to the resolver, which no rule would see."""
    if NUMBER.fullmatch(host.rpartition(".")[2]) and literal(host) is None:
        raise BadInput(f"{host} is an IP address in disguise", fix="write it as four decimal numbers", field="url")


def literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that the host is; None for a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def check_literal(address: WebAddress, *, private: bool) -> None:
    """Refuse an IP address of a private network. Raises `NotAllowed`."""
    if not private and literal(address.host) is not None and not is_public(address.host):
        raise _is_private(address)


async def resolved(address: WebAddress, *, private: bool) -> list[str]:
    """The IP addresses of a host, each of them public unless private ones are allowed.

    Who connects to one of them, not to the name, is safe from names that change their mind (DNS rebinding).

    Raises:
        NotAllowed: one of them is private.
        EngineUnavailable: the name cannot be resolved.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is too long
        raise _no_address(address.url) from error
    except socket.gaierror as error:
        told = f"{address.host} cannot be resolved"
        raise EngineUnavailable(told, fix="check the address; try again later") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not private and not all(map(is_public, addresses)):
        raise _is_private(address)
    return addresses


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet; wrapped IPv4 addresses are unwrapped first."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo or (None, None))[1]
        if inner is not None:
            return is_public(str(inner))
        if parsed in NAT64:
            return is_public(str(ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)))
        if parsed.is_site_local:  # fec0::/10, given up but still routed by some
            return False
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


def _is_private(address: WebAddress) -> NotAllowed:
    return NotAllowed(
        f"{address.host} is an address of a private network",
        fix="use a public address; the operator can allow this one by its host and port",
        field="url",
    )


def _no_address(url: str) -> BadInput:
    scheme, _, rest = url.partition("://")
    place = rest.rpartition("@")[2].partition("?")[0]
    shown = ascii(f"{scheme[:20]}://{place[:200]}")
    return BadInput(f"{shown} is no http(s) address", fix="give a full address, as https://host/path", field="url")
