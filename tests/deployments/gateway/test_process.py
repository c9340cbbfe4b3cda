"""Submissions over real HTTP: fields, identity, cancelling."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.deployments.gateway.gateways import Gateway
from tests.deployments.gateway.submitting import ask, ended, job_runs, recording, running, submit, uploads

JSON_LIST = '["raw_transcript", "clean_transcript"]'


def error(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    return response.json()["error"]


def test_a_recording_becomes_a_run_that_can_read_it(submitting: Gateway, deployed: str, store_path: Path) -> None:
    with submitting.client() as client:
        answer = submit(client, name="Họp sáng.wav", language="vi", hints="An, Bình")
    assert answer.status_code == 202, answer.text
    assert answer.json().keys() == {"task_id", "status"}
    (run,) = [run for run in ask(deployed, job_runs) if str(run.id) == answer.json()["task_id"]]
    assert run.parameters["source"].startswith("store://uploads/")
    assert run.parameters["source"].endswith("/Họp sáng.wav")
    assert run.parameters["options"]["hints"] == ["An", "Bình"]
    (key,) = uploads(store_path)
    assert f"store://{key}" == run.parameters["source"]
    assert (store_path / key).read_bytes() == recording()


@pytest.mark.parametrize(
    "features",
    [
        ["clean_transcript", "raw_transcript"],
        "clean_transcript,raw_transcript",
        '["raw_transcript", "clean_transcript"]',
    ],
    ids=["repeated", "comma list", "JSON list"],
)
def test_every_way_to_list_features_is_the_same_job(submitting: Gateway, features: Any) -> None:
    with submitting.client() as client:
        listed = submit(client, features=features).json()
        assert listed == submit(client, features="clean_transcript, raw_transcript").json()


def test_fields_of_older_clients_become_options(submitting: Gateway, deployed: str) -> None:
    with submitting.client() as client:
        answer = submit(
            client,
            features="summary",
            template_id="meeting_notes",
            asr_backend="chunkformer",
            enable_diarization="true",
            enable_vad="1",
            vad_threshold="0",
            language="",
        )
    assert answer.status_code == 202, answer.text
    (run,) = ask(deployed, job_runs)
    options = run.parameters["options"]
    assert (options["engine"], options["diarise"], options["template"]) == ("chunkformer", "cluster", "meeting_notes")
    assert options["features"] == ["summary"]
    assert 0 < options["vad_threshold"] < 0.01
    assert options["language"] is None


def test_fields_nobody_reads_are_named_in_the_answer(submitting: Gateway) -> None:
    with submitting.client() as client:
        assert submit(client, langauge="vi").json()["ignored_fields"] == ["langauge"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"features": "summary"}, "template_id"),
        ({"features": []}, "template_id"),
        ({"features": "summary", "template_id": "no such"}, "template_id"),
        ({"features": "summary", "template_id": "../../etc"}, "template_id"),
        ({"features": "poem"}, "features.0"),
        ({"features": "[1, "}, "features"),
        ({"features": "[]"}, "features"),
        ({"features": ","}, "features"),
        ({"asr_backend": "siri"}, "asr_backend"),
        ({"language_engine": "siri"}, "language_engine"),
        ({"vad_threshold": "2"}, "vad_threshold"),
        ({"vad_threshold": "nan"}, "vad_threshold"),
        ({"enable_vad": "perhaps"}, "enable_vad"),
        ({"language": "Vietnamese"}, "language"),
        ({"diarise": "magic"}, "diarise"),
        ({"speakers": "0"}, "speakers"),
        ({"hints": "a\x00b"}, "hints.0"),
    ],
)
def test_a_wrong_field_is_named(submitting: Gateway, store_path: Path, fields: dict[str, Any], field: str) -> None:
    with submitting.client() as client:
        fault = error(submit(client, **fields), 422)
    assert fault["code"] == "VALIDATION_ERROR"
    assert fault["details"]["field"] == field
    assert fault["details"]["fix"]
    assert uploads(store_path) == []


def test_an_equal_upload_is_the_same_job_whatever_its_name(submitting: Gateway, store_path: Path) -> None:
    with submitting.client() as client:
        first = submit(client, name="a.wav").json()
        assert submit(client, name="b.wav").json() == first
        assert [key.rsplit("/")[-1] for key in uploads(store_path)] == ["a.wav"]
        assert submit(client, language="en").json() != first
        assert submit(client, recording("other")).json() != first


def test_equal_uploads_at_once_are_one_run(submitting: Gateway, deployed: str, store_path: Path) -> None:
    with submitting.client() as client, ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda number: submit(client, name=f"{number % 3}.wav"), range(24)))
    assert {answer.status_code for answer in answers} == {202}, {answer.text for answer in answers}
    assert len({answer.json()["task_id"] for answer in answers}) == 1
    (run,) = ask(deployed, job_runs)
    assert [f"store://{key}" for key in uploads(store_path)] == [run.parameters["source"]]


def test_after_a_failure_an_equal_upload_is_a_new_job(submitting: Gateway, deployed: str) -> None:
    with submitting.client() as client:
        ids: list[str] = []
        for _ in range(3):
            ids.append(submit(client).json()["task_id"])
            assert submit(client).json()["task_id"] == ids[-1]
            ended(deployed, ids[-1], well=False)
    assert len(set(ids)) == 3


def test_an_equal_upload_is_a_new_job_while_the_first_is_being_cancelled(submitting: Gateway, deployed: str) -> None:
    with submitting.client() as client:
        first = submit(client).json()["task_id"]
        running(deployed, first)
        assert client.delete(f"/v1/jobs/{first}").status_code == 202
        assert submit(client).json()["task_id"] != first


def test_an_equal_upload_of_a_complete_job_finds_it_and_leaves_nothing(
    submitting: Gateway, deployed: str, store_path: Path
) -> None:
    with submitting.client() as client:
        first = submit(client).json()["task_id"]
        ended(deployed, first, well=True)
        assert submit(client).json() == {"task_id": first, "status": "COMPLETE"}
    assert uploads(store_path) == []


def test_an_idempotency_key_decides_what_is_the_same(submitting: Gateway, store_path: Path) -> None:
    def keyed(key: str, content: bytes | None = None, **fields: Any) -> Any:
        return submit(client, content, headers={"Idempotency-Key": key}, **fields)

    with submitting.client() as client:
        first = keyed("one").json()
        assert keyed("one").json() == first
        assert keyed("two").json() != first
        kept = uploads(store_path)
        for other in (keyed("one", recording("other")), keyed("one", language="en")):
            assert error(other, 422)["code"] == "IDEMPOTENCY_KEY_REUSED"
        assert uploads(store_path) == kept
        assert error(keyed("x" * 256), 422)["details"]["field"] == "Idempotency-Key"


def test_a_text_goes_to_the_store_and_not_to_prefect(submitting: Gateway, deployed: str, store_path: Path) -> None:
    body = {"text": "Chúng ta gặp nhau lúc ba giờ.", "features": "clean_transcript"}
    with submitting.client() as client:
        answer = client.post("/v1/process_text", json=body)
        assert answer.status_code == 202, answer.text
        assert client.post("/v1/process_text", json=body).json() == answer.json()
    (run,) = ask(deployed, job_runs)
    (key,) = uploads(store_path)
    assert run.parameters["source"] == f"store://{key}"
    assert "text" not in run.parameters or run.parameters["text"] is None
    assert (store_path / key).read_text() == body["text"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"[]", 422),
        (b'{"text": "a"}', 422),
        (b'{"text": "", "features": ["clean_transcript"]}', 422),
        (b'{"text": "\\ud800", "features": ["clean_transcript"]}', 422),
        (b'{"text": 5, "features": ["clean_transcript"]}', 422),
        (b"[" * 100_000, 422),
        (b'{"text": "' + b"a" * 4_000_000 + b'"}', 413),
    ],
    ids=["empty", "list", "no template", "no text", "surrogate", "number", "nested", "long"],
)
def test_a_wrong_text_is_refused(submitting: Gateway, body: bytes, status: int) -> None:
    with submitting.client() as client:
        error(client.post("/v1/process_text", content=body, headers={"Content-Type": "application/json"}), status)


def test_a_waiting_job_can_be_cancelled_once_and_by_its_owner_only(submitting: Gateway, stranger: str) -> None:
    with submitting.client() as client, submitting.client(stranger) as other:
        task = submit(client).json()["task_id"]
        unknown = error(other.delete(f"/v1/jobs/{task}"), 404)
        assert unknown["code"] == "TASK_NOT_FOUND"
        answer = client.delete(f"/v1/jobs/{task}")
        assert (answer.status_code, answer.json()) == (202, {"task_id": task, "status": "FAILED"})
        assert error(client.delete(f"/v1/jobs/{task}"), 409)["code"] == "CONFLICT"
        assert error(client.delete(f"/v1/jobs/{uuid4()}"), 404)["code"] == "TASK_NOT_FOUND"
        assert error(client.delete("/v1/jobs/7"), 404)["code"] == "TASK_NOT_FOUND"
        assert submit(client).json()["task_id"] != task


def test_the_upload_of_another_key_is_another_job(submitting: Gateway, stranger: str) -> None:
    with submitting.client() as client, submitting.client(stranger) as other:
        assert submit(client).json() != submit(other).json()
