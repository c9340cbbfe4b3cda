"""A simulator of `vllm serve`: the simulated chat server, health and metrics, behaving as C500_FAKE_VLLM says."""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from aiohttp import web

from deployments.simulator.answers import WRONG
from deployments.simulator.asked import Asked
from deployments.simulator.serve import serve_until_stopped
from tests.fakes.llm.answers import content_for
from tests.fakes.llm.server import NAME, Recording

METRICS = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{engine="0",model_name="{name}"}} {running}
vllm:num_requests_waiting{{engine="0",model_name="{name}"}} 0.0
vllm:num_requests_waiting_by_reason{{engine="0",model_name="{name}",reason="capacity"}} 7.0
vllm:request_success_total{{engine="0",finished_reason="stop",model_name="{name}"}} {finished}
vllm:request_success_created{{engine="0",finished_reason="stop",model_name="{name}"}} 1.7e+09
"""


def behaviour() -> dict[str, Any]:
    """What the test asks for at this moment."""
    return json.loads(Path(os.environ["C500_FAKE_VLLM"]).read_text())


def note(**what: Any) -> None:
    """Tell the test."""
    with Path(os.environ["C500_FAKE_VLLM"]).with_suffix(".log").open("a") as log:
        log.write(json.dumps(what | {"pid": os.getpid()}) + "\n")


class FakeServer:
    """The chat server with what vLLM has beside it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._chat = Recording(name, answer)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        if request.path == "/health":
            return self._health()
        if request.path == "/metrics":
            return self._metrics()
        # The server needs no key: it is found by its path.
        response = await self._chat.handle(request.clone(rel_url=f"/a/{NAME}{request.path_qs}"))
        if request.method == "POST":
            note(body=self._chat.requests[-1].body)
        return response

    def _health(self) -> web.Response:
        gate = behaviour().get("health_gate")
        return web.Response(status=503 if gate and not Path(gate).exists() else 200)

    def _metrics(self) -> web.Response:
        busy = behaviour().get("busy")
        running = float(bool(busy) and Path(busy).exists())
        return web.Response(text=METRICS.format(name=self._name, running=running, finished=len(self._chat.requests)))


def answer(asked: Asked) -> str:
    """A right answer; with `wrong_once`, only to a request that repairs a wrong one."""
    is_repair = any(message["role"] == "assistant" for message in asked.body["messages"])
    if behaviour().get("answers") == "wrong_once" and not is_repair:
        return WRONG
    return content_for(asked.body)


def main() -> None:
    """Serve, with those options of vLLM 0.33.0 that C500 uses."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("serve", choices=["serve"])
    parser.add_argument("model_tag")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--max-model-len", type=int)
    parser.add_argument("--gpu-memory-utilization", type=float, default=0.92)
    parser.add_argument("--quantization")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--generation-config", default="auto")
    parser.add_argument("--served-model-name", nargs="+")
    options = parser.parse_args()
    note(served=options.model_tag, options=vars(options), visible=os.environ.get("CUDA_VISIBLE_DEVICES"))
    if said := behaviour().get("die"):
        sys.exit(said)
    server = FakeServer(options.served_model_name[0])
    asyncio.run(serve_until_stopped(server.handle, options.port, lambda url: None))
