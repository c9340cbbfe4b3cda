"""Names of files come from events, and from lists that agents write."""

import pytest

from blocks.errors import BadInput
from blocks.iiagent.events import Event, parse_event
from blocks.iiagent.named import listed, names_in


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'[{"name": 1}]', b"[" * 9999, b'[{"name":"a","sha256":"x"}]'])
def test_a_list_of_another_form_is_refused_with_words_for_the_agent(content: bytes) -> None:
    with pytest.raises(BadInput) as refused:
        listed(content)
    assert refused.value.details == {"field": "manifest"}
    assert "files" in refused.value.fix


def test_names_come_from_events() -> None:
    def call(tool: str, **given: object) -> Event:
        return parse_event({"type": "tool_call", "content": {"tool_name": tool, "tool_input": given}})

    events = [
        parse_event({"type": "file_edit", "content": {"path": "/w/a.csv", "content": "x"}}),
        call("str_replace_editor", command="create", path="b.csv"),
        call("str_replace_editor", command="view", path="read.csv"),
        call("str_replace_editor", command="create", path=7),
        call("generate_image_from_text", output_filename="pictures/c.png"),
        call("bash", command="touch d"),
        parse_event({"type": "file_edit", "content": {"path": "/w/a.csv", "content": "y"}}),
        parse_event("nonsense"),
    ]
    assert names_in(events) == ["/w/a.csv", "b.csv", "pictures/c.png"]
