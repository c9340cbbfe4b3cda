"""Hosts that rules name: names, names below a domain, IP addresses and networks, each with its ports."""

import ipaddress
import re
import socket
from functools import lru_cache
from typing import Annotated, NamedTuple

from pydantic import AfterValidator

from blocks.errors import BadInput
from blocks.web_address import NAT64, NUMBER, is_public, literal, web_address

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

WEB_PORTS = frozenset({80, 443})
"""What an allowed host is allowed on where its rule names no port."""

PRIVATE_ENDINGS = (
    *(".localhost", ".localdomain", ".local", ".internal", ".intranet", ".private", ".corp", ".home", ".lan"),
    *(".home.arpa", ".svc", ".consul"),
)
"""Names that are given out inside of networks only. RFC 6761, 6762, 8375, ICANN's .internal (2024), Kubernetes."""

PLACE = re.compile(r"(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?)(?::(?P<port>[0-9]{1,5}))?")
LONGEST = 300
"""Characters of a host with its port; a name has 253 at most (RFC 1035)."""

JOINTS = re.compile(r"[=,@]")
PATH = re.compile(r"[/?#]")
IN_URL = re.compile(r"[a-z][a-z0-9+.-]{0,30}://(?:[^/\s@]{0,255}@)?([^/\s?#@]{1,300})", re.IGNORECASE)


class Host(NamedTuple):
    """A place to connect to.

    Attributes:
        name: In lower case; of an IP address its usual form.
        port: None where nobody said.
    """

    name: str
    port: int | None

    @property
    def ip(self) -> Ip | None:
        """The IP address that it is."""
        return literal(self.name)

    @property
    def is_private(self) -> bool:
        """Whether it is, by its address or its name, of this machine or a private network."""
        if self.ip is not None:
            return not is_public(self.name)
        return "." not in self.name or self.name.endswith(PRIVATE_ENDINGS)


def host_of(place: str) -> Host:
    """A place that an action connects to, `host:port`.

    Raises:
        ValueError: it is none in lower case and IDNA form, or an IP address in disguise.
    """
    found = PLACE.fullmatch(place)
    if found is None:
        raise ValueError(f"{ascii(place)[:120]} is no host in its plain form")
    port = int(found["port"] or 0) or None  # 0: nobody said
    if port is not None and port > 65_535:
        raise ValueError(f"{place} has no such port")
    if found["six"]:
        return Host(str(ipaddress.IPv6Address(found["six"])), port)
    name = found["name"]
    if NUMBER.fullmatch(name.rpartition(".")[2]) and literal(name) is None:
        raise ValueError(f"{name} is an IP address in disguise")
    return Host(name, port)


class Pattern(NamedTuple):
    """Hosts that a rule names.

    Attributes:
        name: `*` for all, `.domain` for those below it, or the host.
        network: IP addresses.
        ports: None for those of the web, empty for all.
    """

    name: str
    network: Network | None
    ports: frozenset[int] | None

    def may_be(self, host: Host) -> bool:
        """Whether a host may be one of these, however its address is wrapped."""
        if self.ports and host.port is not None and host.port not in self.ports:
            return False
        if self.network is not None:
            return any(one in self.network for one in _unwrapped(host.ip))
        return self.name == "*" or self._is_named(host)

    def is_surely(self, host: Host) -> bool:
        """Whether a host is one of these: an IP address only where it is named as one."""
        ports = WEB_PORTS if self.ports is None else self.ports
        if ports and host.port not in ports:
            return False
        if self.network is not None:
            return host.ip is not None and host.ip in self.network
        return host.ip is None and (self.name == "*" or self._is_named(host))

    def _is_named(self, host: Host) -> bool:
        return host.name.endswith(self.name) if self.name.startswith(".") else host.name == self.name


@lru_cache(maxsize=1024)
def host_pattern(text: str) -> Pattern:
    """The hosts that a text names: `host`, `*.domain`, `*`, an IP address or network; `:PORT` or `:*` behind.

    Raises:
        ValueError: it is none.
    """
    name, port = _split(text.strip().lower())
    ports = None if port is None else frozenset[int]() if port == "*" else frozenset({_port(port)})
    if name == "*":
        return Pattern("*", None, ports)
    if (network := _network(name)) is not None:
        return Pattern("", network, ports)
    below = name.startswith("*.")
    plain = _plain(name.removeprefix("*."))
    return Pattern(f".{plain}" if below else plain, None, ports)


def _split(text: str) -> tuple[str, str | None]:
    if text.startswith("["):
        name, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise ValueError("an IPv6 address stands in brackets, and its port behind them")
        return name, rest[1:] if rest else None
    if text.count(":") > 1:
        return text, None
    name, colon, port = text.partition(":")
    return name, port if colon else None


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65_536:
        raise ValueError("a port is a number up to 65535, or * for all")
    return int(text)


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        if "/" in text or ":" in text:
            raise ValueError("it is no IP address, network or host; leave out https:// and what follows it") from None
        return None


def _plain(name: str) -> str:
    """A name in IDNA form."""
    if "*" in name or not name:
        raise ValueError("* stands alone, or as *. before a domain")
    try:
        return web_address(f"http://{name}/").host
    except BadInput:
        raise ValueError("it is no host name") from None


def _named_private(text: str) -> str:
    if host_pattern(text).name == "*":
        raise ValueError("private hosts are named, each or by their network or domain")
    return text


def _is_pattern(text: str) -> str:
    host_pattern(text)
    return text


HostGlob = Annotated[str, AfterValidator(_is_pattern)]
PrivateHost = Annotated[str, AfterValidator(_named_private)]


def hosts_in(word: str) -> list[Host]:
    """Hosts that a word may mean: in a URL, or as `user@host`, `host/path`, `host:path`, `--x=host`, `-xhost`.

    A part without a dot counts only where it is all of the word, or stands behind `@`: `docs/a.txt` names no host.
    """
    whole = {*IN_URL.findall(word), word, word.rpartition("@")[2]}
    found = [*map(_perhaps, whole)]
    found += [host for host in map(_perhaps, _parts(word) - whole) if host and ("." in host.name or host.ip)]
    return [host for host in found if host is not None]


def _parts(word: str) -> set[str]:
    glued = [word[2:]] if word.startswith("-") and not word.startswith("--") else []
    parts = {PATH.split(part, maxsplit=1)[0] for text in (word, *glued) for part in (text, *JOINTS.split(text))}
    return parts | {one for part in parts for one in part.split(":")}


def _perhaps(text: str) -> Host | None:
    text = text.lower()
    found = PLACE.fullmatch(text) if len(text) <= LONGEST else None
    if found is None:
        return None
    try:
        return host_of(text)
    except ValueError:
        pass
    try:
        return Host(socket.inet_ntoa(socket.inet_aton(found["name"] or "")), None)
    except OSError:
        return None


def _unwrapped(ip: Ip | None) -> list[Ip]:
    """An address with the IPv4 addresses that lie in it."""
    if not isinstance(ip, ipaddress.IPv6Address):
        return [] if ip is None else [ip]
    inner = [ip.ipv4_mapped, ip.sixtofour, (ip.teredo or (None, None))[1]]
    if ip in NAT64 or int(ip) < 2**32:
        inner.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return [ip, *(one for one in inner if one is not None)]
