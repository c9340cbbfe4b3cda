"""accounts.yaml: what is wrong is told with its line, and never with a secret."""

import traceback
from pathlib import Path

import pytest

from blocks.accounts.account import Price, Quota
from blocks.accounts.file import parse_accounts, read_accounts
from blocks.errors import BadInput, NotFound

GOOD = """\
accounts:
  - name: one
    provider: openai
    key: env:KEY
    models:
      small: {price: {input_usd: 1, output_usd: 2}}
    quota:
      rpm: 10
"""


def problems(text: str) -> list[str]:
    with pytest.raises(BadInput) as error:
        parse_accounts(text)
    assert error.value.fix
    return error.value.details["problems"]


def test_a_good_file_is_read() -> None:
    [account] = parse_accounts(GOOD).accounts
    assert (account.name, account.url, account.dialect, account.quota.rpm) == (
        "one",
        "https://api.openai.com/v1",
        "openai",
        10,
    )


@pytest.mark.parametrize(
    ("wrong", "line", "told"),
    [
        (GOOD.replace("rpm: 10", "rpm: ten"), 8, "accounts.0.quota.rpm"),
        (GOOD.replace("rpm: 10", "rps: 10"), 8, "accounts.0.quota.rps"),
        (GOOD.replace("provider: openai", "provider: opnai"), 3, "no such provider; did you mean openai?"),
        (GOOD.replace("    key: env:KEY\n", ""), 2, "accounts.0.key"),
        (GOOD.replace("provider: openai", "provider: vllm"), 2, "base_url is needed"),
        (GOOD + GOOD.removeprefix("accounts:\n"), 9, "two accounts are named one"),
        (GOOD + "routing: {fallbacks: {small: [huge]}}\n", 9, "fallbacks.small.0: no account has the model huge"),
        (
            GOOD + 'routing:\n  rules:\n    - tier: simple\n      pattern: "("\n',
            12,
            "rules.0.pattern: it is no regular",
        ),
        (GOOD.replace("models:", "models"), 6, "expected"),
        ("- one\n", 1, "a mapping"),
        ("", 1, "a mapping"),
    ],
)
def test_a_fault_is_told_with_its_line(wrong: str, line: int, told: str) -> None:
    first = problems(wrong)[0]
    assert first.startswith(f"accounts.yaml:{line}: "), first
    assert told in first


def test_a_secret_in_the_wrong_place_is_not_repeated() -> None:
    told = problems(GOOD.replace("env:KEY", "sk-very-secret-0123456789"))
    assert "very-secret" not in str(told)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nowhere\.yaml"):
        read_accounts(tmp_path / "nowhere.yaml")


def test_all_faults_are_told_at_once() -> None:
    assert len(problems(GOOD.replace("rpm: 10", "rpm: 0").replace("provider: openai", "provider: x"))) == 2


@pytest.mark.parametrize(
    ("price", "tokens", "units"),
    [
        (Price(input_usd=1, output_usd=4), (1_000_000, 0, 0), 1_000_000_000),
        (Price(input_usd=0.15, output_usd=0.6), (1, 1, 0), 750),
        (Price(input_usd=0.1, output_usd=0.2), (1, 1, 0), 300),
        (Price(input_usd=2, output_usd=0, cached_input_usd=0.5), (10, 0, 4), 6 * 2_000 + 4 * 500),
        (Price(input_usd=0.0001, output_usd=0), (1, 0, 0), 1),
    ],
)
def test_prices_are_exact_and_rounded_up(price: Price, tokens: tuple[int, int, int], units: int) -> None:
    assert price.cost_units(*tokens) == units


def test_a_quota_becomes_limits_of_its_kinds() -> None:
    limits = Quota(rpm=1, tpm=2, rpd=3, concurrency=4, usd_per_month=5).limits("account/one", utc_offset_s=3600)
    assert {name: (limit.kind, limit.period, limit.amount) for name, limit in limits.items()} == {
        "rpm": ("rate", "day", 1),
        "tpm": ("rate", "day", 2),
        "concurrency": ("concurrency", "day", 4),
        "rpd": ("calendar", "day", 3),
        "usd_per_month": ("calendar", "month", 5_000_000_000),
    }
    assert limits["rpd"].key == "account/one/rpd"
    assert limits["rpd"].utc_offset_s == 3600


def test_a_secret_within_a_line_that_is_no_yaml_is_not_told() -> None:
    text = GOOD.replace("env:KEY", "sk-SECRET: x")
    with pytest.raises(BadInput, match=r"accounts.yaml:4: ") as error:
        parse_accounts(text)
    assert "sk-SECRET" not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            GOOD + "    lables: [a]\n",
            ["accounts.yaml:9: accounts.0.lables: ", "did you mean labels?", "known are name, "],
        ),
        ("accounts: []\n", ["accounts.yaml:1: accounts: it needs 1 or more"]),
        (GOOD.replace("env:KEY", "sk-12"), ["accounts.yaml:4: accounts.0.key: ", "env:NAME", "prefect:BLOCK", "file:"]),
        (
            GOOD.replace("rpm: 10", "rpm: 0\n      tpm: x"),
            ["accounts.yaml:8: ", "\naccounts.yaml:9: accounts.0.quota.tpm: "],
        ),
        (GOOD + GOOD.removeprefix("accounts:\n"), ["accounts.yaml:9: accounts.1.name: ", "(see line 2)"]),
        (GOOD + "    quota: {rpm: 99}\n", ["accounts.yaml:9: accounts.0.quota: it stands here and in line 7"]),
    ],
)
def test_a_new_user_is_told_what_belongs_there(text: str, told: list[str]) -> None:
    with pytest.raises(BadInput) as error:
        parse_accounts(text)
    assert [part for part in told if part not in error.value.message] == []
    assert "sk-12" not in error.value.message
