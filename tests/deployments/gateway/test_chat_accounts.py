"""Who pays for chat completions and by which file: budgets, limits of keys, an accounts file that changes."""

# ruff: noqa: F811 - fixtures are imported

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
import yaml

from deployments.gateway.llm import LivePool
from tests.deployments.gateway.chatting import HTTP, SAID, Service, client, service  # noqa: F401 - fixtures
from tests.processes import until


def test_a_file_may_come_later_and_be_wrong_first_and_the_budget_of_a_key_holds_over_all_gateways(
    service: Service, tmp_path: Path
) -> None:
    later = tmp_path / "later.yaml"
    second = service.gateway("second", later)

    def parts() -> Any:
        return HTTP.get(f"{second.url}/health").json()["parts"]

    try:
        assert "accounts" not in parts()
        with pytest.raises(openai.InternalServerError) as none:
            service.client(gateway=second).chat.completions.create(model="small", messages=SAID)
        assert (none.value.status_code, "later.yaml" in none.value.message) == (503, True)
        later.write_text("accounts:\n  - name: a\n    lables: x\n")
        told = f"{later.name}:2 is wrong; no account is used"
        until(lambda: parts().get("accounts", {}).get("detail") == told)
        later.write_text(service.simulator.accounts.read_text())
        until(lambda: parts()["accounts"]["ok"])
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


def test_a_limit_of_a_key_is_raised_while_the_gateway_runs(service: Service) -> None:
    secret, key = service.ring.create("poor", ["read", "chat"], usd_per_day=0.000001, tokens_per_day=1)
    until(lambda: service.knows(secret))
    client = service.client(secret)
    with pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(model="small", messages=SAID)
    assert f"c500 keys limit {key.key_id} --usd-per-day USD --tokens-per-day TOKENS" in refused.value.message
    assert "accounts.yaml" not in refused.value.message
    with pytest.raises(openai.RateLimitError, match=f"c500 keys limit {key.key_id}"):
        client.chat.completions.create(model="small", messages=SAID, stream=True)
    service.ring.limit(key.key_id, {"usd_per_day": 1, "tokens_per_day": None})

    def answered() -> bool:
        try:
            return bool(client.chat.completions.create(model="small", messages=SAID).choices)
        except openai.RateLimitError:
            return False

    until(answered)


def test_a_budget_of_the_file_is_not_said_to_be_the_keys(service: Service) -> None:
    file, before = service.simulator.accounts, service.simulator.accounts.read_text()
    secret, key = service.ring.create("poor", ["read", "chat"], usd_per_day=1)
    until(lambda: service.knows(secret))
    client = service.client(secret)
    try:
        content = yaml.safe_load(before) | {"budgets": {"users": {key.key_id: {"usd_per_day": 0.000001}}}}
        file.write_text(yaml.safe_dump(content))

        def refusal() -> str:
            try:
                client.chat.completions.create(model="small", messages=SAID)
            except openai.RateLimitError as refused:
                return refused.message
            return ""

        until(lambda: "accounts.yaml" in refusal())
        assert "c500 keys" not in refusal()
    finally:
        file.write_text(before)


def test_a_file_that_became_wrong_is_named_by_health_while_the_last_good_one_serves(service: Service) -> None:
    file, before = service.simulator.accounts, service.simulator.accounts.read_text()
    client = service.client()

    def part() -> Any:
        return HTTP.get(f"{service.first.url}/health").json()["parts"].get("accounts")

    try:
        assert client.chat.completions.create(model="small", messages=SAID).model == "small"
        until(lambda: part()["ok"])
        file.write_text("# ours\naccounts: SECRET\n")
        until(lambda: not part()["ok"])
        assert part()["detail"] == f"{file.name}:2 is wrong; the last good one is used"
        assert client.chat.completions.create(model="small", messages=SAID).model == "small"
        file.unlink()
        until(lambda: part()["detail"] == f"{file.name} is gone; the last good one is used")
        assert client.chat.completions.create(model="small", messages=SAID).model == "small"
    finally:
        file.write_text(before)
    until(lambda: part()["ok"])


def test_a_file_that_became_wrong_before_the_first_call_leaves_the_last_good_one(
    service: Service, tmp_path: Path
) -> None:
    file = tmp_path / "good.yaml"
    file.write_text(service.simulator.accounts.read_text())
    second = service.gateway("good", file)
    try:
        file.write_text("accounts: SECRET\n")
        told = f"{file.name}:1 is wrong; the last good one is used"
        until(lambda: HTTP.get(f"{second.url}/health").json()["parts"].get("accounts", {}).get("detail") == told)
    finally:
        second.stop()


def test_a_file_that_cannot_be_looked_at_is_none(tmp_path: Path) -> None:
    assert not LivePool(tmp_path / ("x" * 300)).is_there
