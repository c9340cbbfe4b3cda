"""The account pool as one endpoint: OpenAI's own client library against real gateways and simulated providers."""

import asyncio
import http.client
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import yaml
from pydantic import BaseModel

from blocks.accounts.costs import sums
from blocks.accounts.file import read_accounts
from blocks.accounts.schema import open_engine
from blocks.accounts.standing import account_limits
from blocks.keys import KeyRing
from blocks.limits import open_limiter
from blocks.store.local import LocalFiles
from tests.conftest import ROOT
from tests.deployments.gateway.gateways import Gateway, start_gateway
from tests.fakes.llm.simulated import Simulated, simulated
from tests.processes import free_port, until

HTTP = httpx.Client(trust_env=False, timeout=60)
"""One for all: making a client loads certificates, which takes longer than a call."""

CHAT = "/v1/chat/completions"
SAID = [{"role": "user", "content": "Good morning, this is a test of many words."}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a town.",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
    },
}

FILE = """
accounts:
  - name: first
    provider: openai
    key: none
    models:
      small: {price: {input_usd: 1, output_usd: 4}, tiers: [simple], context_tokens: 2000, max_output_tokens: 500}
      org/large: {price: {input_usd: 10, output_usd: 40}, tiers: [critical]}
  - name: claude
    provider: anthropic
    key: none
    models: {sonnet: {price: {input_usd: 3, output_usd: 15}, tiers: [complex]}}
  - {name: narrow, provider: openai, key: none, quota: {rpm: 1}, models: {narrow: {tiers: []}}}
  - {name: slow, provider: openai, key: none, quota: {concurrency: 1, rpd: 9}, models: {slow: {tiers: []}}}
  - {name: broken, provider: openai, key: none, models: {broken: {tiers: []}}}
routing: {attempts: 2}
"""
BEHAVIOUR = {
    "accounts": {
        "slow": {"latency": {"kind": "fixed", "mean_ms": 60_000}, "token_ms": 60_000},
        "broken": {"faults": {"error": 1.0}},
    }
}


class Service:
    """Two gateways with the same store, limits and books, in front of simulated providers."""

    def __init__(self, folder: Path, simulator: Simulated) -> None:
        self.folder, self.simulator = folder, simulator
        self.ring = KeyRing(LocalFiles(folder / "store"))
        self.first = self.gateway("first", simulator.accounts)
        self.secret, _ = self.ring.create("agent", ["read", "chat"])

    def gateway(self, name: str, accounts: Path) -> Gateway:
        """One more gateway; no Prefect server answers it."""
        return start_gateway(
            f"http://127.0.0.1:{free_port()}/api",
            log=self.folder / f"{name}.log",
            PYTHONPATH=str(ROOT),
            AUDIO_DIR=str(self.folder / "store"),
            LOG_DIR=str(self.folder / name),
            ACCOUNTS_FILE=str(accounts),
            LIMITER_URL=f"sqlite:///{self.folder}/limits.db",
            BOOKS_URL=f"sqlite:///{self.folder}/books.db",
        )

    def client(self, secret: str | None = None, gateway: Gateway | None = None) -> openai.OpenAI:
        """OpenAI's client."""
        url = f"{(gateway or self.first).url}/v1"
        return openai.OpenAI(base_url=url, api_key=secret or self.secret, http_client=HTTP, max_retries=0)

    def knows(self, secret: str, gateway: Gateway | None = None) -> bool:
        """Whether a gateway has read a new key."""
        answer = HTTP.get(f"{(gateway or self.first).url}/v1/models", headers={"X-API-Key": secret})
        return answer.status_code == 200

    def held(self, key: str) -> int:
        """What calls hold of a limit of the accounts."""

        async def look() -> int:
            limiter = open_limiter(f"sqlite:///{self.folder}/limits.db")
            limits = [one for one in account_limits(read_accounts(self.simulator.accounts)) if one.key == key]
            [found] = await limiter.standing(limits)
            await limiter.close()
            return found.held

        return asyncio.run(look())

    def outcomes(self, account: str) -> Counter[str]:
        """Calls of an account by outcome, as the books have them."""
        engine = open_engine(f"sqlite:///{self.folder}/books.db")
        found = sums(engine, ["account", "outcome"], 0)
        engine.dispose()
        return Counter({one.group["outcome"]: one.calls for one in found if one.group["account"] == account})


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("chat")
    (folder / "accounts.yaml").write_text(FILE)
    with simulated(folder / "accounts.yaml", folder, **BEHAVIOUR) as simulator:
        running = Service(folder, simulator)
        told(running, "c500_llm_up")  # latencies are counted from the first look on
        yield running
        running.first.stop()


@pytest.fixture(scope="module")
def client(service: Service) -> openai.OpenAI:
    return service.client()


def test_a_question_is_answered_with_its_tokens_and_cost(service: Service, client: openai.OpenAI) -> None:
    service.simulator.reset()
    answer = client.chat.completions.create(
        model="small", messages=SAID, temperature=0.2, stop="never", seed=7, user="u"
    )
    assert answer.choices[0].message.content == SAID[0]["content"]
    assert (answer.choices[0].finish_reason, answer.model, answer.object) == ("stop", "small", "chat.completion")
    charged = service.simulator.books()["total"]["charged"]
    assert answer.usage.total_tokens == charged["prompt_tokens"] + charged["completion_tokens"]
    assert answer.usage.prompt_tokens_details.cached_tokens == 0
    assert answer.c500["cost_usd"] == charged["cost_units"] / 1e9
    cut = client.chat.completions.create(model="small", messages=SAID, max_completion_tokens=2)
    assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 2)


@pytest.mark.parametrize("model", ["small", "sonnet"])
def test_a_stream_has_the_same_text_and_the_usage_when_asked(client: openai.OpenAI, model: str) -> None:
    whole = client.chat.completions.create(model=model, messages=SAID)
    chunks = list(
        client.chat.completions.create(
            model=model, messages=SAID, stream=True, stream_options={"include_usage": True}, max_tokens=400
        )
    )
    text = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(text) == whole.choices[0].message.content
    assert sum(bool(part) for part in text) > 1
    assert [one.choices[0].finish_reason for one in chunks if one.choices and one.choices[0].finish_reason] == ["stop"]
    assert [chunk.usage for chunk in chunks if chunk.usage] == [whole.usage]
    assert len({chunk.id for chunk in chunks}) == 1
    plain = list(client.chat.completions.create(model=model, messages=SAID, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in plain)


@pytest.mark.parametrize("model", ["small", "sonnet"])
def test_tools_are_called_whole_and_in_pieces(client: openai.OpenAI, model: str) -> None:
    messages: list[Any] = [*SAID]
    asked = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER], tool_choice="required")
    [call] = asked.choices[0].message.tool_calls
    assert (asked.choices[0].finish_reason, call.function.name) == ("tool_calls", "weather")
    assert json.loads(call.function.arguments).keys() == {"town"}
    with client.chat.completions.stream(model=model, messages=messages, tools=[WEATHER]) as stream:
        streamed = stream.get_final_completion()
    again = streamed.choices[0].message.tool_calls[0].function.arguments
    assert json.loads(again) == json.loads(call.function.arguments)
    messages += [asked.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
    told = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
    assert told.choices[0].message.tool_calls is None
    assert told.choices[0].message.content


class Minutes(BaseModel):
    title: str
    people: list[str]


@pytest.mark.parametrize("model", ["small", "sonnet", "c500-critical", "auto"])
def test_structured_answers_are_parsed_by_the_client(client: openai.OpenAI, model: str) -> None:
    parsed = client.chat.completions.parse(model=model, messages=SAID, response_format=Minutes)
    assert isinstance(parsed.choices[0].message.parsed, Minutes)
    some = client.chat.completions.create(model=model, messages=SAID, response_format={"type": "json_object"})
    assert isinstance(json.loads(some.choices[0].message.content), dict)


def test_models_and_tiers_are_listed_beside_the_speech_engines(service: Service, client: openai.OpenAI) -> None:
    listed = {model.id: model.owned_by for model in client.models.list()}
    assert {"whisper-1", "auto", "small", "org/large", "sonnet", "c500-simple", "c500-critical"} <= listed.keys()
    assert (listed["sonnet"], listed["auto"]) == ("anthropic", "c500")
    assert client.models.retrieve("org/large").id == "org/large"
    plain = HTTP.get(f"{service.first.url}/v1/models", headers={"X-API-Key": service.secret}).json()
    assert all(model["type"] == "ASR" for model in plain["models"])
    simple = client.chat.completions.create(model="c500-simple", messages=SAID)
    assert simple.model == "small"


@pytest.mark.parametrize(
    ("fields", "error", "code", "param"),
    [
        ({"model": "gpt-9"}, openai.NotFoundError, "model_not_found", "model"),
        (
            {"messages": [{"role": "user", "content": "word " * 4000}]},
            openai.BadRequestError,
            "context_length_exceeded",
            "messages",
        ),
        ({"n": 2}, openai.BadRequestError, None, "n"),
        ({"logprobs": True}, openai.BadRequestError, None, "logprobs"),
        ({"extra_body": {"colour": "red"}}, openai.BadRequestError, None, "colour"),
        ({"extra_body": {"c500": {"colour": "red"}}}, openai.BadRequestError, None, "c500.colour"),
        ({"user": "a\0b"}, openai.BadRequestError, None, "user"),
        ({"extra_body": {"c500": {"session": "a\0b"}}}, openai.BadRequestError, None, "c500.session"),
        ({"messages": []}, openai.BadRequestError, None, "messages"),
        ({"messages": [{"role": "user"}]}, openai.BadRequestError, None, "messages.0"),
        ({"max_tokens": 0}, openai.BadRequestError, None, "max_tokens"),
        ({"model": "broken"}, openai.InternalServerError, "provider_error", None),
        (
            {
                "model": "slow",
                "extra_body": {"c500": {"deadline_s": 0.2}},
                "messages": [{"role": "user", "content": "s"}],
            },
            openai.InternalServerError,
            "timeout",
            None,
        ),
    ],
)
def test_errors_have_openais_form(client: openai.OpenAI, fields: Any, error: Any, code: Any, param: Any) -> None:
    with pytest.raises(error) as refused:
        client.chat.completions.create(**{"model": "small", "messages": SAID, **fields})
    assert refused.value.body.keys() == {"message", "type", "param", "code"}
    assert (refused.value.code, refused.value.param) == (code, param)
    assert refused.value.status_code == {"provider_error": 502, "timeout": 504}.get(code, refused.value.status_code)
    assert "broken/broken" not in refused.value.message


def test_keys_need_the_scope_chat(service: Service) -> None:
    reader, _ = service.ring.create("reader", ["read", "submit", "admin"])
    until(lambda: service.knows(reader))
    with pytest.raises(openai.PermissionDeniedError) as refused:
        service.client(reader).chat.completions.create(model="small", messages=SAID)
    assert refused.value.code == "insufficient_permissions"
    with pytest.raises(openai.AuthenticationError) as unknown:
        service.client("x" * 40).chat.completions.create(model="small", messages=SAID)
    assert unknown.value.code == "invalid_api_key"


def test_a_limit_that_leaves_no_room_in_time_says_when_to_come_back(service: Service, client: openai.OpenAI) -> None:
    patience = {"c500": {"deadline_s": 5}}
    client.chat.completions.create(model="narrow", messages=SAID, extra_body=patience)
    with pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(model="narrow", messages=SAID, extra_body=patience, stream=True)
    assert refused.value.code == "rate_limit_exceeded"
    assert 5 < int(refused.value.response.headers["retry-after"]) <= 61
    assert told(service, "c500_llm_refused_total", '"rate_limit_exceeded"') == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_gives_its_limits_back(service: Service, stream: bool) -> None:
    """The provider takes a minute: for the whole answer, or for the second token."""
    service.simulator.change("slow", latency={"kind": "fixed", "mean_ms": 0 if stream else 60_000})
    before = service.outcomes("slow")["cancelled"]
    line = http.client.HTTPConnection("127.0.0.1", httpx.URL(service.first.url).port, timeout=60)
    body = json.dumps({"model": "slow", "messages": SAID, "stream": stream})
    line.request("POST", CHAT, body, {"Authorization": f"Bearer {service.secret}"})
    until(lambda: service.held("account/slow/concurrency") == 1)
    if stream:
        answer = line.getresponse()
        assert answer.readline().startswith(b"data: ")
        answer.close()
    line.close()
    until(lambda: service.held("account/slow/concurrency") == 0)
    until(lambda: service.outcomes("slow")["cancelled"] == before + 1)


def test_the_budget_of_a_key_holds_over_all_gateways(service: Service, tmp_path: Path) -> None:
    later = tmp_path / "later.yaml"
    second = service.gateway("second", later)
    try:
        with pytest.raises(openai.InternalServerError) as none:
            service.client(gateway=second).chat.completions.create(model="small", messages=SAID)
        assert (none.value.status_code, "later.yaml" in none.value.message) == (503, True)
        later.write_text(service.simulator.accounts.read_text())
        until(lambda: "small" in [model.id for model in service.client(gateway=second).models.list()])
        # A call may cost 500 answered tokens at $4 a million and some 30 sent: $0.00203.
        secret, _ = service.ring.create("poor", ["read", "chat"], usd_per_day=0.0045)
        until(lambda: service.knows(secret) and service.knows(secret, second))

        def call(number: int) -> str:
            client = service.client(secret, second if number % 2 else service.first)
            try:
                client.chat.completions.create(model="small", messages=SAID, max_tokens=500)
            except openai.RateLimitError as refused:
                return str(refused.code)
            return "ok"

        service.simulator.change("first", answer_tokens=500)
        with ThreadPoolExecutor(20) as pool:
            assert Counter(pool.map(call, range(20))) == {"ok": 2, "insufficient_quota": 18}
    finally:
        service.simulator.change("first", answer_tokens=None)
        second.stop()


def test_a_changed_file_counts_for_new_calls_and_a_wrong_one_changes_nothing(service: Service, client: Any) -> None:
    file, before = service.simulator.accounts, service.simulator.accounts.read_text()
    try:
        content = yaml.safe_load(before)
        content["accounts"][0]["models"]["tiny"] = {"name": "small", "max_output_tokens": 500}
        file.write_text(yaml.safe_dump(content))
        until(lambda: "tiny" in [model.id for model in client.models.list()])
        assert client.chat.completions.create(model="tiny", messages=SAID).model == "tiny"
        file.write_text("accounts: nonsense")
        log = service.folder / "first" / "c500.jsonl"
        until(lambda: client.models.list() and log.exists() and "accounts file not taken over" in log.read_text())
        assert client.chat.completions.create(model="tiny", messages=SAID).model == "tiny"
    finally:
        file.write_text(before)
        until(lambda: "tiny" not in [model.id for model in client.models.list()])


def test_metrics_tell_what_the_books_and_limits_say(service: Service, client: openai.OpenAI) -> None:
    client.chat.completions.create(model="sonnet", messages=SAID)
    until(lambda: service.outcomes("claude")["ok"] == told(service, "c500_llm_calls_total", 'account="claude"', '"ok"'))
    assert told(service, "c500_llm_up") == 1
    assert told(service, "c500_llm_tokens_total", 'account="claude"', '"completion"') > 0
    assert told(service, "c500_llm_cost_usd_total", 'account="claude"') > 0
    assert told(service, "c500_llm_latency_seconds_count", 'account="claude"') > 0
    assert 0 < told(service, "c500_llm_limit_used_ratio", "account/slow/rpd") <= 1
    assert told(service, "c500_llm_wait_seconds_count") > 0


def told(service: Service, name: str, *labels: str) -> float:
    """A sample of /metrics; -1 where there is none."""
    for line in HTTP.get(f"{service.first.url}/metrics").text.splitlines():
        if line.split("{")[0].split(" ")[0] == name and all(label in line for label in labels):
            return float(line.rsplit(" ", 1)[1])
    return -1.0
