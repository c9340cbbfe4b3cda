"""One table of frames and bodies, held against the scripted server and, with IIAGENT_URL, against a real one.

A real server needs no model for most of it; with IIAGENT_MODEL (a key of its settings) it is also asked for one word.
"""

import base64
import json
import os
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.fakes.iiagent import iiagent_server
from tests.fakes.iiagent.contract import TABLE, wrong_body, wrong_frame
from tests.fakes.iiagent.raw_client import RawClient, raw_client
from tests.fakes.iiagent.steps import Call, Fail, Frame, Wait, Write

URL, MODEL = "IIAGENT_URL", "IIAGENT_MODEL"
NO_SERVER = pytest.mark.skipif(URL not in os.environ, reason=f"{URL} names no server")

UPLOAD = "POST /api/upload"
EVENTS = "GET /api/sessions/{session_id}/events"


@dataclass(frozen=True)
class Target:
    """A server that is held to the table.

    Attributes:
        url: Base address.
        model: Key of a model; "" if it has none for us.
    """

    url: str
    model: str


@pytest.fixture(params=["scripted", pytest.param("real", marks=[pytest.mark.iiagent_live, NO_SERVER])])
async def target(request: pytest.FixtureRequest) -> AsyncIterator[Target]:
    """The scripted server, and a real one if there is one."""
    if request.param == "real":
        yield Target(os.environ[URL].rstrip("/"), os.environ.get(MODEL, ""))
        return
    async with iiagent_server("happy", models=("model",)) as fake:
        yield Target(fake.url, "model")


@pytest.fixture
async def client(target: Target) -> AsyncIterator[RawClient]:
    """A connection to a new session; whatever it gets has to be in the table."""
    async with raw_client(target.url) as connected:
        yield connected
    assert [wrong for event in connected.events for wrong in wrong_frame(event)] == []


@pytest.fixture
async def http(target: Target) -> AsyncIterator[httpx.AsyncClient]:
    """REST of the server."""
    async with httpx.AsyncClient(trust_env=False, base_url=target.url) as calls:
        yield calls


def needs_model(target: Target) -> None:
    """Skip where nobody named a model."""
    if not target.model:
        pytest.skip(f"{MODEL} names no model")


@pytest.mark.parametrize("exchange", TABLE["exchanges"], ids=lambda exchange: exchange["name"])
async def test_frame_is_answered_as_the_table_says(client: RawClient, exchange: dict[str, Any]) -> None:
    sends = exchange["sends"]
    await client.socket.send(sends if isinstance(sends, str) else json.dumps(sends))
    answers = [await client.receive() for _ in exchange["answers"]]

    assert [answer["type"] for answer in answers] == exchange["answers"]
    assert re.search(exchange.get("message", ""), answers[-1]["content"].get("message", ""))


@pytest.mark.parametrize("command", TABLE["commands"], ids=lambda command: command["name"])
async def test_slash_command_ends_with_its_own_frame(
    target: Target, client: RawClient, command: dict[str, Any]
) -> None:
    needs_model(target)
    await client.init(target.model)
    await client.query(command["name"])
    await client.until("stream_complete")

    answers = client.events[-len(command["answers"]) :]
    assert [answer["type"] for answer in answers] == command["answers"]
    assert re.search(command.get("message", ""), answers[0]["content"]["message"])


async def test_run_begins_with_processing_and_ends_with_one_frame(
    target: Target, client: RawClient, http: httpx.AsyncClient
) -> None:
    needs_model(target)
    begun = await client.init(target.model, tool_args={}, thinking_tokens=0)
    last = await client.run("Answer with the single word: yes", resume=False)
    events = (await http.get(f"/api/sessions/{client.session_id}/events")).json()
    sessions = (await http.get("/api/sessions/device")).json()

    run = client.types[2:]
    assert begun["type"] == "agent_initialized"
    assert run[0] == "processing"
    assert [kind for kind in run if kind in TABLE["ends_run"]] == [last["type"]]
    assert wrong_body(EVENTS, 200, events) == []
    assert [event["event_type"] for event in events["events"]][:1] == ["user_message"]
    assert wrong_body("GET /api/sessions/{device_id}", 200, sessions) == []
    assert client.session_id in [session["id"] for session in sessions["sessions"]]


async def test_session_that_nobody_opened_has_no_events(http: httpx.AsyncClient) -> None:
    answer = await http.get(f"/api/sessions/{uuid.uuid4()}/events")

    assert answer.json() == {"events": []}
    assert wrong_body(EVENTS, answer.status_code, answer.json()) == []


async def test_upload_gets_a_name_that_is_free(client: RawClient, http: httpx.AsyncClient) -> None:
    content = "data:text/csv;base64," + base64.b64encode(b"a,b\n").decode()
    sent = {"session_id": client.session_id, "file": {"path": "a.csv", "content": content}}
    answers = [await http.post("/api/upload", json=sent) for _ in range(2)]
    stored = await http.get(f"/workspace/{client.session_id}/uploaded_files/a.csv")

    assert [wrong_body(UPLOAD, answer.status_code, answer.json()) for answer in answers] == [[], []]
    names = [answer.json()["file"]["path"] for answer in answers]
    assert names == ["/uploaded_files/a.csv", "/uploaded_files/a_1.csv"]
    assert stored.content == b"a,b\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"file": {"path": "a.csv", "content": "x"}}, 400),
        ({"session_id": str(uuid.uuid4()), "file": {}}, 400),
        ({"session_id": str(uuid.uuid4()), "file": {"path": "a.csv", "content": "x"}}, 404),
        ("no JSON", 500),
    ],
)
async def test_upload_that_cannot_be_is_refused(http: httpx.AsyncClient, sent: Any, status: int) -> None:
    body = sent if isinstance(sent, str) else json.dumps(sent)
    answer = await http.post("/api/upload", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == status


async def test_file_has_ranges_and_a_tag_and_nothing_outside_is_shown(
    client: RawClient, http: httpx.AsyncClient
) -> None:
    content = "data:text/plain;base64," + base64.b64encode(b"0123456789").decode()
    sent = {"session_id": client.session_id, "file": {"path": "ten.txt", "content": content}}
    await http.post("/api/upload", json=sent)
    path = f"/workspace/{client.session_id}/uploaded_files/ten.txt"

    whole, part = await http.get(path), await http.get(path, headers={"Range": "bytes=2-4"})
    head = await http.head(path)
    same = await http.get(path, headers={"If-None-Match": whole.headers["ETag"]})
    climbing = ["/workspace/%2e%2e/%2e%2e/etc/passwd", f"/workspace/{client.session_id}/..%2f..%2f..%2fetc%2fpasswd"]
    elsewhere = [await http.get(name) for name in [*climbing, f"/workspace/{client.session_id}/", f"{path}.no"]]

    assert (part.status_code, part.content) == (206, b"234")
    assert (head.status_code, head.content, head.headers["Content-Length"]) == (200, b"", "10")
    assert same.status_code == 304
    assert whole.headers["Last-Modified"]
    assert [answer.status_code for answer in elsewhere] == [404] * 4


async def test_api_tells_the_paths_of_its_generation(http: httpx.AsyncClient) -> None:
    paths = (await http.get("/openapi.json")).json()["paths"]

    assert sorted(paths) == sorted(TABLE["openapi_paths"])


async def test_scripted_server_sends_every_frame_of_the_table() -> None:
    picture = [{"type": "text", "text": "a page"}, {"type": "image", "source": {}}]
    shown = [Frame("browser_use", {"url": "http://127.0.0.1"}), Call("browser_view", {}, picture, thinking="I look.")]
    runs = [[*shown, Write("a.txt", "a\n")], [Wait("go"), Call("shell_exec")], [Fail(500, "down")]]
    async with iiagent_server(runs) as fake, raw_client(fake.url) as client:
        begun = [await client.ask("workspace_info"), await client.ask("ping"), await client.init()]
        better = await client.ask("enhance_prompt", model_name="model", text="do it", files=[])
        await client.run()
        await client.query()
        await fake.reached("go")
        await client.send("cancel")
        await client.until("system")
        fake.open("go")
        await client.until("agent_response_interrupted")
        await client.run()
        await client.run("/compact")
        await client.query("/help")
        await client.until("stream_complete")

        assert begun[-1]["type"] == "agent_initialized"
        assert better["content"]["original_request"] == "do it"
        assert [wrong for event in client.events for wrong in wrong_frame(event)] == []
        assert set(client.types) == set(TABLE["server"])
        assert [wrong for frame in fake.received[client.session_id] for wrong in wrong_frame(frame, "client")] == []


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "pong"},
        {"type": "unheard_of", "content": {}},
        {"type": "pong", "content": {"at": 1}},
        {"type": "tool_call", "content": {"tool_name": "x", "tool_input": {}}},
        {"type": "file_edit", "content": {"path": "a", "content": "", "total_lines": "1"}},
    ],
)
def test_frame_that_is_not_in_the_table_is_noticed(frame: dict[str, Any]) -> None:
    assert wrong_frame(frame)
