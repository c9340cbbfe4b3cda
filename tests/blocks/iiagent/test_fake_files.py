"""The scripted server's files: uploads, hostile names, tables that are answers to rows."""

import csv
import json

import httpx
import pytest

from tests.fakes.iiagent import FakeServer, iiagent_server
from tests.fakes.iiagent.hostile import HOSTILE_NAMES
from tests.fakes.iiagent.raw_client import RawClient, raw_client
from tests.fakes.iiagent.rows import Row, answering, rows_in
from tests.fakes.iiagent.scenarios import BIG_BYTES

ROWS = [{"row_key": f"k{number}", "text": f"câu {number}"} for number in range(5)]
PROMPT = f"Answer each row [all of them]:\n```json\n{json.dumps(ROWS, ensure_ascii=False)}\n```\nWrite output_1.csv."


async def upload(fake: FakeServer, client: RawClient, name: str, content: str) -> httpx.Response:
    """Send a file as plain text."""
    sent = {"session_id": client.session_id, "file": {"path": name, "content": content}}
    async with httpx.AsyncClient(trust_env=False, base_url=fake.url) as http:
        return await http.post("/api/upload", json=sent)


def table(fake: FakeServer, client: RawClient, name: str) -> list[Row]:
    """Rows of a file of the session."""
    with (fake.workspace(client.session_id) / name).open(newline="") as lines:
        return list(csv.DictReader(lines))


async def test_name_that_is_taken_gets_a_number() -> None:
    async with iiagent_server("upload_collision") as fake, raw_client(fake.url) as client:
        answer = await upload(fake, client, "a.csv", "mine")
        await client.init()
        await client.run(files=["./uploaded_files/a_1.csv", "./uploaded_files/no.csv"])

        said = [event["content"]["result"] for event in client.events if event["type"] == "tool_result"]
        assert answer.json()["file"]["path"] == "/uploaded_files/a_1.csv"
        assert said[0] == "4 bytes"
        assert said[2] == "not found"


async def test_upload_whose_answer_is_lost_is_there_all_the_same() -> None:
    async with iiagent_server("upload_reply_lost") as fake, raw_client(fake.url) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await upload(fake, client, "a.csv", "mine")
        again = await upload(fake, client, "a.csv", "mine")

        assert again.json()["file"]["path"] == "/uploaded_files/a_1.csv"
        assert len(fake.uploads) == 2


async def test_upload_leaves_the_folder_of_uploads_never() -> None:
    async with iiagent_server() as fake, raw_client(fake.url) as client:
        answer = await upload(fake, client, "../../escape.txt", "out")

        assert answer.status_code == 400
        assert not (fake.sessions.workspaces / "escape.txt").exists()


async def test_download_breaks_off_where_it_was_told_to() -> None:
    async with iiagent_server() as fake, raw_client(fake.url) as client:
        (fake.workspace(client.session_id) / "a.txt").write_text("0123456789")
        path = f"/workspace/{client.session_id}/a.txt"
        fake.cut_download_after(4)
        async with httpx.AsyncClient(trust_env=False, base_url=fake.url) as http:
            with pytest.raises(httpx.RemoteProtocolError):
                await http.get(path)
            rest = await http.get(path, headers={"Range": "bytes=4-"})

        assert rest.text == "456789"


async def test_link_out_of_the_workspace_is_not_served() -> None:
    async with iiagent_server() as fake, raw_client(fake.url) as client:
        (fake.workspace(client.session_id) / "link").symlink_to("/etc/hostname")
        async with httpx.AsyncClient(trust_env=False, base_url=fake.url) as http:
            answer = await http.get(f"/workspace/{client.session_id}/link")

        assert answer.status_code == 404


async def test_hostile_server_gives_out_what_its_events_name() -> None:
    async with iiagent_server("hostile_paths") as fake, raw_client(fake.url) as client:
        await client.init()
        await client.run()
        named = {event["content"]["path"] for event in client.events if event["type"] == "file_edit"}
        async with httpx.AsyncClient(trust_env=False, base_url=fake.url) as http:
            answer = await http.get(f"/workspace/{client.session_id}/%2e%2e/escape.txt")

        assert set(HOSTILE_NAMES) < named
        assert answer.content == b"hostile"


async def test_frames_may_be_larger_than_a_mebibyte() -> None:
    async with iiagent_server("big_frame") as fake, raw_client(fake.url) as client:
        await client.init()
        await client.run()

        assert max(len(json.dumps(event)) for event in client.events) > BIG_BYTES


async def test_rows_of_a_prompt_are_answered_in_the_file_that_it_names() -> None:
    async with iiagent_server("rows") as fake, raw_client(fake.url) as client:
        await client.init()
        await client.run(PROMPT)

        written = table(fake, client, "output_1.csv")
        assert written == [{"row_key": row["row_key"], "output": f"answer to {row['text']}"} for row in ROWS]


async def test_rows_that_were_lost_are_added_when_they_are_asked_for_again() -> None:
    steps = answering(
        lambda row: [{"row_key": row["row_key"], "step": step} for step in "12"],
        loses=lambda run, row: run.number == 0 and row["row_key"] in ("k1", "k3"),
    )
    async with iiagent_server(steps) as fake, raw_client(fake.url) as client:
        await client.init()
        await client.run(PROMPT)
        short = table(fake, client, "output_1.csv")
        await client.run(f"Missing: {json.dumps([ROWS[1], ROWS[3]])} in output_1.csv")

        keys = [(row["row_key"], row["step"]) for row in table(fake, client, "output_1.csv")]
        assert len(short) == 6
        assert sorted(keys) == [(row["row_key"], step) for row in ROWS for step in "12"]


async def test_rows_of_an_uploaded_file_are_answered() -> None:
    async with iiagent_server("rows") as fake, raw_client(fake.url) as client:
        await upload(fake, client, "rows.json", json.dumps(ROWS))
        await client.init()
        await client.run("Answer the rows of rows.json.", files=["./uploaded_files/rows.json"])

        assert [row["row_key"] for row in table(fake, client, "output.csv")] == [row["row_key"] for row in ROWS]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("no rows [1, 2] {}", []),
        ('{"rows": [{"id": 1}]} and [{"id": 2}]', [1]),
        ('{"id": 1}\n{"id": 2}\n', [1, 2]),
        ('a [list] of {braces} then [{"id": "]"}]', ["]"]),
    ],
)
def test_rows_are_found_in_a_text(text: str, keys: list[object]) -> None:
    assert [row["id"] for row in rows_in(text)] == keys
