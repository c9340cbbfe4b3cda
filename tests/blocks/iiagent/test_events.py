"""Frames become events of a type; what nobody knows passes through, and nothing makes parsing fail."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.iiagent.archive import told
from blocks.iiagent.events import (
    KNOWN,
    STORED,
    AgentResponse,
    FileEdit,
    SystemMessage,
    ToolCall,
    ToolResult,
    UnknownEvent,
    parse_event,
)
from blocks.iiagent.turn import Tally, Turn

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)


@given(JSON | st.fixed_dictionaries({"type": st.sampled_from(sorted(KNOWN)), "content": JSON}))
def test_no_frame_makes_parsing_fail(frame: object) -> None:
    event = parse_event(frame)
    Tally().take(event)
    assert len(told(event)) <= 300
    if isinstance(frame, dict) and isinstance(frame.get("type"), str):
        assert event.type == frame["type"]


def test_fields_are_those_of_the_content_and_new_ones_are_dropped() -> None:
    event = parse_event({"type": "tool_call", "content": {"tool_name": "x", "tool_input": {"a": 1}, "new": 2}})
    assert isinstance(event, ToolCall) and (event.tool_name, event.tool_input) == ("x", {"a": 1})
    system = parse_event({"type": "system", "content": {"message": "m", "type": "reviewer_agent"}})
    assert isinstance(system, SystemMessage) and system.kind == "reviewer_agent"


@pytest.mark.parametrize("frame", [None, "text", [], {}, {"type": 7}, {"type": "tool_call", "content": 3}])
def test_what_is_none_is_unknown(frame: object) -> None:
    assert isinstance(parse_event(frame), UnknownEvent)


def test_a_response_without_a_text_ends_no_run() -> None:
    compacted, ended = (
        parse_event({"type": "agent_response"}),
        parse_event({"type": "agent_response", "content": {"text": ""}}),
    )
    assert isinstance(compacted, AgentResponse) and not compacted.ends_run
    assert isinstance(ended, AgentResponse) and ended.ends_run
    assert Tally.of([compacted]).stored == 0


def test_errors_are_not_stored() -> None:
    assert "error" not in STORED and "agent_response_interrupted" in STORED


def test_files_and_messages_are_counted() -> None:
    tally = Tally.of(
        [
            ToolCall(tool_name="str_replace_editor", tool_input={"command": "create", "path": "/w/a.csv"}),
            FileEdit(path="/w/a.csv", content="x"),
            FileEdit(path="/w/b.csv", content="x"),
            ToolCall(tool_name="str_replace_editor", tool_input={"command": "view", "path": "/w/c.csv"}),
            ToolCall(tool_name="message_user", tool_input={"text": "Which one?"}),
            ToolCall(tool_name="message_user", tool_input={"text": 5}),
        ]
    )
    assert list(tally.files) == ["/w/a.csv", "/w/b.csv"] and tally.messages == ["Which one?"]


@pytest.mark.parametrize(
    ("messages", "response", "answer"),
    [(("a", "b"), "Task completed", "b"), ((), "Task completed", ""), ((), "An answer.", "An answer.")],
)
def test_the_answer_is_what_was_said_and_never_the_constant(
    messages: tuple[str, ...], response: str, answer: str
) -> None:
    assert Turn(ended="response", messages=messages, response=response).answer == answer


def test_log_lines_have_no_contents_of_files_and_no_secrets() -> None:
    key = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD"
    lines: dict[str, Any] = {
        "edit": told(FileEdit(path="/w/a.csv", content="inside\n" * 9, total_lines=9)),
        "call": told(ToolCall(tool_name="editor", tool_input={"file_text": "inside\nmore", "path": "a"})),
        "shell": told(ToolCall(tool_name="shell", tool_input={"command": f"curl -H 'X: {key}'"})),
        "result": told(ToolResult(tool_name="view", result=[{"type": "image", "data": "A" * 9_000_000}])),
    }
    assert lines["edit"] == "file_edit /w/a.csv (9 lines)"
    assert "inside" not in lines["call"] and "(2 lines)" in lines["call"]
    assert key not in lines["shell"]
    assert all(len(line) <= 300 and "\n" not in line for line in lines.values())
