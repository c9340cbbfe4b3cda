"""What is said of MCP servers in a file, what was accepted of them, and the schemas of strangers."""

import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from blocks.errors import BadInput, Conflict, StoreFailed, Unsupported
from tasks.agents.tools.mcp import read_mcp
from tasks.agents.tools.mcp.file import McpServer
from tasks.agents.tools.mcp.pins import Pins
from tasks.agents.tools.mcp.schema import arguments_of
from tasks.agents.tools.mcp.tools import McpOffer, offered

GOOD = """
servers:
  tickets:
    command: [tickets-mcp, --read-only]
    secret_env: {TOKEN: env:TICKETS_TOKEN}
    usual: {risk: medium}
    tools:
      search: {risk: low, read_only: true, outside: false}
  wiki:
    url: https://wiki.example.com/mcp
    headers: {Authorization: prefect:wiki-token}
  old:
    command: [old]
    enabled: false
"""


def test_a_file_names_servers_and_what_holds_for_their_tools(tmp_path: Path) -> None:
    (tmp_path / "mcp.yaml").write_text(GOOD)
    found = read_mcp(tmp_path / "mcp.yaml")
    assert list(found.by_name) == ["tickets", "wiki"] and found.folder == tmp_path
    tickets = found.by_name["tickets"]
    assert (tickets.rule("search").risk, tickets.rule("close").risk, tickets.rule("close").outside) == (
        *("low", "medium", True),
    )
    assert found.by_name["wiki"].rule("any").risk == "high"
    assert read_mcp(tmp_path / "none.yaml").by_name == {}


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("servers:\n  a:\n    risk: low\n", 3, "no such field"),
        ("servers:\n  a: {}\n", 2, "either a command or a url"),
        ("servers:\n  a:\n    command: [x]\n    url: https://x.example/\n", 2, "either a command or a url"),
        ("servers:\n  a:\n    url: https://x.example/\n    env: {A: b}\n", 2, "belong to a command"),
        ("servers:\n  a:\n    command: [x]\n    headers: {A: env:B}\n", 2, "belong to a url"),
        ("servers:\n  a:\n    command: [x]\n    secret_env:\n      A: sk-123\n", 5, "never the secret itself"),
        ("servers:\n  a:\n    url: ftp://x\n", 3, "no http"),
        ("servers:\n  A-B:\n    command: [x]\n", 2, "not of the form"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, line: int, why: str) -> None:
    (tmp_path / "mcp.yaml").write_text(text)
    with pytest.raises(BadInput, match=why) as caught:
        read_mcp(tmp_path / "mcp.yaml")
    assert caught.value.details["line"] == line
    assert "sk-123" not in caught.value.message


def said(name: str, description: str = "does it", **schema: Any) -> dict[str, Any]:
    return {"name": name, "description": description, "inputSchema": {"type": "object", **schema}}


def test_a_new_server_is_accepted_and_a_new_tool_of_it_is_not(tmp_path: Path) -> None:
    pins = Pins(tmp_path / "pins.json")
    assert pins.hold("a", {"x": said("x")}) == set()
    assert pins.hold("a", {"x": said("x"), "y": said("y")}) == {"y"}
    assert pins.hold("a", {"x": said("x", "does more"), "y": said("y")}) == {"x", "y"}
    assert pins.hold("b", {"y": said("y")}) == set()
    assert pins.waiting() == {"a": {"x": said("x", "does more"), "y": said("y")}}


def test_a_change_that_is_taken_back_is_no_change(tmp_path: Path) -> None:
    pins = Pins(tmp_path / "pins.json")
    pins.hold("a", {"x": said("x")})
    pins.hold("a", {"x": said("x", "else")})
    assert pins.hold("a", {"x": said("x")}) == set() and pins.waiting() == {}


def test_what_is_accepted_is_what_somebody_looked_at(tmp_path: Path) -> None:
    pins = Pins(tmp_path / "pins.json")
    pins.hold("a", {"x": said("x"), "y": said("y")})
    pins.hold("a", {"x": said("x", "else"), "y": said("y", "else")})
    looked_at = pins.waiting_of("a")
    assert pins.waiting_of("a", "y") == {"y": said("y", "else")}
    pins.hold("a", {"x": said("x", "else"), "y": said("y", "evil")})
    with pytest.raises(Conflict, match="'y' by now"):
        pins.accept("a", looked_at)
    assert set(pins.waiting_of("a")) == {"x", "y"}
    assert pins.accept("a", pins.waiting_of("a", "x")) == ["x"]
    assert pins.hold("a", {"x": said("x", "else"), "y": said("y")}) == set()


def test_a_tool_that_was_away_is_still_known(tmp_path: Path) -> None:
    pins = Pins(tmp_path / "pins.json")
    pins.hold("a", {"x": said("x"), "y": said("y")})
    pins.hold("a", {"y": said("y")})
    assert pins.hold("a", {"x": said("x"), "y": said("y")}) == set()
    assert pins.hold("a", {"x": said("x", properties={"path": {"type": "string"}})}) == {"x"}


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    def hold(number: int) -> None:
        Pins(tmp_path / "pins.json").hold(f"s{number}", {"x": said("x")})

    threads = [threading.Thread(target=hold, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json.loads((tmp_path / "pins.json").read_text())["servers"]) == 12


def test_a_damaged_file_accepts_nothing(tmp_path: Path) -> None:
    (tmp_path / "pins.json").write_text('{"servers": 3}')
    with pytest.raises(StoreFailed):
        Pins(tmp_path / "pins.json").hold("a", {"x": said("x")})


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "array"}, "not of type object"),
        ({"properties": {"a": {"$ref": "https://evil.example/schema"}}}, "leads out of itself"),
        ({"properties": {"a": {"$ref": "#/nowhere"}}}, "into nothing"),
        ({"properties": {"a": {"type": "nonsense"}}}, "no JSON Schema"),
        ({"properties": {str(n): {"type": "string"} for n in range(2000)}}, "more than"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(schema: dict[str, Any], why: str) -> None:
    with pytest.raises(Unsupported, match=why):
        arguments_of("x", schema)


def test_expressions_of_a_stranger_are_not_run() -> None:
    form = arguments_of("x", {"properties": {"pattern": {"type": "string", "pattern": "^(a+)+$"}}})
    assert form.model_validate({"pattern": "a" * 60 + "!"}).model_dump() == {"pattern": "a" * 60 + "!"}


def test_fields_that_a_schema_leaves_open_are_taken() -> None:
    open_form = arguments_of("x", {"properties": {"a": {}}, "additionalProperties": True})
    assert open_form.model_validate({"b": 1}).model_dump() == {"b": 1}
    closed = arguments_of("x", {"properties": {"a": {}}})
    with pytest.raises(ValidationError):
        closed.model_validate({"b": 1})


WHOLE = arguments_of("x", {"properties": {"a": {"type": "integer"}}, "required": ["a"]})


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner)))
def test_any_value_is_accepted_or_refused(value: Any) -> None:
    try:
        assert isinstance(WHOLE.model_validate({"a": value}).model_dump()["a"], int)
    except ValidationError:
        assert not isinstance(value, int) or isinstance(value, bool)


def test_names_that_are_none_or_collide_are_left_out(tmp_path: Path) -> None:
    connection: Any = SimpleNamespace(name="a", server=McpServer(command=("x",)))
    offer = McpOffer()
    names = ("get-it", "get_it", "x\u202ey", "a b", "fine", "a" * 60)
    found = list(offered(connection, [said(name) for name in names], Pins(tmp_path / "pins.json"), offer))
    assert [tool.name for tool in found] == ["mcp_a_fine"]
    assert len(offer.absent) == 5 and all(key.isascii() for key in offer.absent)
    assert all(len(tool.name) <= 64 for tool in found)
