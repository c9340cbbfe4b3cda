"""The text job."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from blocks.errors import BadInput
from blocks.job import JobOptions
from blocks.settings import settings
from blocks.store import open_store
from deployments.simulator.asked import Asked
from flows import process_text
from tasks.quality.audit.costs import read_booked
from tasks.quality.audit.period import Period
from tests.fakes.llm.agent_model import agent_model
from tests.fakes.stored_jobs import SUMMARY

MEETING = """
Anna: Good morning, let us begin with the budget.
David: We decided to approve the budget of 25000 dollars.
Anna: Maria will send the contract to the customer by Friday.
"""
CUOC_HOP = """
Anh Nam: Chúng ta bắt đầu cuộc họp về ngân sách quý ba.
Chị Lan: Chúng tôi đã quyết định phê duyệt ngân sách 25 triệu đồng.
"""


async def test_a_text_is_summarised(prefect_api: str) -> None:
    result = await process_text(MEETING)
    assert result.status == "complete"
    assert result.language == "en"
    assert result.summary
    assert {"source.txt", "transcript.txt", "transcript.md", "summary.json"} <= set(result.files)
    assert "transcript.srt" not in result.files


async def test_vietnamese_is_recognised_by_its_letters(prefect_api: str) -> None:
    result = await process_text(CUOC_HOP)
    assert result.language == "vi"
    assert "25 triệu" in open_store().read_bytes(result.files["transcript.txt"].key).decode()


async def test_the_same_text_is_one_job(prefect_api: str) -> None:
    assert await process_text(MEETING) == await process_text(MEETING)
    assert (await process_text(MEETING)).job_id != (
        await process_text(MEETING, JobOptions(template="meeting_notes"))
    ).job_id


async def test_an_empty_text_is_refused(prefect_api: str) -> None:
    with pytest.raises(BadInput, match="empty"):
        await process_text(" \n ")


async def test_a_text_travels_by_reference(prefect_api: str) -> None:
    given = await process_text(MEETING)
    open_store().put_bytes("uploads/1/meeting.txt", MEETING.encode())
    found = await process_text(source="store://uploads/1/meeting.txt")
    assert found.job_id == given.job_id
    other = await process_text(source="store://uploads/1/meeting.txt", options=JobOptions(template="meeting_notes"))
    assert other.source_name == "meeting.txt"


async def test_a_text_file_of_this_machine_is_read(prefect_api: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("\ufeff" + MEETING)
    assert (await process_text(source=str(tmp_path / "notes.txt"))).source_name == "notes.txt"


@pytest.mark.parametrize("given", [{}, {"text": MEETING, "source": "notes.txt"}])
async def test_a_text_is_given_in_one_way(prefect_api: str, given: dict[str, str]) -> None:
    with pytest.raises(BadInput, match=r"(neither|both) a text"):
        await process_text(**given)


async def test_what_is_no_text_is_refused(prefect_api: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(BadInput, match="no text in UTF-8"):
        await process_text(source=str(tmp_path / "notes.txt"))


async def test_its_cost_is_in_the_books_under_its_id(prefect_api: str) -> None:
    def answer(asked: Asked) -> str:
        wanted = str(asked.body.get("response_format", ""))
        lines = MEETING.strip().splitlines()
        said = {"lines": lines} if "'lines'" in wanted else SUMMARY
        return json.dumps(said)

    options = JobOptions(features=("clean_transcript", "summary"), template="meeting_notes", language_engine="pool")
    before = datetime.now(UTC)
    with agent_model(settings().accounts_file, answer) as model:
        result = await process_text(MEETING, options)
        assert model.calls == 2
    booked = read_booked(settings().books_url, Period(since=before, until=datetime.now(UTC)))
    assert (result.status, result.notices) == ("complete", ())
    assert result.metrics.cost_usd
    assert booked.by_job == {result.job_id: pytest.approx(result.metrics.cost_usd, rel=1e-6)}
