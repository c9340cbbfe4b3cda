"""A file is sent once, whatever becomes of the answers."""

import hashlib
import os
import unicodedata
from pathlib import Path

import pytest

from blocks.errors import BadInput, EngineFailed, EngineUnavailable, NotFound, TooLarge
from blocks.iiagent.paths import UnsafeName
from blocks.iiagent.rest import AgentRest
from blocks.iiagent.stored import Uploaded
from blocks.iiagent.upload import upload
from tests.blocks.iiagent.files import served

CONTENT = "chủ đề,bước\n".encode()


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "uploaded_files").iterdir()}


async def test_a_file_arrives_as_it_is_and_the_state_can_keep_it(tmp_path: Path) -> None:
    source = tmp_path / unicodedata.normalize("NFD", "dữ liệu.csv")
    source.write_bytes(CONTENT)
    async with served() as at:
        name, sent = await upload(at.rest, at.session_id, source)
        assert files_of(at.folder) == {"dữ liệu.csv": CONTENT}
    assert name == "dữ liệu.csv"
    assert sent.path == "./uploaded_files/dữ liệu.csv"
    assert (sent.sha256, sent.size_bytes) == (hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


@pytest.mark.parametrize("content", [b"", b"data:text/plain,no URL", bytes(range(256))])
async def test_any_content_arrives_byte_for_byte(content: bytes) -> None:
    async with served() as at:
        await upload(at.rest, at.session_id, content, "a.bin")
        assert files_of(at.folder) == {"a.bin": content}


async def test_a_try_again_after_a_lost_answer_leaves_one_file() -> None:
    async with served(lost_replies=1) as at:
        with pytest.raises(EngineUnavailable):
            await upload(at.rest, at.session_id, CONTENT, "a.csv")
        _, sent = await upload(at.rest, at.session_id, CONTENT, "a.csv")
        assert files_of(at.folder) == {"a.csv": CONTENT}
    assert sent.path == "./uploaded_files/a.csv"
    assert len(at.fake.uploads) == 1


async def test_a_try_again_finds_its_file_under_the_name_that_the_server_gave_it() -> None:
    async with served(name_taken=True, lost_replies=1) as at:
        with pytest.raises(EngineUnavailable):
            await upload(at.rest, at.session_id, CONTENT, "a.csv")
        _, sent = await upload(at.rest, at.session_id, CONTENT, "a.csv")
        assert files_of(at.folder) == {"a.csv": b"of somebody else", "a_1.csv": CONTENT}
    assert sent.path == "./uploaded_files/a_1.csv"


async def test_the_name_that_the_server_gives_is_kept() -> None:
    async with served(name_taken=True) as at:
        name, sent = await upload(at.rest, at.session_id, CONTENT, "a.csv")
    assert (name, sent.path) == ("a.csv", "./uploaded_files/a_1.csv")


async def test_a_file_that_the_agent_changed_is_sent_anew() -> None:
    async with served() as at:
        name, sent = await upload(at.rest, at.session_id, CONTENT, "a.csv")
        at.put("uploaded_files/a.csv", bytes(len(CONTENT)))
        _, again = await upload(at.rest, at.session_id, CONTENT, "a.csv", known={name: sent})
    assert again.path == "./uploaded_files/a_1.csv"


async def test_what_the_state_knows_is_not_sent_again() -> None:
    async with served(name_taken=True) as at:
        name, sent = await upload(at.rest, at.session_id, CONTENT, "a.csv")
        assert await upload(at.rest, at.session_id, CONTENT, "a.csv", known={name: sent}) == (name, sent)
    assert len(at.fake.uploads) == 1


@pytest.mark.parametrize("size", [8, 9])
async def test_the_cap_holds_before_anything_is_sent(tmp_path: Path, size: int) -> None:
    (tmp_path / "a").write_bytes(bytes(size))
    async with served() as at:
        if size == 8:
            await upload(at.rest, at.session_id, tmp_path / "a", most_bytes=8)
        else:
            for source in (tmp_path / "a", bytes(size)):
                with pytest.raises(TooLarge) as refused:
                    await upload(at.rest, at.session_id, source, "a", most_bytes=8)
                assert refused.value.details["field"] == "files"
    assert len(at.fake.uploads) == (size == 8)


async def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    async with served() as at:
        with pytest.raises(BadInput):
            await upload(at.rest, at.session_id, tmp_path / "pipe")
        with pytest.raises(BadInput):
            await upload(at.rest, at.session_id, tmp_path)
        with pytest.raises(NotFound):
            await upload(at.rest, at.session_id, tmp_path / "none")
        with pytest.raises(UnsafeName):
            await upload(at.rest, at.session_id, b"x", "..")
        with pytest.raises(BadInput):
            await upload(at.rest, "../sessions", b"x", "a")
    assert at.fake.uploads == []


@pytest.mark.parametrize("path", ["../../etc/passwd", "/uploaded_files/a\n", "", "\\a"])
async def test_a_path_that_no_server_has_a_reason_to_tell_is_not_kept(path: str) -> None:
    class Lying(AgentRest):
        async def upload(
            self, session: str, name: str, content: bytes, media_type: str = "application/octet-stream"
        ) -> Uploaded:
            told = await super().upload(session, name, content, media_type)
            return told.model_copy(update={"path": path})

    async with served() as at, Lying(at.rest.server) as rest:
        with pytest.raises(EngineFailed) as refused:
            await upload(rest, at.session_id, CONTENT, "a.csv")
    assert refused.value.details["field"] == "upload"


async def test_a_file_that_was_kept_short_is_told() -> None:
    class Short(AgentRest):
        async def upload(
            self, session: str, name: str, content: bytes, media_type: str = "application/octet-stream"
        ) -> Uploaded:
            return await super().upload(session, name, content[:-1], media_type)

    async with served() as at, Short(at.rest.server) as rest:
        with pytest.raises(EngineFailed, match="kept"):
            await upload(rest, at.session_id, CONTENT, "a.csv")
