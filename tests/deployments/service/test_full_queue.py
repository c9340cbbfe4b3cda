"""Doctor tells that a queue is full: new jobs are refused then."""

import os
from datetime import UTC, datetime

import pytest
from aiohttp import web
from prefect.client.orchestration import get_client

from blocks.errors import EngineUnavailable
from blocks.settings import settings
from deployments.service.checks import check_gateway
from deployments.service.home import Running, only_one, prepare, write_running
from deployments.simulator.serve import listening


@pytest.mark.parametrize(("waiting", "full"), [(2, False), (3, True)])
async def test_a_full_queue_is_a_finding(monkeypatch: pytest.MonkeyPatch, waiting: int, full: bool) -> None:
    async def health(_: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({"queue_depth": waiting, "parts": {"workers": {"ok": True}}})

    monkeypatch.setenv("MAX_QUEUE_DEPTH", "3")
    settings.cache_clear()
    prepare()
    async with listening(health, 0) as url, get_client() as client:
        with only_one():
            write_running(Running(pid=os.getpid(), api_url=url, gateway_url=url, started_at=datetime.now(UTC)))
            if full:
                with pytest.raises(EngineUnavailable, match="3 jobs wait, and the queue takes 3"):
                    await check_gateway(client)
            else:
                assert (await check_gateway(client)).endswith("2 waiting of at most 3")
