"""The scripted server in a process of its own: SIGTERM and SIGKILL, and a next process that goes on."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.iiagent.raw_client import raw_client
from tests.processes import free_port, stop

Serve = Callable[..., tuple[str, "subprocess.Popen[bytes]"]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts servers on one port and one folder."""
    port, started = free_port(), list["subprocess.Popen[bytes]"]()

    def serving(*options: str) -> tuple[str, "subprocess.Popen[bytes]"]:
        command = [sys.executable, "-m", "tests.fakes.iiagent", "--port", str(port), "--folder", str(tmp_path / "kept")]
        process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        return process.stdout.readline().decode().strip(), process

    yield serving
    for process in started:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


async def seen(url: str) -> Any:
    """What the server tells of itself."""
    async with httpx.AsyncClient(trust_env=False, base_url=url) as http:
        return (await http.get("/fake")).json()


@pytest.mark.parametrize(("number", "code", "knew"), [(signal.SIGTERM, 1012, 1), (signal.SIGKILL, 1006, 0)])
async def test_next_process_goes_on_where_this_one_ended(serve: Serve, number: int, code: int, knew: int) -> None:
    url, process = serve("--scenario", "close_1012")
    async with raw_client(url) as client, httpx.AsyncClient(trust_env=False, base_url=url) as http:
        await client.init()
        await client.query("one")
        await http.get("/fake/reached/restart")
        os.kill(process.pid, number)
        assert await client.closed() == code
    process.wait()
    again, _ = serve()
    async with raw_client(again, client.session_id) as second:
        await second.init()
        await second.run("two")
    async with httpx.AsyncClient(trust_env=False, base_url=again) as http:
        events = (await http.get(f"/api/sessions/{client.session_id}/events")).json()["events"]

    ends = [event["event_type"] for event in events if event["event_type"].startswith("agent_response")]
    assert ends == ["agent_response_interrupted"] * knew + ["agent_response"]
    assert [run["number"] for run in (await seen(again))["runs"]] == [1]


async def test_script_in_a_file_is_played(serve: Serve, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(
        json.dumps([[{"do": "write", "path": "a.csv", "content": "a\n1\n"}, {"do": "fail", "status": 401}]])
    )
    url, process = serve("--script", str(script), "--models", "a,b", "--slots", "1")
    async with raw_client(url) as client, httpx.AsyncClient(trust_env=False, base_url=url) as http:
        refused = await client.init("c")
        await client.init("a")
        last = await client.run()
        written = await http.get(f"/workspace/{client.session_id}/a.csv")
        told = await seen(url)
    stop(process)

    assert refused["type"] == last["type"] == "error"
    assert written.text == "a\n1\n"
    assert told["peaks"] == {"sockets": 1, "agents": 1, "working": 1}
    assert [run["outcome"] for run in told["runs"]] == ["error"]
    assert process.returncode == 0


async def test_connection_is_cut_when_asked_from_outside(serve: Serve) -> None:
    url, _ = serve("--scenario", "waiting")
    async with raw_client(url) as client, httpx.AsyncClient(trust_env=False, base_url=url) as http:
        await client.init()
        await client.query()
        await http.get("/fake/reached/go")
        await http.post("/fake/cut_after/1")
        await http.post("/fake/open/go")

        assert await client.closed() == 1006
