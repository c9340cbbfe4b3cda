"""The simulator: accounts behind one HTTP server, as their providers would answer."""

import asyncio
from collections.abc import Iterable
from math import inf
from typing import Any, cast
from uuid import uuid4

import orjson
from aiohttp import web
from pydantic import ValidationError

from blocks.accounts.account import Account
from deployments.simulator.asked import Asked, BadRequest, Limited, Refusal
from deployments.simulator.behaviour import Behaviour
from deployments.simulator.books import Book
from deployments.simulator.dialects import DIALECTS
from deployments.simulator.dialects.protocol import Dialect
from deployments.simulator.perform import Performance, date_header, limit_headers
from deployments.simulator.routes import Route, route
from deployments.simulator.tenant import Call, Tenant
from deployments.simulator.vllm_metrics import CONTENT_TYPE

SHAPES = (KeyError, TypeError, AttributeError, IndexError, ValueError)
"""What reading a body of the wrong shape raises."""

PASSES = 2
"""Passes of the event loop that let it see that callers went away, before concurrency is refused."""


class Simulator:
    """All accounts.

    Args:
        accounts: As accounts.yaml lists them.
        behaviour: How all of them behave at first.
    """

    def __init__(self, accounts: Iterable[Account], behaviour: Behaviour | None = None) -> None:
        self._attempts: dict[bytes, int] = {}
        self.tenants = {account.name: Tenant(account, behaviour or Behaviour(), self._attempts) for account in accounts}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        path = request.rel_url.raw_path
        if path.startswith("/simulator/"):
            return await self._control(request, path.removeprefix("/simulator/"))
        found = route(request.method, path)
        if found.action == "metrics" and (metrics := self._metrics(found)) is not None:
            return metrics
        secret = _secret(request)
        tenant = self._tenant(found, secret)
        dialect = DIALECTS[found.dialect or (tenant.account.dialect if tenant else "openai")]
        if found.action in ("", "metrics"):
            return _refuse(tenant, dialect, Refusal(why="not_found", message=f"{request.method} {path}"))
        if tenant is None:
            named = self.tenants.get(found.account or "")
            return _refuse(named, dialect, Refusal(why="unauthorised" if secret else "no_key"))
        if found.dialect not in (None, tenant.account.dialect):
            return _refuse(tenant, dialect, Refusal(why="not_found", message=f"{request.method} {path}"))
        if found.action == "models":
            return web.Response(body=dialect.models(list(tenant.models)), content_type="application/json")
        return await self._exchange(request, tenant, dialect, found)

    def books(self) -> dict[str, Any]:
        """What happened, in all and at each account; see `books.Book` and `Windows.told`.

        `too_many` is the referee's word: requests that would have passed a limit.
        """
        whole = Book()
        for tenant in self.tenants.values():
            whole.add(tenant.whole())
        too_many = sum(tenant.too_many for tenant in self.tenants.values())
        accounts = {name: tenant.told() for name, tenant in self.tenants.items()}
        return {"total": {**whole.told(), "too_many": too_many}, "accounts": accounts}

    def change(self, account: str | None = None, **changes: Any) -> None:
        """Let one account, or all, behave otherwise from now on: fields of `Behaviour`.

        Raises:
            KeyError: there is no such account.
            ValidationError: a value is wrong.
        """
        for tenant in self.tenants.values() if account is None else [self.tenants[account]]:
            tenant.change(changes)

    def reset(self) -> None:
        """Forget all use, books and attempts; behaviours stay."""
        self._attempts.clear()
        for tenant in self.tenants.values():
            tenant.reset()

    def _metrics(self, found: Route) -> web.Response | None:
        """What a vLLM server tells at `/metrics`, to anybody; None of an account that is none."""
        tenant = self.tenants.get(found.account or "")
        if tenant is None or tenant.metrics is None:
            return None
        return web.Response(body=tenant.metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    def _tenant(self, found: Route, secret: str | None) -> Tenant | None:
        """Whose request it is: by its path, else by its key."""
        if found.account is not None:
            tenant = self.tenants.get(found.account)
            return tenant if tenant and tenant.opens(secret, by_path=True) else None
        return next((one for one in self.tenants.values() if one.opens(secret, by_path=False)), None)

    async def _exchange(
        self, request: web.BaseRequest, tenant: Tenant, dialect: Dialect, found: Route
    ) -> web.StreamResponse:
        needed = dialect.needs_header
        if needed is not None and needed not in request.headers:
            return _refuse(tenant, dialect, Refusal(why="invalid", message=f"{needed}: header is required"))
        try:
            asked = dialect.parse(orjson.loads(await request.read()), found.model, found.action)
        except BadRequest as error:
            return _refuse(tenant, dialect, Refusal(why="invalid", message=error.message, param=error.param))
        except SHAPES as error:
            return _refuse(tenant, dialect, Refusal(why="invalid", message=f"the body cannot be read: {error}"))
        if (wrong := tenant.wrong_with(asked)) is not None:
            return _refuse(tenant, dialect, wrong)
        if passed := await _in_the_way(tenant, asked):
            tenant.count_too_many(passed)
            if tenant.behaviour.enforce:
                # The one that lasts longest: who waits as long as told is let in.
                limited = max(passed, key=lambda one: inf if one.wait_s is None else one.wait_s)
                return _refuse(tenant, dialect, Refusal(why="limited", model=asked.model, limited=limited))
        call = tenant.begin(asked)
        try:
            _identify(call, tenant, request)
            return await Performance(request, tenant, dialect, call).run()
        except asyncio.CancelledError:
            call.abandon()
            raise
        except ConnectionError:
            call.abandon()
            return web.Response()  # nobody gets it
        finally:
            call.end()

    async def _control(self, request: web.BaseRequest, action: str) -> web.Response:
        match request.method, action:
            case "GET", "books":
                return web.Response(body=orjson.dumps(self.books()), content_type="application/json")
            case "POST", "reset":
                self.reset()
            case "POST", "behaviour":
                try:
                    changes = orjson.loads(await request.read())
                    if "script" in changes:
                        return web.Response(status=400, text="script: cannot be set over HTTP")
                    self.change(request.rel_url.query.get("account"), **changes)
                except ValidationError as error:
                    return web.Response(status=400, text=str(error))
                except SHAPES as error:
                    return web.Response(status=400, text=f"{type(error).__name__}: {error}")
            case _:
                return web.Response(status=404, text="there are books, behaviour and reset")
        return web.Response(status=204)


async def _in_the_way(tenant: Tenant, asked: Asked) -> list[Limited]:
    """The limits in the way. A caller that gave up counts no longer, even where its end is still to be noticed."""
    passed = tenant.in_the_way(asked)
    for _ in range(PASSES):
        if not any(limited.window == "concurrency" for limited in passed):
            break
        await asyncio.sleep(0)
        passed = tenant.in_the_way(asked)
    return passed


def _refuse(tenant: Tenant | None, dialect: Dialect, refusal: Refusal) -> web.Response:
    name = uuid4().hex[:24]
    status, body = dialect.refusal(refusal, name)
    headers = {"Content-Type": "application/json", **dialect.request_id(name)}
    if tenant is not None:
        limited = refusal.limited
        tenant.refused(limited.window if limited else refusal.why, refusal.model)
        headers.update(date_header(tenant))
        if limited is not None:
            headers.update(limit_headers(tenant, dialect, refusal.model))
            if limited.wait_s is not None:
                headers.update(dialect.retry_headers(limited.wait_s))
    return web.Response(status=status, body=body, headers=headers)


def _secret(request: web.BaseRequest) -> str | None:
    headers = request.headers
    if bearer := headers.get("Authorization"):
        return bearer.removeprefix("Bearer ").strip()
    return headers.get("x-api-key") or headers.get("x-goog-api-key") or request.rel_url.query.get("key")


def _identify(call: Call, tenant: Tenant, request: web.BaseRequest) -> None:
    """Tell the books which request of the caller's it is, where they ask."""
    if (how := tenant.behaviour.identify) is None:
        return
    kind, _, name = how.partition(".")
    body = call.asked.body
    if kind == "header":
        found = request.headers.get(name)
    else:
        metadata: Any = body.get("metadata")
        fields = cast(dict[str, Any], metadata) if isinstance(metadata, dict) else {}
        found = fields.get(name) if kind == "metadata" else body.get("user")
    if found is not None:
        call.identify(str(found))
