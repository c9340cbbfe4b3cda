"""A simulator of `vllm serve`: the simulated chat server, health and metrics, behaving as C500_FAKE_VLLM says."""

import argparse
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from tests.fakes.llm import Behaviour, LlmServer

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


@dataclass
class FakeServer:
    """The chat server with what vLLM has beside it."""

    name: str
    chat: LlmServer = field(init=False)

    def __post_init__(self) -> None:
        self.chat = LlmServer(Behaviour(models=(self.name,)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path")
        if path == "/health":
            await self._health()(scope, receive, send)
        elif path == "/metrics":
            await self._metrics()(scope, receive, send)
        else:
            self.chat.behaviour.answers = behaviour().get("answers", "right")
            await self.chat(scope, receive, send)
            if scope["type"] == "http" and Request(scope).method == "POST":
                note(body=self.chat.requests[-1].body)

    def _health(self) -> Response:
        gate = behaviour().get("health_gate")
        return Response(status_code=503 if gate and not Path(gate).exists() else 200)

    def _metrics(self) -> Response:
        busy = behaviour().get("busy")
        running = float(bool(busy) and Path(busy).exists())
        return PlainTextResponse(METRICS.format(name=self.name, running=running, finished=len(self.chat.requests)))


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
    uvicorn.run(server, host=options.host, port=options.port, log_level="error", lifespan="off")
