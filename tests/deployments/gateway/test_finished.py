"""One real job, done once: its status and its files as clients read them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from blocks.keys import KeyRing
from blocks.store import LocalFiles
from deployments.gateway.answers.field_names import VIETNAMESE
from tests.deployments.gateway.gateways import Gateway
from tests.deployments.gateway.working import process, run_job, stored_gateway
from tests.processes import free_port

ALL = "raw_transcript,clean_transcript,summary,enhancement_metrics"
NAME = "Cuộc họp “sáng”.wav"


@pytest.fixture(scope="module")
def server(deployed: str, store_path: Path) -> Iterator[Gateway]:
    with stored_gateway(deployed, store_path) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Gateway) -> Iterator[httpx.Client]:
    with server.client() as opened:
        yield opened


@pytest.fixture(scope="module")
def recording(sentence: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("named") / NAME
    path.write_bytes(sentence.read_bytes())
    return path


@pytest.fixture(scope="module")
def task(client: httpx.Client, deployed: str, store_path: Path, recording: Path) -> str:
    """A finished task with everything a job can make."""
    task_id = process(client, recording, features=ALL, template_id="meeting_notes")
    run_job(deployed, task_id, store_path)
    assert client.get(f"/v1/status/{task_id}").json()["status"] == "COMPLETE"
    return task_id


@pytest.fixture(scope="module")
def status(client: httpx.Client, task: str) -> dict[str, Any]:
    answer = client.get(f"/v1/status/{task}")
    assert answer.status_code == 200
    return answer.json()


def test_the_status_has_every_field_of_the_reference(status: dict[str, Any], task: str) -> None:
    assert status["task_id"] == task
    assert status["submitted_at"] < status["completed_at"]
    assert status["versions"].keys() == {"pipeline_version", "asr_backend", "llm"}
    assert status["versions"]["asr_backend"].keys() == {
        "name", "model_variant", "model_path", "checkpoint_hash", "compute_type", "decoding_params",
    }  # fmt: skip
    assert status["versions"]["llm"].keys() == {
        "name", "checkpoint_hash", "quantization", "thinking", "reasoning_parser", "structured_output",
        "decoding_params",
    }  # fmt: skip
    assert status["versions"]["asr_backend"]["name"] == "sphinx"
    assert status["metrics"].keys() == {
        "input_duration_seconds", "processing_time_seconds", "rtf", "vad_coverage", "vad_segments",
        "asr_confidence_avg", "edit_rate_cleaning",
    }  # fmt: skip
    assert all(isinstance(value, int | float) for value in status["metrics"].values())
    assert "customer before noon" in status["results"]["raw_transcript"].replace("\n", " ")
    assert status["results"]["clean_transcript"]
    assert status["results"]["summary"]["title"]
    assert status["error"] is None and status["notices"] == []
    assert status["progress"] == {"step": None, "share": 1.0}


def test_vietnamese_names_stand_for_the_same_values(client: httpx.Client, task: str, status: dict[str, Any]) -> None:
    answer = client.get(f"/v1/status/{task}", params={"keys": "vi"}).json()
    assert answer["kết_quả"]["bản_ghi_thô"] == status["results"]["raw_transcript"]
    assert answer["kết_quả"]["tóm_tắt"] == status["results"]["summary"]
    assert answer["chỉ_số"]["hệ_số_thời_gian_thực"] == status["metrics"]["rtf"]
    assert answer["phiên_bản"]["mô_hình_ngôn_ngữ"] == status["versions"]["llm"]
    used = {*answer, *answer["kết_quả"], *answer["chỉ_số"], *answer["phiên_bản"]}
    assert used >= set(VIETNAMESE.values())
    assert not used & set(VIETNAMESE)


def test_every_link_leads_somewhere(client: httpx.Client, status: dict[str, Any]) -> None:
    assert {"self", "events", "result", "transcript.srt", "waveform.png"} <= status["links"].keys()
    for name, link in status["links"].items():
        assert client.get(link).status_code == 200, name


def test_only_what_was_asked_for_is_in_the_results(
    client: httpx.Client, deployed: str, store_path: Path, recording: Path, task: str
) -> None:
    task_id = process(client, recording, features="raw_transcript")
    run_job(deployed, task_id, store_path)
    answer = client.get(f"/v1/status/{task_id}").json()
    assert answer["results"].keys() == {"raw_transcript"}
    assert answer["versions"]["llm"] is None
    assert answer["metrics"]["edit_rate_cleaning"] is None


def test_a_transcript_is_not_lost_with_its_summary(
    client: httpx.Client, deployed: str, store_path: Path, recording: Path, task: str
) -> None:
    task_id = process(client, recording, features="summary", template_id="call_summary", language_engine="openai")
    away = f"http://127.0.0.1:{free_port()}/v1"
    run_job(deployed, task_id, store_path, OPENAI_LANGUAGE_URL=away, OPENAI_LANGUAGE_MODEL="any")
    answer = client.get(f"/v1/status/{task_id}").json()
    assert answer["status"] == "COMPLETE"
    assert answer["results"]["summary"] is None
    assert "customer before noon" in answer["results"]["raw_transcript"].replace("\n", " ")
    assert [notice["code"] for notice in answer["notices"]] == ["ENGINE_UNAVAILABLE"]
    assert away not in json.dumps(answer["versions"])


FORMS = {
    "txt": "text/plain; charset=utf-8",
    "srt": "application/x-subrip",
    "vtt": "text/vtt; charset=utf-8",
    "tsv": "text/tab-separated-values; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
    "transcript.json": "application/json",
    "summary.json": "application/json",
    "waveform.png": "image/png",
    "audio": "audio/x-wav",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_comes_with_its_type_and_a_harmless_name(client: httpx.Client, task: str, form: str) -> None:
    answer = client.get(f"/v1/results/{task}/{form}")
    assert answer.status_code == 200
    assert answer.content
    if form != "audio":
        assert answer.headers["content-type"] == FORMS[form]
    assert answer.headers["content-type"].split("/")[0] == FORMS[form].split("/")[0]
    assert answer.headers["x-content-type-options"] == "nosniff"
    disposition = answer.headers["content-disposition"]
    assert disposition.isascii() and "/" not in disposition.split("filename*")[0]
    assert disposition.startswith("inline" if form in ("audio", "waveform.png") else "attachment")
    assert "filename*=UTF-8''Cu%E1%BB%99c%20h%E1%BB%8Dp" in disposition


def test_the_result_as_json_names_nothing_of_this_machine(client: httpx.Client, task: str, store_path: Path) -> None:
    answer = client.get(f"/v1/results/{task}/json")
    result = answer.json()
    assert result["status"] == "complete"
    assert str(store_path) not in answer.text
    assert "jobs/" not in answer.text
    for name, file in result["files"].items():
        held = client.get(file["url"])
        assert len(held.content) == file["size_bytes"], name


def test_the_recording_comes_back_as_it_went_in(client: httpx.Client, task: str, recording: Path) -> None:
    assert client.get(f"/v1/results/{task}/audio").content == recording.read_bytes()


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-9", 0, 9), ("bytes=100-", 100, None), ("bytes=-5", -5, None), ("bytes=5-99999999", 5, None)],
)
def test_a_player_can_seek(
    client: httpx.Client, task: str, recording: Path, asked: str, first: int, last: int | None
) -> None:
    content = recording.read_bytes()
    answer = client.get(f"/v1/results/{task}/audio", headers={"Range": asked})
    expected = content[first:] if last is None else content[first : last + 1]
    assert answer.status_code == 206
    assert answer.content == expected
    start = first % len(content)
    assert answer.headers["content-range"] == f"bytes {start}-{start + len(expected) - 1}/{len(content)}"


@pytest.mark.parametrize(
    "asked", ["bytes=5-2", "bytes=-", "bytes=a-b", "lines=0-1", "bytes=0-1,5-6", "bytes=" + "9" * 50]
)
def test_a_range_nobody_understands_gives_all(client: httpx.Client, task: str, recording: Path, asked: str) -> None:
    answer = client.get(f"/v1/results/{task}/audio", headers={"Range": asked})
    assert answer.status_code == 200
    assert answer.content == recording.read_bytes()


@pytest.mark.parametrize("asked", ["bytes=999999999-", "bytes=-0"])
def test_a_range_beyond_the_end_is_refused(client: httpx.Client, task: str, recording: Path, asked: str) -> None:
    answer = client.get(f"/v1/results/{task}/audio", headers={"Range": asked})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(recording.read_bytes())}"


def test_a_file_that_is_known_is_not_sent_again(client: httpx.Client, task: str) -> None:
    tag = client.get(f"/v1/results/{task}/txt").headers["etag"]
    assert client.get(f"/v1/results/{task}/txt", headers={"If-None-Match": tag}).status_code == 304
    other = {"If-Range": '"another"', "Range": "bytes=0-1"}
    assert client.get(f"/v1/results/{task}/txt", headers=other).status_code == 200


@pytest.mark.parametrize("name", ["docx", "result.json", "..%2F..%2Fgateway%2Fkeys.json", "%00", "source", "txt.exe"])
def test_another_form_is_not_found_and_says_what_there_is(client: httpx.Client, task: str, name: str) -> None:
    answer = client.get(f"/v1/results/{task}/{name}")
    assert answer.status_code == 404
    if "%2F" not in name:
        assert "srt" in answer.json()["error"]["details"]["fix"]


def test_a_job_is_there_for_its_owner_and_administrators_only(
    client: httpx.Client, server: Gateway, task: str, store_path: Path
) -> None:
    stranger, _ = KeyRing(LocalFiles(store_path)).create("stranger", ["submit", "read"])
    administrator, _ = KeyRing(LocalFiles(store_path)).create("administrator", ["admin"])
    paths = [f"/v1/status/{task}", f"/v1/results/{task}/txt", f"/v1/events/{task}"]
    with server.client(administrator) as admin:
        # A new key is known within a second.
        assert until_known(admin, paths[0]) == 200
        assert [admin.get(path).status_code for path in paths] == [200, 200, 200]
    unknown = "00000000-0000-4000-8000-000000000000"
    with server.client(stranger) as other:
        for path in paths:
            refused, missing = other.get(path), other.get(path.replace(task, unknown))
            assert refused.status_code == missing.status_code == 404
            assert refused.text == missing.text.replace(unknown, task)
            assert refused.json()["error"]["code"] == "TASK_NOT_FOUND"


def test_another_owner_of_the_same_recording_learns_nothing_of_the_first(
    server: Gateway, deployed: str, task: str, store_path: Path, recording: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.wav"
    other.write_bytes(recording.read_bytes())
    secret, _ = KeyRing(LocalFiles(store_path)).create("another owner", ["submit", "read"])
    with server.client(secret) as client, server.client() as first:
        assert until_known(client, "/v1/models") == 200
        task_id = process(client, other, features=ALL, template_id="meeting_notes")
        run_job(deployed, task_id, store_path)
        status = client.get(f"/v1/status/{task_id}").json()
        assert status["job_id"] == first.get(f"/v1/status/{task}").json()["job_id"]
        assert "log.jsonl" not in status["links"]
        assert client.get(f"/v1/results/{task_id}/log.jsonl").status_code == 404
        assert first.get(f"/v1/results/{task}/log.jsonl").status_code == 200
        result = client.get(f"/v1/results/{task_id}/json").json()
        assert result["source_name"] == "other.wav"
        for name, file in result["files"].items():
            held = client.get(file["url"])
            told = held.text + held.headers["content-disposition"]
            assert "Cu%E1" not in told and "Cuộc họp" not in told and str(store_path) not in told, name
            assert len(held.content) == file["size_bytes"], name
        audio = client.get(f"/v1/results/{task_id}/audio").headers["content-disposition"]
        assert "Cu%E1" not in audio and "other.wav" in audio


def until_known(client: httpx.Client, path: str) -> int:
    for _ in range(100):
        status = client.get(path).status_code
        if status != 401:
            return status
    return 401


@pytest.mark.parametrize("task_id", ["x", "1", "00000000-0000-4000-8000-000000000000", "a" * 3000, "%F0%9F%98%80"])
def test_an_unknown_task_is_not_found(client: httpx.Client, task_id: str) -> None:
    answer = client.get(f"/v1/status/{task_id}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "TASK_NOT_FOUND"
    assert len(answer.content) < 2000


def test_the_events_of_a_finished_task_are_its_end(client: httpx.Client, task: str, status: dict[str, Any]) -> None:
    answer = client.get(f"/v1/events/{task}")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [block.split("\n") for block in answer.text.strip().split("\n\n")]
    assert [event[0] for event in events] == ["retry: 2000", "event: end"]
    assert json.loads(events[1][2].removeprefix("data: ")) == status
    known = events[1][1].removeprefix("id: ")
    assert client.get(f"/v1/events/{task}", headers={"Last-Event-ID": known}).status_code == 204


def test_a_result_that_was_deleted_is_said_to_have_expired(
    client: httpx.Client, deployed: str, store_path: Path
) -> None:
    asked = {"text": "Words that expire.", "features": ["raw_transcript"]}
    task_id = client.post("/v1/process_text", json=asked).json()["task_id"]
    run_job(deployed, task_id, store_path)
    job_id = client.get(f"/v1/status/{task_id}").json()["job_id"]
    files = LocalFiles(store_path)
    for key in list(files.list(f"jobs/{job_id}/")):
        files.delete(key)
    for path in (f"/v1/status/{task_id}", f"/v1/results/{task_id}/txt"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "TASK_NOT_FOUND"
        assert "expired" in answer.json()["error"]["message"]
    assert '"status": "COMPLETE"' in client.get(f"/v1/events/{task_id}").text


def test_a_recording_that_cannot_be_decoded_says_so(client: httpx.Client, deployed: str, store_path: Path) -> None:
    broken = store_path.parent / "broken.wav"
    broken.write_bytes(b"no recording at all" * 100)
    task_id = process(client, broken, features="raw_transcript")
    run_job(deployed, task_id, store_path)
    answer = client.get(f"/v1/status/{task_id}").json()
    assert (answer["status"], answer["error_code"], answer["stage"]) == (
        "FAILED",
        "AUDIO_DECODE_ERROR",
        "preprocessing",
    )
    assert answer["error"] and answer["fix"]
    assert answer["results"] is None
    refused = client.get(f"/v1/results/{task_id}/txt")
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == "TASK_FAILED"
