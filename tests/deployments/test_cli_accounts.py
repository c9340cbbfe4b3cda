"""`c500 accounts` and `c500 costs`: against simulated providers, as a user runs them."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from blocks.accounts.account import Account, Accounts, Model, Quota
from blocks.accounts.chat import Caller, ChatRequest
from blocks.accounts.file import read_accounts
from blocks.accounts.routes import budgets_of, plan, routes_of
from blocks.accounts.sealed import new_seal_key
from deployments.docs import ROOT
from tests.deployments.here import c500_here
from tests.deployments.test_cli import c500
from tests.fakes.llm.simulated import Simulated, simulated

SECRET = "sk-never-to-be-seen-0123456789"
EXAMPLE = ROOT / "deployments" / "accounts.example.yaml"

FILE = """
accounts:
  - name: first
    provider: openai
    key: env:FIRST_KEY
    quota: {rpm: 60, tpm: 10000, concurrency: 1, usd_per_day: 5}
    models:
      small: {price: {input_usd: 1, output_usd: 4}}
      large: {price: {input_usd: 10, output_usd: 40}, quota: {rpm: 30}}
  - name: second
    provider: anthropic
    key: env:SECOND_KEY
    quota: {rpm: 50}
    models: {small: {}}
  - name: spare
    provider: gemini
    key: none
    enabled: false
    models: {small: {}}
budgets:
  everyone: {usd_per_month: 100}
  users: {ann: {tpd: 1000}}
"""


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    folder = tmp_path_factory.mktemp("simulator")
    (folder / "accounts.yaml").write_text(FILE)
    with simulated(folder / "accounts.yaml", folder) as running:
        yield running


@pytest.fixture
def accounts(simulator: Simulated, tmp_path: Path) -> Path:
    """The file as a user has it, but that its accounts are simulated."""
    simulator.reset()
    simulator.change(faults={})
    content = yaml.safe_load(simulator.accounts.read_text())
    content["accounts"][0]["key"] = "env:FIRST_KEY"
    path = tmp_path / "accounts.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def test_accounts_are_listed_with_what_matters_and_without_secrets(accounts: Path) -> None:
    listed = c500("accounts", "list", FIRST_KEY=SECRET)
    assert listed.returncode == 0, listed.stderr
    head, *lines = listed.stdout.splitlines()
    assert head.split() == ["account", "provider", "model", "limits", "price", "state"]
    assert [line.split()[0] for line in lines] == ["first", "first", "second", "spare"]
    assert "rpm 60, tpm 10000, concurrency 1, usd_per_day 5 + rpm 30" in lines[1]
    assert "$10 in, $40 out" in lines[1]
    assert "unknown" in lines[2]
    assert lines[3].endswith("disabled")
    assert SECRET not in listed.stdout + listed.stderr
    without_key = c500_here("accounts", "list", "--json", FIRST_KEY="")
    assert "FIRST_KEY" in json.loads(without_key.stdout)[0]["state"]


def test_check_calls_every_model_once_and_compares_its_limits(accounts: Path, simulator: Simulated) -> None:
    run = c500_here("accounts", "check", FIRST_KEY=SECRET)
    assert run.returncode == 0, run.stdout + run.stderr
    assert [line.split()[:3] for line in run.stdout.splitlines()] == [
        ["first", "small", "ok"],
        ["first", "large", "ok"],
        ["second", "small", "ok"],
    ]
    assert "rpm 60" in run.stdout
    assert simulator.books()["total"]["charged"]["calls"] == 3
    by_user = json.loads(c500_here("costs", "--by", "user,outcome", "--json").stdout)
    assert [(one["group"], one["calls"]) for one in by_user] == [({"user": "accounts-check", "outcome": "ok"}, 3)]
    assert "100.0% of 1 ok" in c500_here("accounts", "list", FIRST_KEY=SECRET).stdout


def test_check_says_what_fails_and_how_to_put_it_right(accounts: Path, simulator: Simulated) -> None:
    simulator.change("second", faults={"out_of_quota": 1.0})
    run = c500_here("accounts", "check", "--json", FIRST_KEY="")
    assert run.returncode == 1
    missing, _, exhausted = json.loads(run.stdout)
    assert (missing["ok"], missing["error"]["code"]) == (False, "NOT_FOUND")
    assert "FIRST_KEY" in missing["error"]["fix"]
    assert (exhausted["ok"], exhausted["error"]["fix"]) == (False, "top the accounts up")
    shown = c500_here("accounts", "check", "second")
    assert "fix: top the accounts up" in shown.stdout


def test_limits_are_shown_as_they_stand(accounts: Path) -> None:
    c500_here("accounts", "check", "first", FIRST_KEY=SECRET)
    rows = {row["limit"]: row for row in json.loads(c500_here("accounts", "show-limits", "--json").stdout)}
    assert (rows["account/first/rpm"]["used"], rows["account/first/rpm"]["of"]) == (2, 60)
    assert rows["account/first/large/rpm"]["used"] == 1
    assert 0 < rows["account/first/usd_per_day"]["used"] < 0.01
    assert rows["everyone/usd_per_month"]["used"] == rows["account/first/usd_per_day"]["used"]
    assert (rows["user/ann/tpd"]["used"], rows["account/first/concurrency"]["held"]) == (0, 0)
    assert "account/spare/rpm" not in rows
    shown = c500_here("accounts", "show-limits", "--user", "ben").stdout.splitlines()
    assert shown[0].split() == ["limit", "used", "held", "of", "share", "blocked"]
    assert ["account/first/rpm", "2", "0", "60", "3%", "-"] in [line.split() for line in shown]


def test_a_sealed_secret_opens_an_account(accounts: Path, tmp_path: Path) -> None:
    key = c500_here("accounts", "new-key").stdout.strip()
    sealed = c500_here("accounts", "seal", "keys.json", "first", stdin=f"{SECRET}\n", C500_SEAL_KEY=key)
    assert sealed.returncode == 0, sealed.stderr
    assert sealed.stdout.strip().endswith("file:keys.json#first")
    assert SECRET not in (tmp_path / "keys.json").read_text() + sealed.stdout
    accounts.write_text(accounts.read_text().replace("env:FIRST_KEY", "file:keys.json#first"))
    assert c500_here("accounts", "check", "first", C500_SEAL_KEY=key).returncode == 0
    wrong = c500_here("accounts", "check", "first", C500_SEAL_KEY=new_seal_key())
    assert wrong.returncode == 1
    assert "does not open" in wrong.stdout


def test_costs_are_summed_as_asked(accounts: Path) -> None:
    c500_here("accounts", "check", FIRST_KEY=SECRET)
    shown = c500_here("costs", "--by", "account,model", "--since", "24h").stdout.splitlines()
    assert [line.split()[:2] for line in shown[1:]] == [
        ["first", "large"],
        ["first", "small"],
        ["second", "small"],
        ["total", "3"],
    ]
    for head in ("tokens sent", "tokens answered", "tokens cached", "of it estimated"):
        assert head in shown[0]
    assert shown[-1].split()[-1] == "$0.0000"  # all were answered, with their tokens
    days = json.loads(c500_here("costs", "--by", "day", "--json").stdout)
    assert [one["calls"] for one in days] == [3]
    unpriced = c500_here("costs", "--anomalies").stdout
    assert "1 calls of account second, model small today have no price" in unpriced


@pytest.mark.parametrize("wrong", [("--by", "colour"), ("--since", "2026-13-01")])
def test_a_wrong_question_about_costs_is_refused_with_a_fix(wrong: tuple[str, str]) -> None:
    run: subprocess.CompletedProcess[str] = c500_here("costs", *wrong)
    assert run.returncode == 2
    assert "fix:" in run.stderr


def test_the_example_is_a_file_that_is_read() -> None:
    accounts = read_accounts(EXAMPLE).accounts
    assert {"openai", "anthropic", "gemini", "deepseek", "qwen", "kimi", "vllm", "openai-compatible"} == {
        account.provider for account in accounts
    }


def test_a_plain_request_passes_no_limit_of_the_example_by_itself() -> None:
    accounts = read_accounts(EXAMPLE)
    request = ChatRequest(messages=({"role": "user", "content": "Compare our three suppliers."},))
    budgets = budgets_of(accounts, Caller(session="one"))
    for route in routes_of(accounts):
        made = plan(route, request, 20, budgets)
        assert made is not None
        assert [charge for charge in made.option.charges if charge.amount > charge.limit.amount] == []


def test_an_answer_of_unsaid_length_is_as_long_as_a_small_limit_allows() -> None:
    quota = Quota(tpm=2_000)
    model = Model(context_tokens=100_000, max_output_tokens=64_000)
    account = Account(name="small", provider="openai", key="none", models={"m": model}, quota=quota)
    (route,) = routes_of(Accounts(accounts=(account,)))
    assert route.output_tokens(None, 500) == 1_500
    assert route.output_tokens(5_000, 500) == 5_000
    assert route.output_tokens(None, 99_999) == 1
    assert route.output_tokens(2, 99_999) is None
