"""Names of runs in the Prefect UI."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName

from flows import process_text
from flows.names import LONGEST_NAME, name_of_parameters, plain


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"source": "/recordings/meeting.flac"}, "meeting.flac"),
        ({"source": "meeting.flac"}, "meeting.flac"),
        ({"source": "file:///recordings/two%20words.wav"}, "two%20words.wav"),
        ({"source": "https://anna:secret@example.org/a/talk%20one.ogg?token=secret#t=1"}, "talk one.ogg"),
        ({"source": "https://anna:secret@example.org/"}, "example.org"),
        ({"source": "https://[broken"}, "https"),
        ({"source": "s3://bucket/calls/17.mp3"}, "17.mp3"),
        ({"source": "store://uploads/0af1/Cuộc họp.mp3"}, "Cuộc họp.mp3"),
        ({"sources": ["recordings/"]}, "recordings"),
        ({"sources": ["a/1.wav", "b/2.wav", "c/3.wav"]}, "1.wav and 2 more"),
        ({"text": "We decided.", "source_name": "notes.txt"}, "notes.txt"),
        ({"text": "We decided.", "source_name": None, "source": None}, "text"),
        ({"source": "line\nbreak\x1b[31m.wav"}, "line break [31m.wav"),
        ({"source": ""}, "text"),
        ({"source": "/"}, "unnamed"),
    ],
)
def test_a_run_is_called_as_its_file(parameters: dict[str, Any], name: str) -> None:
    assert name_of_parameters(parameters) == name


@given(st.text())
def test_any_name_is_one_short_printable_line(name: str) -> None:
    shown = plain(name)
    assert 0 < len(shown) <= LONGEST_NAME
    assert shown.isprintable()


def test_a_long_name_keeps_its_ending() -> None:
    assert plain("x" * 200 + "-part-7.wav").endswith("-part-7.wav")


async def test_a_run_started_by_hand_shows_its_name(prefect_api: str) -> None:
    await process_text("We decided to approve the budget.", source_name="quarterly notes.txt")
    wanted = FlowRunFilter(name=FlowRunFilterName(any_=["quarterly notes.txt"]))
    async with get_client() as client:
        assert len(await client.read_flow_runs(flow_run_filter=wanted)) == 1
