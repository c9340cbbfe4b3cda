"""What many calls may use of the accounts: all limits that apply, those of accounts, models and budgets."""

from pathlib import Path
from typing import Any

import pytest

from blocks.accounts.account import Account, Accounts, Budgets, Model, Price, Quota
from blocks.accounts.books import Books
from blocks.accounts.capacity import Capacity, bounds_of, capacity_of, fits
from blocks.accounts.chat import Caller
from blocks.accounts.pool import Pool
from blocks.accounts.secrets import Secrets
from blocks.limits import open_limiter


def account(name: str, *, model: dict[str, Any] | None = None, **quota: Any) -> Account:
    made = Model(price=Price(input_usd=1.0, output_usd=2.0), max_output_tokens=50, **(model or {}))
    fields: dict[str, Any] = {"provider": "vllm", "base_url": "http://127.0.0.1:1", "key": "none"}
    return Account(name=name, models={"m": made}, quota=Quota(**quota), **fields)


async def found(folder: Path, *accounts: Account, budgets: Budgets | None = None) -> tuple[Capacity, Pool]:
    whole = Accounts(accounts=accounts, budgets=budgets or Budgets())
    pool = Pool(whole, open_limiter("memory://"), Books(f"sqlite:///{folder}/books.db"), Secrets(folder))
    try:
        return await capacity_of(pool, pool.routes, Caller(user="mai")), pool
    finally:
        await pool.close()


async def test_what_accounts_permit_is_added_up_and_held_against_budgets(tmp_path: Path) -> None:
    both, _ = await found(tmp_path, account("a", rpm=10, usd=3.0), account("b", rpm=20, usd=4.0))
    assert (both.most["rpm"], both.usd_left) == (30, 7.0)
    bounded, _ = await found(tmp_path, account("a", rpm=10, usd=3.0), budgets=Budgets(user=Quota(rpm=5, usd=1.0)))
    assert (bounded.most["rpm"], bounded.usd_left) == (5, 1.0)


async def test_an_account_without_a_limit_lifts_it(tmp_path: Path) -> None:
    both, _ = await found(tmp_path, account("a", rpm=10, usd=3.0), account("b"))
    assert (dict(both.most), both.usd_left) == ({}, None)


@pytest.mark.parametrize(
    ("quota", "binds", "seconds"),
    [
        ({}, "concurrency", 600 * 2.0 / 20),
        ({"concurrency": 5}, "concurrency", 600 * 2.0 / 5),
        ({"rpm": 60}, "rpm", 600 * 62.0 / 60 - 60),
        ({"rpd": 100}, "rpd", 5 * 86_400.0),
    ],
)
async def test_the_limit_that_makes_calls_take_longest_comes_first(
    tmp_path: Path, quota: dict[str, Any], binds: str, seconds: float
) -> None:
    one, _ = await found(tmp_path, account("a", **quota))
    first = bounds_of(one, concurrency=20, calls=600, used=6_000, held=6_000, latency_s=2.0)[0]
    assert (first.limit, first.seconds) == (binds, pytest.approx(seconds))


@pytest.mark.parametrize(("prompt", "does"), [(40, True), (80, False)])
async def test_a_prompt_must_pass_the_limits_of_tokens(tmp_path: Path, prompt: int, does: bool) -> None:
    _, pool = await found(tmp_path, account("a", tpm=100))
    assert fits(pool.routes[0], prompt, 50) is does
