"""One call to a web server from which nothing but an answer may come: no other host, no private network, no flood."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from blocks.errors import BadInput, EngineFailed, EngineUnavailable, NotAllowed, TimedOut
from blocks.pinned_http import pinned_answer, trusted_certificates
from blocks.web_address import WebAddress, resolved, web_address

if TYPE_CHECKING:
    import httpx

MAX_REDIRECTS = 5
CHUNK_BYTES = 1 << 16
CONNECT_S = 10.0

EVERYWHERE = frozenset({"accept", "accept-language"})
"""Headers that go along when an answer leads to another host."""


@dataclass(frozen=True, kw_only=True)
class WebLimits:
    """Where calls may lead, and what they may take.

    Attributes:
        allowed: Whether a redirection may lead to this `host:port`; the host that was asked for always may.
        private: Hosts, or `host:port`, of private networks that may be reached.
        most_bytes: Bytes of an answer that are read.
        timeout_s: Seconds for all of it.
    """

    allowed: Callable[[str], bool] = lambda place: False
    private: Collection[str] = ()
    most_bytes: int = 2_000_000
    timeout_s: float = 30.0

    def is_private_allowed(self, address: WebAddress) -> bool:
        """Whether this host may be reached although it is no public one."""
        return address.place in self.private or address.host in self.private


@dataclass(frozen=True, kw_only=True)
class WebRequest:
    """What is asked.

    Attributes:
        method: `GET`, `POST` and so on.
        url: Of whom.
        headers: Sent to that host alone, but for `Accept` and `Accept-Language`.
        content: The body.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    content: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class WebAnswer:
    """What came back.

    Attributes:
        address: Where it came from in the end.
        status: HTTP status.
        content_type: Media type in lower case, without parameters; empty when not told.
        charset: Of the text; None when not told.
        content: The body, or its beginning.
        truncated: Whether it goes on.
        hops: The `host:port` that were asked, in order.
    """

    address: WebAddress
    status: int
    content_type: str
    charset: str | None
    content: bytes
    truncated: bool
    hops: tuple[str, ...]


async def call_web(request: WebRequest, limits: WebLimits) -> WebAnswer:
    """Ask, and follow redirections that the limits allow.

    Every hop is resolved once, and the connection goes to the very address that was checked.

    Raises:
        BadInput: an address is none, or redirections have no end.
        NotAllowed: a host may not be reached, or what was sent would go to another one.
        EngineUnavailable: no answer came.
        EngineFailed: the answer cannot be read.
        TimedOut: it took too long.
    """
    try:
        async with asyncio.timeout(limits.timeout_s):
            return await _followed(request, limits)
    except TimeoutError as error:
        raise TimedOut(
            f"{web_address(request.url).place} did not answer within {limits.timeout_s:g} s",
            fix="try again later, or ask for less",
        ) from error


async def _followed(request: WebRequest, limits: WebLimits) -> WebAnswer:
    import httpx

    address = first = web_address(request.url)
    hops: list[str] = []
    timeout = httpx.Timeout(limits.timeout_s, connect=CONNECT_S)
    # No proxy from the environment: it would resolve the name again, by itself.
    async with httpx.AsyncClient(timeout=timeout, trust_env=False, verify=trusted_certificates()) as client:
        for _ in range(MAX_REDIRECTS + 1):
            hops.append(address.place)
            answer = await _asked(client, request, address, limits, tuple(hops))
            if isinstance(answer, WebAnswer):
                return answer
            status, target = answer
            request = _next(request, status, address, target)
            if not (_is_same(first, target) or limits.allowed(target.place)):
                raise NotAllowed(
                    f"{address.shown} leads to {target.place}, which is not allowed",
                    fix="ask for the final address itself, if the rules allow its host",
                    host=target.place,
                )
            address = target
            # The jar goes by the IP address that is asked, which several hosts may share.
            client.cookies.clear()
    raise BadInput(f"{first.shown} redirects more than {MAX_REDIRECTS} times", fix="give the final address")


async def _asked(
    client: "httpx.AsyncClient", request: WebRequest, address: WebAddress, limits: WebLimits, hops: tuple[str, ...]
) -> WebAnswer | tuple[int, WebAddress]:
    """The answer, or the status and target of a redirection."""
    import httpx

    ips = await resolved(address, private=limits.is_private_allowed(address))
    try:
        async with pinned_answer(
            client, request.method, address, ips, headers=request.headers, content=request.content
        ) as response:
            if response.has_redirect_location:
                return response.status_code, address.joined(response.headers["location"])
            content, truncated = await _body(response, address, limits.most_bytes)
    except httpx.RequestError as error:
        told = str(error) or type(error).__name__
        raise EngineUnavailable(
            f"{address.shown} cannot be reached: {told}", fix="check the address; try again later"
        ) from error
    return WebAnswer(
        address=address,
        status=response.status_code,
        content_type=response.headers.get("content-type", "").partition(";")[0].strip().lower(),
        charset=response.charset_encoding,
        content=content,
        truncated=truncated,
        hops=hops,
    )


async def _body(response: "httpx.Response", address: WebAddress, most_bytes: int) -> tuple[bytes, bool]:
    if response.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        # A small body may unpack to gigabytes at once.
        raise EngineFailed(
            f"{address.shown} answers compressed although it was asked not to", fix="use another address"
        )
    content = bytearray()
    async for chunk in response.aiter_raw(CHUNK_BYTES):
        content += chunk
        if len(content) > most_bytes:
            return bytes(content[:most_bytes]), True
    return bytes(content), False


def _is_same(first: WebAddress, target: WebAddress) -> bool:
    """Whether it is the place that was asked for, or its encrypted side."""
    is_upgrade = (first.port, target.port, target.scheme) == (80, 443, "https")
    return target.host == first.host and (target.port == first.port or is_upgrade)


def _next(request: WebRequest, status: int, address: WebAddress, target: WebAddress) -> WebRequest:
    """What is asked of the place that a redirection leads to."""
    if address.scheme == "https" and target.scheme == "http":
        raise NotAllowed(f"{address.shown} leads from https to http", fix="use an address that stays with https")
    is_kept = status in (307, 308) or request.method in ("GET", "HEAD")
    method, content = (request.method, request.content) if is_kept else ("GET", None)
    headers = dict(request.headers)
    if target.place != address.place:
        if method not in ("GET", "HEAD"):
            raise NotAllowed(
                f"{address.shown} wants the request sent on to {target.place}",
                fix="send it to that host itself, if the rules allow it",
                host=target.place,
            )
        headers = {name: value for name, value in headers.items() if name.lower() in EVERYWHERE}
    if content is None:
        headers = {name: value for name, value in headers.items() if name.lower() != "content-type"}
    return WebRequest(method=method, url=target.url, headers=headers, content=content)
