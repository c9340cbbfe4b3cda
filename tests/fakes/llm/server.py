"""The LLM simulator as tests of the language engines use it: one model, and every request kept as it came."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from blocks.accounts.account import Account, Model
from deployments.simulator.asked import Asked
from deployments.simulator.behaviour import Behaviour
from deployments.simulator.serve import InProcess, in_thread
from deployments.simulator.simulator import Simulator
from tests.fakes.llm.answers import content_for

NAME = "simulated"


@dataclass(frozen=True)
class Recorded:
    """One chat request as it arrived, and the status it was answered with."""

    body: dict[str, Any]
    authorization: str | None
    at_s: float
    status: int


class Recording(Simulator):
    """The simulator, with one account and one model.

    Attributes:
        requests: All chat requests so far, in order of their answers.
    """

    def __init__(self, model: str, script: Callable[[Asked], Any], **facts: Any) -> None:
        served = Model(**{"name": model, "context_tokens": 1_000_000, "max_output_tokens": 1_000_000} | facts)
        url = "http://127.0.0.1:1/v1"  # of no use here, but every such account has one
        account = Account(name=NAME, provider="openai-compatible", base_url=url, key="none", models={"served": served})
        super().__init__([account], Behaviour(script=script))
        self.requests: list[Recorded] = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, and keep it."""
        response = await super().handle(request)
        if request.method == "POST":
            key = request.headers.get("authorization")
            self.requests.append(Recorded(await request.json(), key, time.monotonic(), response.status))
        return response


@dataclass(frozen=True)
class LlmServer:
    """A running server.

    Attributes:
        running: The simulator.
        requests: All chat requests so far, in order of their answers.
    """

    running: InProcess
    requests: list[Recorded]

    @property
    def url(self) -> str:
        """Base URL ending in /v1."""
        return self.running.base_url(NAME)

    @property
    def busiest(self) -> int:
        """Most requests worked on at the same time."""
        return self.running.books()["accounts"][NAME]["windows"]["concurrency"]["peak"]

    def behaves(self, **changes: Any) -> None:
        """Behave so from now on: fields of `deployments.simulator.behaviour.Behaviour`."""
        self.running.change(**changes)


@contextmanager
def serve_llm(model: str = "small", **facts: Any) -> Generator[LlmServer]:
    """Run a server on a free port until the block ends; `facts` are fields of the model in accounts.yaml."""
    recording = Recording(model, lambda asked: content_for(asked.body), **facts)
    with in_thread(recording) as running:
        yield LlmServer(running, recording.requests)
