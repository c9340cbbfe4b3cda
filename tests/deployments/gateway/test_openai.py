"""OpenAI's own client library against our gateway, unchanged."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.deployments.gateway.gateways import Gateway
from tests.deployments.gateway.working import stored_gateway, working


@pytest.fixture(scope="module")
def server(deployed: str, store_path: Path) -> Iterator[Gateway]:
    with (
        stored_gateway(deployed, store_path, MAX_QUEUE_DEPTH="5", MAX_FILE_SIZE_MB="1") as running,
        working(deployed, store_path),
    ):
        yield running


def client_of(server: Gateway, secret: str | None = None, **settings: Any) -> openai.OpenAI:
    own = httpx.Client(trust_env=False, timeout=300)
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=secret or server.secret, http_client=own, **settings)


@pytest.fixture(scope="module")
def client(server: Gateway) -> Iterator[openai.OpenAI]:
    with client_of(server) as opened:
        yield opened


@pytest.fixture(scope="module")
def verbose(client: openai.OpenAI, sentence: Path) -> Any:
    return client.audio.transcriptions.create(
        file=sentence,
        model="whisper-1",
        language="en",
        prompt="Maria, customer",
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )


def transcribe(client: openai.OpenAI, recording: Path, form: Any) -> Any:
    return client.audio.transcriptions.create(
        file=recording, model="sphinx", language="en", prompt="Maria, customer", response_format=form, temperature=0.2
    )


def test_the_verbose_form_has_times(verbose: Any, sentence: Path) -> None:
    assert "customer before noon" in verbose.text
    assert verbose.language == "en"
    assert verbose.duration > 2
    assert [segment.id for segment in verbose.segments] == list(range(len(verbose.segments)))
    assert all(0 <= one.start < one.end <= verbose.duration + 0.1 for one in verbose.segments)
    assert verbose.segments[0].avg_logprob < 0
    assert [word.word for word in verbose.words if word.word == "customer"] == ["customer"]
    assert all(word.start <= word.end for word in verbose.words)


def test_every_form_is_one_job(client: openai.OpenAI, sentence: Path, verbose: Any) -> None:
    assert transcribe(client, sentence, "json").text.split() == verbose.text.split()
    assert transcribe(client, sentence, "text").split() == verbose.text.split()
    assert "-->" in transcribe(client, sentence, "srt")
    assert transcribe(client, sentence, "vtt").startswith("WEBVTT")


def test_models_are_listed(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert {"whisper-1", "auto", "sphinx"} <= set(names)
    assert client.models.retrieve("sphinx").id == "sphinx"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")


def test_the_same_answer_serves_clients_of_the_audio_api(server: Gateway) -> None:
    with server.client() as plain:
        models = plain.get("/v1/models").json()["models"]
    sphinx = next(model for model in models if model["id"] == "sphinx")
    assert sphinx.keys() == {"id", "name", "description", "type", "version", "supported_languages"}
    assert sphinx["type"] == "ASR"
    assert sphinx["supported_languages"] == ["en"]


def test_a_wrong_key_is_an_authentication_error(server: Gateway, sentence: Path) -> None:
    with client_of(server, "x" * 40, max_retries=0) as client, pytest.raises(openai.AuthenticationError) as refused:
        transcribe(client, sentence, "json")
    assert refused.value.status_code == 401
    assert refused.value.code == "UNAUTHORIZED"


def test_an_unknown_model_is_not_found(client: openai.OpenAI, sentence: Path) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        client.audio.transcriptions.create(file=sentence, model="gpt-4o-transcribe")
    assert refused.value.code == "MODEL_NOT_FOUND"


@pytest.mark.parametrize(
    "wrong",
    [{"response_format": "pdf"}, {"language": "English"}, {"temperature": 3}, {"stream": True}, {"prompt": "a\0b"}],
)
def test_a_wrong_field_is_unprocessable(client: openai.OpenAI, sentence: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client.audio.transcriptions.create(file=sentence, model="whisper-1", **wrong)
    assert refused.value.code == "VALIDATION_ERROR"
    assert next(iter(wrong)) in refused.value.message


def test_a_file_that_is_too_large_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        client.audio.transcriptions.create(file=("long.wav", b"\0" * 3_000_000), model="whisper-1")
    assert refused.value.status_code == 413
    assert refused.value.code == "FILE_TOO_LARGE"


def test_a_file_that_is_no_recording_fails_once(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        client.audio.transcriptions.create(file=("broken.wav", b"no sound " * 100), model="whisper-1")
    assert refused.value.status_code == 415
    assert refused.value.code == "AUDIO_DECODE_ERROR"
