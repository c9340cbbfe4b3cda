"""The text in the Prefect UI that changes while a run goes on."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from aiohttp import web
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks import board as module
from blocks.board import board
from deployments.simulator.serve import listening

pytestmark = pytest.mark.filterwarnings("ignore:Artifact creation outside of a flow:FutureWarning")


class Artifacts:
    """A Prefect server's artifacts, of which it has one: it refuses updates while it is told to.

    Attributes:
        text: The artifact's text.
        refuses: Whether updates are refused.
        asked: Set when an update has come.
    """

    def __init__(self) -> None:
        self.text = ""
        self.refuses = False
        self.asked = asyncio.Event()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Make or update the artifact."""
        if not request.path.startswith("/api/artifacts"):
            return web.Response(status=404)
        given = json.loads(await request.text())
        if request.method == "PATCH":
            self.asked.set()
            if self.refuses:
                return web.json_response({"detail": "not now"}, status=403)
        self.text = given["data"]
        if request.method == "PATCH":
            return web.Response(status=204)
        now = "2026-01-01T00:00:00Z"
        return web.json_response({"id": str(uuid4()), "created": now, "updated": now, **given}, status=201)


@asynccontextmanager
async def artifacts() -> AsyncIterator[Artifacts]:
    server = Artifacts()
    async with listening(server.handle, 0) as url:
        with temporary_settings({PREFECT_API_URL: f"{url}/api"}):
            yield server


async def test_the_board_ends_on_the_last_text_also_when_the_server_refused_it_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0.01)
    text = "waiting"
    async with artifacts() as server:
        async with board("plan", lambda: text):
            assert server.text == "waiting"
            server.refuses, text = True, "done"
            await server.asked.wait()
            server.refuses = False
        assert server.text == "done"


async def test_the_board_follows_the_text_while_the_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0.01)
    text = "waiting"
    async with artifacts() as server, board("plan", lambda: text):
        text = "running"
        await server.asked.wait()
    assert server.text == "running"
