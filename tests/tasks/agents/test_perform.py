"""What of a tool's result the model sees."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from blocks.errors import BadInput
from tasks.agents.folded import as_text
from tasks.agents.perform import capped, checked_arguments
from tasks.agents.tool import Call, Tool


class Path(BaseModel):
    model_config = ConfigDict(extra="forbid")

    path: str


async def nothing(_arguments: Path, _call: Call) -> str:
    return ""


TOOL = Tool(name="look", description="Look.", arguments=Path, call=nothing)


def test_a_short_result_is_left_as_it_is() -> None:
    assert capped({"rows": [1, 2]}, 100) == {"rows": [1, 2]}


def test_a_long_result_keeps_beginning_and_end_and_says_what_is_left_out() -> None:
    shown = capped("a" * 1000 + "z" * 1000, 400)
    assert shown.startswith("a" * 300)
    assert shown.endswith("z" * 100)
    assert "1600 characters left out" in shown


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=20))
def test_whatever_a_tool_gives_is_never_longer_than_allowed(result: object) -> None:
    assert len(as_text(capped(result, 50))) <= 50 + len("\n… 1000000 characters left out …\n")


@pytest.mark.parametrize("arguments", [{}, {"path": 1}, {"path": "a", "more": 1}])
def test_wrong_arguments_are_named(arguments: dict[str, object]) -> None:
    with pytest.raises(BadInput, match=r"path|more"):
        checked_arguments(TOOL, arguments)
