"""Who may call which route: API keys in the headers, scopes on the handlers, and patience with wrong keys.

A handler says what it needs with `opt=needs("read")` or `opt=OPEN`; one that says neither stops the start.
"""

import asyncio
import ipaddress
import re
import time
from collections import OrderedDict
from typing import Any

import structlog
from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute

from blocks.errors import BadInput, LimitReached, NotAllowed
from blocks.keys import HEADERS, SHAPE, ApiKey, KeyRing, Scope
from blocks.settings import Settings
from blocks.store import open_store
from deployments.gateway.counters import AUTH_FAILURES
from deployments.gateway.web.network import network_of
from deployments.gateway.web.problems import Unauthenticated

Connection = ASGIConnection[Any, Any, Any, Any]

NEEDS = "c500_needs"
OPEN: dict[str, Any] = {NEEDS: None}
"""`opt` of a handler that anyone may call."""

TOKEN = re.compile(rb"[\x21-\x7e]{1,512}")
BEARER = re.compile(rb"(?i:bearer) +(\S+) *")
PLACEHOLDERS = re.compile(
    r"change|your|default|placeholder|example|insert|replace|secret|password|todo|test|0123456789|abcdef"
)
MIN_DIFFERENT_CHARS = 8


def needs(scope: Scope) -> dict[str, Any]:
    """`opt` of a handler that only keys with a scope may call."""
    return {NEEDS: scope}


async def authorise(connection: Connection, handler: BaseRouteHandler) -> None:
    """Let the request through with its key in `scope["auth"]`, or raise; the guard of every route.

    Raises:
        Unauthenticated: no key, a wrong one, or more than one.
        NotAllowed: the key lacks the scope.
        LimitReached: the key's requests of this minute are used up, or wrong keys come too fast.
    """
    if NEEDS in handler.opt and handler.opt[NEEDS] is None:
        return
    # Without a scope: only the answers to OPTIONS that Litestar adds; see `check_routes`.
    await require(connection, handler.opt.get(NEEDS))


async def require(connection: Connection, scope: Scope | None) -> None:
    """As `authorise`, for a handler that decides itself whether it needs a key."""
    key = await _key_of(connection)
    if scope and not key.may(scope):
        raise NotAllowed(
            f"this API key lacks the scope {scope}", fix=f"use a key that has the scope {scope}", scope=scope
        )
    connection.app.state.quotas.request(key)
    connection.scope["auth"] = key


async def _key_of(connection: Connection) -> ApiKey:
    keys: LiveKeys = connection.app.state.live_keys
    secret = None
    try:
        secret = presented(connection.scope["headers"])
        return await keys.check(secret)
    except NoKey as error:
        raise Unauthenticated(error.message, fix=error.fix) from None
    except NotAllowed as error:
        AUTH_FAILURES.inc()
        await connection.app.state.slowdown.wrong_key(_address(connection), secret, error.message)
        raise Unauthenticated(error.message, fix=error.fix) from None


class LiveKeys:
    """A key ring that is read again once a second at most, in a thread, once for all requests that wait for it.

    Args:
        ring: The keys.
    """

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._reading: asyncio.Task[None] | None = None

    async def check(self, secret: str) -> ApiKey:
        """The key that a secret belongs to. Raises `NotAllowed`, `StoreFailed`."""
        await self._refreshed()
        return self._ring.check(secret)

    async def known(self) -> tuple[ApiKey, ...]:
        """All keys, also revoked ones. Raises `StoreFailed`."""
        await self._refreshed()
        return self._ring.known()

    async def _refreshed(self) -> None:
        if self._ring.stale:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(asyncio.to_thread(self._ring.refresh))
            await asyncio.shield(self._reading)


class NoKey(NotAllowed):
    """The request holds no key at all: a mistake, no attempt at guessing one."""


def presented(headers: Any) -> str:
    """The one secret that a request holds.

    Args:
        headers: Pairs of bytes as ASGI gives them, names in lower case.

    Raises:
        NoKey: there is none.
        NotAllowed: there are several, or it is no key by its form.
    """
    own = [value for name, value in headers if name == b"x-api-key"]
    authorization = [value for name, value in headers if name == b"authorization"]
    bearer = [match.group(1) for value in authorization if (match := BEARER.fullmatch(value))]
    if not own and not bearer:
        raise NoKey("no API key came with the request", fix=f"send one {HEADERS}")
    if len(own) > 1 or len(authorization) > 1 or len({*own, *bearer}) > 1:
        raise NotAllowed("more than one API key came with the request", fix=f"send one key, {HEADERS}")
    token = (own or bearer)[0]
    if not TOKEN.fullmatch(token):
        raise NotAllowed("what the request holds is no API key", fix="send the key as it was printed, nothing else")
    return token.decode("ascii")


class Slowdown:
    """Answers wrong keys later and later.

    This keeps logs and processors quiet; it is not what makes a key hard to guess, its 256 random bits are. So a right
    key is never slowed, not even from an address that others guess from. Everything remembered is bounded.
    """

    FIRST_S = 0.1
    LONGEST_S = 2.0
    FORGET_S = 120.0
    ADDRESSES = 4096
    WAITING = 64

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._waiting = 0

    async def wrong_key(self, address: str, secret: str | None, reason: str) -> None:
        """Log a refusal and wait before it is told.

        Args:
            address: Where the request came from; see `_address`.
            secret: What was presented; at most its key id is logged.
            reason: Why it was refused.

        Raises:
            LimitReached: too many refusals wait already.
        """
        delay_s = self.delay_s(address)
        if self._waiting >= self.WAITING:
            raise LimitReached(
                "too many requests come with wrong API keys", fix="send a valid key", retry_after_s=self.LONGEST_S
            )
        shape = SHAPE.fullmatch(secret or "")
        structlog.stdlib.get_logger("c500").warning(
            "api key refused", address=address, key_id=shape.group(1) if shape else None, reason=reason
        )
        self._waiting += 1
        try:
            await asyncio.sleep(delay_s)
        finally:
            self._waiting -= 1

    def delay_s(self, address: str) -> float:
        """Count a refusal of the address; seconds to wait, twice as many each time up to `LONGEST_S`."""
        now = time.monotonic()
        count, last = self._failures.pop(address, (0, now))
        count = 1 if now - last > self.FORGET_S else count + 1
        self._failures[address] = (count, now)
        if len(self._failures) > self.ADDRESSES:
            self._failures.popitem(last=False)
        return min(self.LONGEST_S, self.FIRST_S * 2 ** min(count - 1, 16))


def _address(connection: Connection) -> str:
    """The peer's address, as `network_of` has it. X-Forwarded-For is not believed."""
    return network_of(connection.client.host if connection.client else None)


def check_routes(app: Litestar) -> None:
    """Refuse to start with a handler that does not say what it needs.

    Raises:
        NotAllowed: naming the first such route.
    """
    for route in app.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else (route.route_handler,):
            # Litestar adds an OPTIONS handler to each path; it tells the methods, to any valid key.
            methods = getattr(handler, "http_methods", set[str]())
            if NEEDS not in handler.opt and set(methods) != {"OPTIONS"}:
                raise NotAllowed(
                    f"the handler of {route.path} does not say which scope it needs",
                    fix='give it opt=needs("…") or opt=OPEN of deployments.gateway.web.auth',
                )


def check_exposure(chosen: Settings) -> None:
    """Refuse to listen where others can reach us unless only keyed clients get in.

    Raises:
        BadInput: SECRET_API_KEY is too short, on any address.
        NotAllowed: API_HOST is not loopback, and there is no key, or SECRET_API_KEY is a placeholder.
    """
    ring = KeyRing(open_store(), chosen.secret_api_key)
    if is_loopback(chosen.api_host):
        return
    if chosen.secret_api_key and _is_placeholder(chosen.secret_api_key.get_secret_value()):
        raise NotAllowed(
            f"SECRET_API_KEY is a placeholder, and API_HOST={chosen.api_host} can be reached by others",
            fix="set it to the output of `openssl rand -hex 32`, or leave it out and use `c500 keys create`",
        )
    if not ring.usable():
        raise NotAllowed(
            f"there is no API key, and API_HOST={chosen.api_host} can be reached by others",
            fix="run `c500 keys create NAME`, or set API_HOST=127.0.0.1",
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address. Raises `BadInput` when it is none."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError as error:
        raise BadInput(
            f"API_HOST={host} is no IP address", fix="set it to 127.0.0.1, 0.0.0.0, ::, or an address of this machine"
        ) from error


def _is_placeholder(secret: str) -> bool:
    return PLACEHOLDERS.search(secret.lower()) is not None or len(set(secret)) < MIN_DIFFERENT_CHARS
