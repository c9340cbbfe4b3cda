"""The text job."""

from pathlib import Path

import pytest

from blocks.errors import BadInput
from blocks.job import JobOptions
from blocks.store import open_store
from flows import process_text

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
