"""Ids of tool calls, whatever a provider gives."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart

from tasks.agents.call_ids import CallIds


class Step:
    """As much of a run's context as ids go by."""

    def __init__(self, number: int) -> None:
        self.run_step = number


async def ids_of(answers: list[list[str]]) -> list[list[str]]:
    """The ids that the calls of a run get, answer by answer."""
    given_ids, found = CallIds(), list[list[str]]()
    for number, ids in enumerate(answers, start=1):
        response = ModelResponse(parts=[TextPart("Now."), *(ToolCallPart("look", {}, one) for one in ids)])
        own = await given_ids.after_model_request(
            cast("Any", Step(number)), request_context=cast("Any", None), response=response
        )
        found.append([part.tool_call_id for part in own.parts if isinstance(part, ToolCallPart)])
    return found


async def test_ids_that_differ_stay_as_they_are() -> None:
    assert await ids_of([["a", "b"], ["c"]]) == [["a", "b"], ["c"]]


@pytest.mark.parametrize("name", ["call_0", ""])
async def test_an_id_that_comes_again_or_is_empty_becomes_one_that_every_provider_takes(name: str) -> None:
    [_, [second]] = await ids_of([[name], [name]])
    assert second != name
    assert len(second) == 9
    assert second.isalnum()


@given(st.lists(st.lists(st.text(max_size=2), max_size=4), max_size=6))
async def test_no_two_calls_of_a_run_have_one_id_and_each_attempt_gives_the_same(answers: list[list[str]]) -> None:
    ids = await ids_of(answers)
    flat = [one for answer in ids for one in answer]
    assert len(set(flat)) == len(flat)
    assert "" not in flat
    assert await ids_of(answers) == ids
