"""An accepted call, from its latency to its last byte, with what goes wrong in between."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from email.utils import formatdate

from aiohttp import web

from deployments.simulator.asked import Answer, Refusal, Why
from deployments.simulator.behaviour import Fault
from deployments.simulator.dialects.protocol import Dialect
from deployments.simulator.tenant import Call, Tenant

AT_ONCE: dict[Fault, Why] = {"rate_limited": "rate_limited", "out_of_quota": "out_of_quota", "overloaded": "overloaded"}
"""Faults a provider tells before it starts to work."""

LINGER_NONE = struct.pack("ii", 1, 0)
HEADERS_ARRIVE_S = 0.01
"""A reset takes what the other side has not read yet; this lets it read the headers."""

PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


class Performance:
    """One call and the HTTP request it came with.

    Args:
        request: The request.
        tenant: Whose.
        dialect: Of its API.
        call: What was accepted.
    """

    def __init__(self, request: web.BaseRequest, tenant: Tenant, dialect: Dialect, call: Call) -> None:
        self._request = request
        self._tenant = tenant
        self._dialect = dialect
        self._call = call
        self._now = asyncio.get_running_loop().time
        self._arrived = self._began = self._first = self._at = self._now()

    async def run(self) -> web.StreamResponse:
        """Answer it, or do what its fault says."""
        call = self._call
        if call.fault in AT_ONCE:
            return self._refusal(AT_ONCE[call.fault])
        if call.fault == "reset_before":
            return self._reset()
        self._began = self._at = await self._tenant.slots.enter()
        try:
            response = await self._answered()
        except BaseException:
            self._at = self._now()
            raise
        finally:
            self._tenant.slots.leave(self._at)
        return response

    async def _answered(self) -> web.StreamResponse:
        call = self._call
        await self._until(self._began + call.latency_s)
        self._first = self._at
        if call.fault == "error":
            return self._refusal("error")
        if call.fault == "html":
            return web.Response(status=502, body=PAGE, content_type="text/html")
        if call.fault == "hang":
            await asyncio.Event().wait()
        answer = call.answer()
        return await (self._stream(answer) if call.asked.stream else self._whole(answer))

    async def _whole(self, answer: Answer) -> web.StreamResponse:
        call = self._call
        body = self._dialect.answer(call.asked, answer, call.luck.name, int(self._tenant.clock.wall_s()))
        self._settle(answer)
        if call.fault not in ("reset_after", "half_body"):
            return web.Response(body=body, headers=self._headers("application/json"))
        response = web.StreamResponse(headers=self._headers("application/json"))
        response.content_length = len(body)
        await response.prepare(self._request)
        if call.fault == "reset_after":
            await asyncio.sleep(HEADERS_ARRIVE_S)
            return self._reset()
        await response.write(body[: len(body) // 2])
        self._close()
        return response

    async def _stream(self, answer: Answer) -> web.StreamResponse:
        """Send the events; those of content at the pace of the tokens. The last one follows the settling."""
        call = self._call
        response = web.StreamResponse(headers={**self._headers("text/event-stream"), "Cache-Control": "no-cache"})
        await response.prepare(self._request)
        if call.fault == "reset_after":
            call.settle(answer, delivered=False)
            await asyncio.sleep(HEADERS_ARRIVE_S)
            return self._reset()
        size = self._tenant.behaviour.piece_tokens
        pause_s = self._tenant.behaviour.token_ms * size / 1000
        sent = 0
        try:
            for event, is_content, is_last in self._events(answer):
                if is_content:
                    await self._until(self._first + sent * pause_s)
                    sent += 1
                if is_last:
                    self._settle(answer)
                await response.write(event)
        except (asyncio.CancelledError, ConnectionError):
            call.leave_stream(answer, sent * size)
            raise
        if call.fault == "half_body":
            self._close()
        else:
            await response.write_eof()
        return response

    def _events(self, answer: Answer) -> Iterator[tuple[bytes, bool, bool]]:
        """Each event, whether it holds content, and whether it is the last; of a half body, the first half."""
        call = self._call
        created_s = int(self._tenant.clock.wall_s())
        pieces = answer.pieces(self._tenant.behaviour.piece_tokens)
        events = list(self._dialect.stream(call.asked, answer, call.luck.name, created_s, pieces))
        if call.fault == "half_body":
            events = events[: max(1, len(events) // 2)]
        for place, (event, is_content) in enumerate(events, start=1):
            yield event, is_content, place == len(events)

    async def _until(self, moment: float) -> None:
        """Wait until a moment of the event loop's clock; from the last one on, so that late timers do not add up."""
        self._at = moment
        if (left_s := moment - self._now()) > 0:
            await asyncio.sleep(left_s)

    def _settle(self, answer: Answer) -> None:
        """Charge it, and tell its latencies as they should have been."""
        self._call.settle(answer, delivered=True)
        if self._tenant.metrics is not None:
            waited_s, first_s, whole_s = (at - self._arrived for at in (self._began, self._first, self._at))
            self._tenant.metrics.note(self._call.asked.model, waited_s, first_s, whole_s)

    def _refusal(self, why: Why) -> web.Response:
        call = self._call
        refusal = Refusal(why=why, model=call.asked.model, status=self._tenant.behaviour.error_status)
        status, body = self._dialect.refusal(refusal, call.luck.name)
        return web.Response(status=status, body=body, headers=self._headers("application/json", with_limits=False))

    def _headers(self, content_type: str, *, with_limits: bool = True) -> dict[str, str]:
        headers = self._dialect.request_id(self._call.luck.name)
        if with_limits:
            headers.update(limit_headers(self._tenant, self._dialect, self._call.asked.model))
        headers.update(date_header(self._tenant))
        headers["Content-Type"] = content_type
        return headers

    def _reset(self) -> web.Response:
        """Reset the connection; the answer is never sent."""
        if (transport := self._request.transport) is not None:
            connection: socket.socket = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
            transport.abort()
        return web.Response()

    def _close(self) -> None:
        """End the connection after what was sent."""
        if (transport := self._request.transport) is not None:
            transport.close()


def limit_headers(tenant: Tenant, dialect: Dialect, model: str) -> dict[str, str]:
    """The provider's headers about the limits, as they stand now."""
    if not tenant.behaviour.rate_limit_headers:
        return {}
    requests, tokens = tenant.standing(model, "requests"), tenant.standing(model, "tokens")
    return dialect.headers(requests, tokens, tenant.clock.wall_s())


def date_header(tenant: Tenant) -> dict[str, str]:
    """The `Date` of a provider whose clock is wrong; a right one is the server's own."""
    return {} if tenant.clock.is_right else {"Date": formatdate(tenant.clock.wall_s(), usegmt=True)}
