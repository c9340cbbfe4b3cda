"""The simulated server: limits and faults first, then an answer."""

import asyncio
import math
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests.fakes.llm.answers import WRONG, content_for, wrapped
from tests.fakes.llm.behaviour import Behaviour
from tests.fakes.serving import serve


@dataclass(frozen=True)
class Recorded:
    """One chat request as it arrived, and the status it was answered with."""

    body: dict[str, Any]
    authorization: str | None
    at_s: float
    status: int


@dataclass
class LlmServer:
    """An ASGI application with the state a test looks at.

    Attributes:
        behaviour: What it does; may be changed while it runs.
        requests: All chat requests so far, in order of their answers.
        busiest: Most requests worked on at the same time.
        url: Base URL ending in /v1, once it is served.
    """

    behaviour: Behaviour = field(default_factory=Behaviour)
    requests: list[Recorded] = field(default_factory=list)
    busiest: int = 0
    url: str = ""
    _running: int = 0
    _taken_s: list[float] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        routes = [
            Route("/v1/models", self._models),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
        ]
        await Starlette(routes=routes)(scope, receive, send)

    async def _models(self, request: Request) -> Response:
        if not self._knows(request):
            return _refusal(401, "Incorrect API key provided")
        listed = [{"id": name, "object": "model"} for name in self.behaviour.models]
        return JSONResponse({"object": "list", "data": listed})

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        self._running += 1
        self.busiest = max(self.busiest, self._running)
        try:
            response = await self._answer(request, body)
        finally:
            self._running -= 1
        key = request.headers.get("authorization")
        self.requests.append(Recorded(body, key, time.monotonic(), response.status_code))
        return response

    async def _answer(self, request: Request, body: dict[str, Any]) -> Response:
        if not self._knows(request):
            return _refusal(401, "Incorrect API key provided")
        if (wait_s := self._wait_s()) is not None:
            return _refusal(429, "Rate limit reached", {"Retry-After": str(math.ceil(wait_s))})
        if (broken := await self._broken(request)) is not None:
            return broken
        await asyncio.sleep(self.behaviour.latency_s)
        return self._refused(body) or self._completion(body)

    def _knows(self, request: Request) -> bool:
        key = self.behaviour.api_key
        return key is None or request.headers.get("authorization") == f"Bearer {key}"

    def _wait_s(self) -> float | None:
        """Seconds until another request is within the limit, None when this one is."""
        if self.behaviour.requests_per_window is None:
            return None
        now = time.monotonic()
        self._taken_s = [at for at in self._taken_s if now - at < self.behaviour.window_s]
        if len(self._taken_s) >= self.behaviour.requests_per_window:
            return self._taken_s[0] + self.behaviour.window_s - now
        self._taken_s.append(now)
        return None

    async def _broken(self, request: Request) -> Response | None:
        """The fault that is due, None without one."""
        due = self.behaviour
        if due.fail_times > 0:
            due.fail_times -= 1
            return _refusal(due.fail_status, "The server had an error", due.fail_headers)
        if due.close_times > 0:
            due.close_times -= 1
            return CutResponse("{")
        if due.hang_times > 0:
            due.hang_times -= 1
            await request.receive()  # the caller going away is all that can still come
            return _refusal(499, "The caller went away")
        return None

    def _refused(self, body: dict[str, Any]) -> Response | None:
        """The answer to a request that is wrong in itself, None for a good one."""
        if body["model"] not in self.behaviour.models:
            return _refusal(404, f"The model `{body['model']}` does not exist")
        if (form := body.get("response_format", {}).get("type")) in self.behaviour.refuses:
            return _refusal(400, f"response_format of type {form} is not supported")
        most = self.behaviour.context_words
        if most is not None and _words(body) > most:
            return _refusal(400, f"This model's maximum context length is {most} tokens")
        return None

    def _completion(self, body: dict[str, Any]) -> Response:
        content = (self.behaviour.content or content_for)(body)
        how = self.behaviour.answers
        if how == "always_wrong" or (how == "wrong_once" and not _is_repair(body)):
            content = str(WRONG).replace("'", '"').replace("True", "true")
        content = wrapped(content, how)
        answered = len(content.split())
        return JSONResponse(
            {
                "id": f"chatcmpl-{len(self.requests)}",
                "object": "chat.completion",
                "created": int(time.time()),
                "model": body["model"],
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": content},
                        "finish_reason": "length" if how == "truncated" else "stop",
                    }
                ],
                "usage": {
                    "prompt_tokens": _words(body),
                    "completion_tokens": answered,
                    "total_tokens": _words(body) + answered,
                },
            }
        )


class CutResponse(Response):
    """Promises more than it sends, so that the server cuts the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})


@contextmanager
def serve_llm(behaviour: Behaviour | None = None) -> Generator[LlmServer]:
    """Run a simulated server on a free port until the block ends."""
    server = LlmServer(behaviour or Behaviour())
    with serve(server) as address:
        server.url = f"{address}/v1"
        yield server


def _refusal(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    error = {"error": {"message": message, "type": "invalid_request_error", "code": status}}
    return JSONResponse(error, status_code=status, headers=headers)


def _is_repair(body: dict[str, Any]) -> bool:
    return any(message["role"] == "assistant" for message in body["messages"])


def _words(body: dict[str, Any]) -> int:
    return sum(len(message["content"].split()) for message in body["messages"])
