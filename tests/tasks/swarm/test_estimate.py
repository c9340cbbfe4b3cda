"""What a swarm will cost and take, from the limits, prices and books as they are."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from blocks.accounts.account import Account, Accounts, Budgets, Model, Price, Quota, Routing, TierRule
from blocks.accounts.books import Books, Entry
from blocks.accounts.pool import Pool
from blocks.accounts.secrets import Secrets
from blocks.errors import BadInput, Unsupported
from blocks.limits import open_limiter
from tasks.swarm.estimate import ASSUMED_LATENCY_S, Estimate
from tasks.swarm.job import SwarmJob
from tasks.swarm.rehearse import rehearse
from tasks.swarm.report import report_markdown

PRICE = Price(input_usd=1.0, output_usd=2.0)
ROWS = ["0123456789"] * 600


def account(name: str, *, price: Price | None = PRICE, model: dict[str, Any] | None = None, **quota: Any) -> Account:
    made = Model(**{"price": price, "max_output_tokens": 50, "tiers": ("simple", "moderate"), **(model or {})})
    fields = {"provider": "vllm", "base_url": "http://127.0.0.1:1", "key": "none", "quota": Quota(**quota)}
    return Account(name=name, models={"m": made}, **fields)


def job(folder: Path, **fields: Any) -> SwarmJob:
    return SwarmJob(**{"source": ROWS, "prompt": "{{ text }}", "output": str(folder / "out.jsonl"), **fields})


@asynccontextmanager
async def pool_of(folder: Path, accounts: Sequence[Account], **more: Any) -> AsyncIterator[Pool]:
    whole = Accounts(accounts=tuple(accounts), **more)
    pool = Pool(whole, open_limiter("memory://"), Books(f"sqlite:///{folder}/books.db"), Secrets(folder))
    try:
        yield pool
    finally:
        await pool.close()


async def estimated(
    folder: Path, *accounts: Account, budgets: Budgets | None = None, routing: Routing | None = None, **fields: Any
) -> Estimate:
    async with pool_of(folder, accounts, budgets=budgets or Budgets(), routing=routing or Routing()) as pool:
        return (await rehearse(job(folder, **fields), pool)).estimate


def seconds(expected: Estimate) -> dict[str, float]:
    return {bound.limit: bound.seconds for bound in expected.bounds}


async def test_without_limits_only_the_calls_at_once_bind(tmp_path: Path) -> None:
    expected = await estimated(tmp_path, account("a"), concurrency=20)
    assert seconds(expected) == {"concurrency": 600 * ASSUMED_LATENCY_S / 20}
    assert expected.latency_is_measured is False
    assert expected.due == 600


@pytest.mark.parametrize(
    ("quota", "binds", "permitted"),
    [
        ({"rpm": 30}, "rpm", 60),
        ({"tpm": 2_000}, "tpm", 4_000),
        ({"concurrency": 2}, "concurrency", 4),
        ({"rpd": 100}, "rpd", 200),
        ({"tpd": 1_000}, "tpd", 2_000),
    ],
)
async def test_the_limit_that_binds_is_named_with_what_both_accounts_permit(
    tmp_path: Path, quota: dict[str, int], binds: str, permitted: int
) -> None:
    expected = await estimated(tmp_path, account("a", **quota), account("b", **quota))
    assert (expected.bounds[0].limit, expected.bounds[0].permitted) == (binds, permitted)
    assert expected.seconds > seconds(expected).get("concurrency", 0.0)


async def test_a_rate_lets_its_window_pass_at_once_and_counts_calls_while_they_run(tmp_path: Path) -> None:
    expected = await estimated(tmp_path, account("a", rpm=60))
    assert seconds(expected)["rpm"] == pytest.approx(600 * (60 + ASSUMED_LATENCY_S) / 60 - 60)


async def test_limits_of_models_users_and_everyone_count_too(tmp_path: Path) -> None:
    budgets = Budgets(everyone=Quota(rpm=50), user=Quota(rpm=40), users={"mai": Quota(rpm=10)})
    tight = account("a", model={"quota": Quota(rpm=20)}, rpm=100)
    found = {
        user: {
            one.limit: one.permitted
            for one in (
                await estimated(tmp_path, tight, tight.model_copy(update={"name": "b"}), budgets=budgets, user=user)
            ).bounds
        }["rpm"]
        for user in ("anonymous", "mai")
    }
    assert found == {"anonymous": 40, "mai": 10}


async def test_an_account_without_a_limit_lifts_it(tmp_path: Path) -> None:
    expected = await estimated(tmp_path, account("a", rpm=10), account("b"))
    assert "rpm" not in seconds(expected)


async def test_the_books_tell_latency_and_length_of_answers(tmp_path: Path) -> None:
    async with pool_of(tmp_path, [account("a")]) as pool:
        for at in range(20):
            pool.books.write(
                Entry(
                    at=time.time(),
                    account="a",
                    model="m",
                    user="u",
                    outcome="ok" if at < 10 else "transient",
                    completion_tokens=10 if at < 10 else 1_000,
                    latency_ms=500.0 if at < 10 else 60_000.0,
                )
            )
        pool.books.flush()
        expected = (await rehearse(job(tmp_path), pool)).estimate
    assert (expected.latency_s, expected.latency_is_measured) == (0.5, True)
    assert expected.output_tokens_likely == 6_000
    assert expected.output_tokens_most == 30_000
    assert expected.cost_usd_likely == pytest.approx((expected.prompt_tokens * 1.0 + 6_000 * 2.0) / 1e6)


async def test_the_cost_is_that_of_the_longest_answers_at_the_dearest_account(tmp_path: Path) -> None:
    dear = Price(input_usd=10.0, output_usd=20.0)
    expected = await estimated(tmp_path, account("a"), account("b", price=dear))
    assert expected.cost_usd_most == pytest.approx((expected.prompt_tokens * 10.0 + 30_000 * 20.0) / 1e6)


async def test_an_unknown_price_makes_no_cost_up(tmp_path: Path) -> None:
    expected = await estimated(tmp_path, account("a", price=None))
    assert (expected.cost_usd_most, expected.cost_usd_likely) == (None, None)


@pytest.mark.parametrize(("usd", "suffices"), [(1.0, True), (0.01, False)])
async def test_a_budget_is_held_against_the_cost(tmp_path: Path, usd: float, suffices: bool) -> None:
    expected = await estimated(tmp_path, account("a"), budgets=Budgets(user=Quota(usd_per_day=usd, usd=5.0)))
    assert expected.usd_left == usd
    assert expected.budget_suffices is suffices


async def test_a_tokenizer_counts_a_sample(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(tmp_path / "tokenizer.json"))
    model = {"tokenizer": str(tmp_path / "tokenizer.json")}
    expected = await estimated(tmp_path, account("a", model=model), source=["one two three four"] * 600)
    frame = expected.prompt_tokens - 600 * 4
    assert expected.counted == "counted on a sample of 200"
    assert 0 < frame < 600 * 40


async def test_a_prompt_that_fits_no_model_is_foretold(tmp_path: Path) -> None:
    small = account("a", model={"context_tokens": 100})
    assert (await estimated(tmp_path, small)).longest_fits
    assert not (await estimated(tmp_path, small, source=["x" * 1000])).longest_fits
    assert (await estimated(tmp_path, account("a", tpm=40))).longest_fits  # with a short answer
    assert not (await estimated(tmp_path, account("a", tpm=10))).longest_fits


async def test_only_what_is_left_is_estimated_and_the_rehearsal_writes_nothing(tmp_path: Path) -> None:
    from tasks.swarm.index import items
    from tasks.swarm.ledger import open_ledger

    wanted = job(tmp_path)
    with open_ledger(wanted) as ledger:
        for item in list(items(wanted))[:100]:
            (ledger.fail if item.number <= 10 else ledger.answer)({"key": item.key, "row": 1, "cost_usd": 0.0})
    before = sorted(tmp_path.iterdir())
    async with pool_of(tmp_path, [account("a")]) as pool:
        report = await rehearse(wanted, pool)
        again = await rehearse(job(tmp_path, retry_failed=True), pool)
    assert (report.rows, report.found, report.estimate.due, report.failed_in_all) == (600, 90, 500, 10)
    assert again.estimate.due == 10
    assert [path for path in sorted(tmp_path.iterdir()) if "books" not in path.name] == before
    assert "500 rows to do" in report_markdown(report)


async def test_a_model_that_no_account_has_is_told_before_anything_is_spent(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="no account has"):
        await estimated(tmp_path, account("a"), model="other")
    with pytest.raises(Unsupported, match="named or labelled"):
        await estimated(tmp_path, account("a"), accounts=("team",))


async def test_a_row_without_its_column_is_told_before_anything_is_spent(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"row 3: .*'text' is undefined") as told:
        await estimated(tmp_path, account("a"), source=["a", "b", {"body": "c"}])
    assert told.value.details["row"] == 3


@pytest.mark.parametrize(
    ("name", "content"),
    [("r.csv", b""), ("r.csv", b"a,b\n"), ("r.tsv", b"\n\n"), ("r.jsonl", b""), ("r.jsonl", b"\n \n")],
)
async def test_a_file_without_rows_is_no_success(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=f"{name} has no rows") as told:
        await estimated(tmp_path, account("a"), source=str(tmp_path / name))
    assert told.value.details["field"] == "source"


async def test_a_list_may_be_empty(tmp_path: Path) -> None:
    assert (await estimated(tmp_path, account("a"), source=[])).due == 0


TIERED = {"flash": (("simple",), 1.0), "gpt": (("moderate",), 4.0), "claude": (("complex", "critical"), 20.0)}


def tiered(name: str, model: str, **quota: Any) -> Account:
    """An account with a model of its own tier, the dearer the harder."""
    tiers, usd = TIERED[model]
    made = Model(price=Price(input_usd=usd, output_usd=usd), max_output_tokens=50, tiers=tiers)
    fields = {"provider": "vllm", "base_url": "http://127.0.0.1:1", "key": "none", "quota": Quota(**quota)}
    return Account(name=name, models={model: made}, **fields)


async def test_what_calls_may_spill_over_to_counts_and_is_named(tmp_path: Path) -> None:
    accounts = [tiered("beta", "claude"), tiered("alpha", "gpt", rpm=60), tiered("gamma", "flash", rpm=60)]
    async with pool_of(tmp_path, accounts) as pool:
        expected = (report := await rehearse(job(tmp_path, tier="simple"), pool)).estimate
    assert expected.first_choice == ("gamma/flash",)
    assert expected.spill_over == ("alpha/gpt", "beta/claude")
    assert set(expected.accounts) == {"alpha", "beta", "gamma"}
    assert expected.cost_usd_most == pytest.approx((expected.prompt_tokens + 30_000) * 20.0 / 1e6)
    assert "rpm" not in seconds(expected)  # beta has none
    assert 0.85 < expected.spill_share < 0.95  # at once 60 of 600 go to gamma, and few more in the ten seconds
    told = report_markdown(report)
    assert "rows to do, by gamma/flash\n" in told
    assert f"spilling over to alpha/gpt, beta/claude (about {expected.spill_share:.0%} of the rows)" in told


async def test_nothing_spills_over_where_the_first_choice_has_room(tmp_path: Path) -> None:
    books_say = {"at": time.time(), "account": "gamma", "model": "flash", "user": "u", "outcome": "ok"}
    async with pool_of(tmp_path, [tiered("beta", "claude"), tiered("gamma", "flash")]) as pool:
        for _ in range(10):
            pool.books.write(Entry(completion_tokens=10, latency_ms=500.0, **books_say))
        pool.books.flush()
        expected = (await rehearse(job(tmp_path, tier="simple"), pool)).estimate
    assert expected.spill_share == 0
    assert expected.cost_usd_likely == pytest.approx((expected.prompt_tokens + 6_000) / 1e6)
    assert expected.cost_usd_most == pytest.approx((expected.prompt_tokens + 30_000) * 20 / 1e6)


async def test_the_rules_see_long_prompts_as_long_as_they_are(tmp_path: Path) -> None:
    cheap, dear = (
        account(name, model={"tiers": (tier,)}) for name, tier in (("cheap", "moderate"), ("dear", "complex"))
    )
    routing = Routing(rules=(TierRule(tier="complex", min_prompt_tokens=8_000),))
    for length, first in ((100, ("cheap/m",)), (60_000, ("dear/m",))):
        expected = await estimated(tmp_path, cheap, dear, routing=routing, source=["x" * length] * 5)
        assert expected.first_choice == first


async def test_what_may_not_be_called_is_no_spill_over(tmp_path: Path) -> None:
    dear = account("dear", price=None, model={"tiers": ("complex",)})
    limited = Budgets(user=Quota(usd=5.0))
    expected = await estimated(tmp_path, account("a"), dear, budgets=limited, tier="simple")
    assert (expected.accounts, expected.spill_over) == (("a",), ())
    assert expected.cost_usd_most is not None
