"""Every fault as a caller meets it, and what the provider charges for it."""

import json

import httpx
import pytest

from deployments.simulator.behaviour import CHARGED, FAULTS, UNDELIVERED, Fault
from tests.deployments.simulator.calling import HTTP, SAID, account, chat, events, generate, message
from tests.deployments.simulator.conftest import Serve
from tests.processes import until

FORM = {"type": "json_schema", "json_schema": {"schema": {"type": "object", "properties": {"a": {"type": "string"}}}}}


@pytest.mark.parametrize("fault", FAULTS)
def test_only_what_the_model_answered_is_charged(serve: Serve, fault: Fault) -> None:
    simulator = serve(next_faults={fault: 1}, slow_s=0.0)
    try:
        chat_once(simulator, timeout_s=0.3 if fault == "hang" else 30)
    except httpx.HTTPError:
        assert fault in {*UNDELIVERED, "reset_before", "hang"}
    assert chat(simulator).status_code == 200  # the one after is right
    total = simulator.books()["total"]
    assert total["faults"] == {fault: 1}
    assert total["charged"]["calls"] == 1 + (fault in CHARGED)
    assert total["undelivered"]["calls"] == (fault in UNDELIVERED)
    assert (total["requests"], total["accepted"], total["refused"]) == (2, 2, {})
    assert total["abandoned"] == (fault == "hang")


def chat_once(simulator: object, timeout_s: float) -> httpx.Response:
    body = {"model": "small", "messages": [{"role": "user", "content": SAID}]}
    return HTTP.post(f"{simulator.base_url('first')}/chat/completions", json=body, timeout=timeout_s)


def test_connections_break_where_they_should(serve: Serve) -> None:
    simulator = serve(next_faults={"reset_before": 1, "reset_after": 1, "half_body": 1})
    body = {"model": "small", "messages": [{"role": "user", "content": SAID}]}
    url = f"{simulator.base_url('first')}/chat/completions"
    with pytest.raises(httpx.ReadError):
        chat(simulator)
    with HTTP.stream("POST", url, json=body) as response:
        assert response.status_code == 200
        with pytest.raises(httpx.HTTPError):
            response.read()
    with HTTP.stream("POST", url, json=body) as response:
        got = b""
        with pytest.raises(httpx.RemoteProtocolError):
            for part in response.iter_bytes():
                got += part
        assert len(got) == int(response.headers["content-length"]) // 2


@pytest.mark.parametrize("fault", ["reset_after", "half_body"])
def test_a_stream_breaks_before_its_end(serve: Serve, fault: Fault) -> None:
    simulator = serve(next_faults={fault: 1})
    with pytest.raises(httpx.HTTPError):
        chat(simulator, stream=True)
    assert simulator.books()["total"]["undelivered"]["calls"] == 1
    assert events(chat(simulator, stream=True))[-1] == "[DONE]"


def test_a_stream_left_by_its_caller_is_charged_what_was_sent(serve: Serve) -> None:
    simulator = serve(answer_tokens=400, token_ms=5)
    body = {"model": "small", "messages": [{"role": "user", "content": SAID}], "stream": True}
    with HTTP.stream("POST", f"{simulator.base_url('first')}/chat/completions", json=body) as response:
        pieces = response.iter_lines()
        for _ in range(8):
            next(pieces)
    until(lambda: simulator.books()["total"]["abandoned"] == 1)
    total = simulator.books()["total"]
    assert 0 < total["undelivered"]["completion_tokens"] < 400
    assert total["answered"]["calls"] == 0


def test_errors_are_the_providers(serve: Serve) -> None:
    faults = {"error": 1, "rate_limited": 1, "overloaded": 1, "out_of_quota": 1, "html": 1}
    simulator = serve(next_faults=faults, error_status=502)
    error, limited, overloaded, poor, html = (chat(simulator) for _ in faults)
    assert (error.status_code, error.json()["error"]["type"]) == (502, "server_error")
    assert (limited.status_code, limited.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert not [name for name in limited.headers if "ratelimit" in name or "retry" in name]
    assert overloaded.status_code == 503
    assert (poor.status_code, poor.json()["error"]["code"]) == (429, "insufficient_quota")
    assert (html.status_code, html.headers["content-type"]) == (502, "text/html")


def test_answers_go_wrong_as_models_do(serve: Serve) -> None:
    right = json.dumps({"a": SAID}, separators=(",", ":"))
    kinds = ("malformed", "prose", "fence", "wrong_schema", "empty", "filtered", "length")
    simulator = serve(next_faults=dict.fromkeys(kinds, 1))
    choices = dict(zip(kinds, (chat(simulator, response_format=FORM).json()["choices"][0] for _ in kinds), strict=True))
    said = {kind: choice["message"]["content"] for kind, choice in choices.items()}
    for kind in ("malformed", "prose", "fence", "empty", "length"):
        with pytest.raises(ValueError):
            json.loads(said[kind])
    assert right in said["prose"]
    assert said["fence"] == f"```json\n{right}\n```"
    assert json.loads(said["wrong_schema"]) == {"unexpected": True}
    ends = {kind: choice["finish_reason"] for kind, choice in choices.items()}
    assert (ends["length"], ends["filtered"], ends["fence"]) == ("length", "content_filter", "stop")


def test_other_dialects_fail_in_their_own_words(serve: Serve) -> None:
    faults = {"overloaded": 1, "error": 1, "length": 1}
    simulator = serve(account(provider="gemini"), next_faults=faults)
    overloaded, error, cut = (generate(simulator) for _ in faults)
    assert (overloaded.status_code, overloaded.json()["error"]["status"]) == (503, "UNAVAILABLE")
    assert (error.status_code, error.json()["error"]["status"]) == (500, "INTERNAL")
    assert cut.json()["candidates"][0]["finishReason"] == "MAX_TOKENS"
    simulator = serve(account(provider="anthropic"), next_faults={"error": 1, "length": 1})
    error, cut = message(simulator), message(simulator)
    assert (error.status_code, error.json()["error"]["type"]) == (500, "api_error")
    assert cut.json()["stop_reason"] == "max_tokens"


def test_shares_of_faults_come_out_and_one_account_can_differ(serve: Serve) -> None:
    simulator = serve(account("first"), account("second"), faults={"error": 0.25, "empty": 0.25})
    simulator.change("second", faults={})
    for number in range(300):
        chat(simulator, said=f"row {number}")
        chat(simulator, said=f"row {number}", account="second")
    faults = simulator.books()["accounts"]["first"]["faults"]
    assert faults.keys() == {"error", "empty"}
    assert all(45 <= count <= 105 for count in faults.values())  # 75 expected; 4 sigma
    assert simulator.books()["accounts"]["second"]["faults"] == {}
