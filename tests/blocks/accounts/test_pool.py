"""The pool against simulated providers over real HTTP."""

import asyncio
import re
from collections import Counter

import pytest

from blocks.accounts.account import Budgets, Model, Price, Quota, Routing, TierRule
from blocks.accounts.chat import Answer, Caller
from blocks.accounts.dialects.protocol import Piece
from blocks.errors import (
    BadInput,
    BudgetExceeded,
    C500Error,
    EngineFailed,
    EngineUnavailable,
    LimitReached,
    TimedOut,
    TooLarge,
    Unsupported,
)
from tests.blocks.accounts.conftest import OpenPool, account, asked, entered
from tests.processes import eventually

PROVIDERS = ("openai", "anthropic", "gemini", "deepseek")


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_every_provider_answers_and_is_entered_in_the_books(simulate, open_pool: OpenPool, provider: str) -> None:
    simulator = simulate([account("one", provider)])
    pool = await open_pool(simulator)
    answer = await pool.complete(asked("good morning"), Caller(user="anna", session="s", job="j"))
    assert answer.reply.text
    assert (answer.account, answer.model, answer.attempts, answer.cached) == ("one", "small", 1, None)
    [row] = await entered(pool)
    assert (row["account"], row["model"], row["user"], row["session"], row["job"], row["outcome"]) == (
        "one",
        "small",
        "anna",
        "s",
        "j",
        "ok",
    )
    assert row["cost_units"] == simulator.books()["total"]["charged"]["cost_units"] > 0
    assert answer.cost_usd == row["cost_units"] / 1e9


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_stream_comes_in_pieces_and_ends_with_the_whole(simulate, open_pool: OpenPool, provider: str) -> None:
    simulator = simulate([account("one", provider)])
    pool = await open_pool(simulator)
    got = [one async for one in pool.stream(asked("one two three four five six"))]
    pieces, answer = [one for one in got if isinstance(one, Piece)], got[-1]
    assert isinstance(answer, Answer)
    assert "".join(piece.text for piece in pieces) == answer.reply.text != ""
    assert len([piece for piece in pieces if piece.text]) > 1
    [row] = await entered(pool)
    assert row["cost_units"] == simulator.books()["total"]["charged"]["cost_units"] > 0
    assert not row["is_estimate"]


async def test_work_spreads_over_accounts_within_their_limits(simulate, open_pool: OpenPool) -> None:
    quotas = [Quota(concurrency=4, rpm=30), Quota(concurrency=2, rpm=10)]
    simulator = simulate([account(f"a{n}", quota=quota) for n, quota in enumerate(quotas)], latency={"mean_ms": 20})
    pool = await open_pool(simulator)
    answers = await asyncio.gather(*(pool.complete(asked(f"row {n}")) for n in range(40)))
    assert Counter(answer.account for answer in answers) == {"a0": 30, "a1": 10}
    assert simulator.books()["total"]["too_many"] == 0


async def test_twenty_callers_and_a_budget_of_two_calls(simulate, open_pool: OpenPool) -> None:
    # 20 tokens out at 4 dollars a million, and a prompt of at most 15 tokens: below 100,000 units each.
    priced = Model(price=Price(input_usd=0, output_usd=4.0), max_output_tokens=20)
    simulator = simulate([account("one", models={"small": priced})], latency={"mean_ms": 30}, answer_tokens=20)
    each_usd = 20 * 4.0 / 1e6
    pool = await open_pool(simulator, budgets=Budgets(everyone=Quota(usd=2 * each_usd)))
    got = await asyncio.gather(*(pool.complete(asked(f"{n}")) for n in range(20)), return_exceptions=True)
    assert sum(isinstance(one, Answer) for one in got) == 2
    assert sum(isinstance(one, BudgetExceeded) for one in got) == 18


@pytest.mark.parametrize("fault", ["error", "reset_before", "half_body", "rate_limited", "malformed_envelope"])
async def test_what_fails_at_one_account_is_served_by_another(simulate, open_pool: OpenPool, fault: str) -> None:
    if fault == "malformed_envelope":
        fault = "html"
    simulator = simulate([account("bad"), account("good")], accounts={"bad": {"faults": {fault: 1.0}}})
    pool = await open_pool(simulator)
    for n in range(8):
        assert (await pool.complete(asked(f"row {n}"))).account == "good"


async def test_a_wrong_key_rests_the_account_and_names_it(simulate, open_pool: OpenPool, monkeypatch) -> None:
    monkeypatch.setenv("WRONG", "no such key")
    simulator = simulate([account("one")])
    pool = await open_pool(simulator)
    one = pool.routes[0].account
    url = f"{simulator.url}/v1"
    wrong = account("one", key="env:WRONG", base_url=url, models=one.models)
    pool = await open_pool(simulator)
    for route in pool.routes:
        route.account = wrong
    with pytest.raises(EngineUnavailable, match="refuses the account's key") as error:
        await pool.complete(asked(), Caller(deadline_s=5))
    assert "c500 accounts check" in error.value.fix
    assert "no such key" not in f"{error.value} {error.value.details}"


async def test_nothing_works_is_said_within_the_deadline(simulate, open_pool: OpenPool) -> None:
    simulator = simulate([account("one"), account("two")], faults={"hang": 1.0})
    pool = await open_pool(simulator)
    with pytest.raises(TimedOut) as error:
        await pool.complete(asked(), Caller(deadline_s=0.5))
    assert error.value.fix


async def test_limits_without_room_before_the_deadline_are_named(simulate, open_pool: OpenPool) -> None:
    simulator = simulate([account("one", quota=Quota(rpm=1))])
    pool = await open_pool(simulator)
    await pool.complete(asked("first"))
    with pytest.raises(LimitReached, match="account/one/rpm") as error:
        await pool.complete(asked("second"), Caller(deadline_s=2))
    assert 50 < error.value.details["retry_after_s"] <= 61


async def test_a_spent_budget_says_when_there_is_room_again_and_what_needs_less(simulate, open_pool: OpenPool) -> None:
    priced = Model(price=Price(input_usd=0, output_usd=4.0), max_output_tokens=20)
    simulator = simulate([account("one", models={"small": priced})], answer_tokens=20)
    pool = await open_pool(simulator, budgets=Budgets(everyone=Quota(usd_per_day=20 * 4.0 / 1e6)))
    await pool.complete(asked("first"))
    with pytest.raises(BudgetExceeded) as error:
        await pool.complete(asked("second"), Caller(deadline_s=1))
    # The day ends at midnight; in its last ten minutes they are counted.
    assert re.search(r"from \d{4}-\d\d-\d\d 00:00 UTC|in \d+ s", error.value.message)
    assert "a call may cost $0.000080" in error.value.message
    assert "limits.output_tokens" in error.value.message


async def test_a_request_that_fits_no_model_says_by_how_much(simulate, open_pool: OpenPool) -> None:
    pool = await open_pool(simulate([account("one")]))
    with pytest.raises(TooLarge) as error:
        await pool.complete(asked("word " * 10_000, model=None))
    assert error.value.details["over_tokens"] > 0
    assert error.value.details["context_tokens"] == 8_000


async def test_models_without_a_price_are_not_used_where_a_budget_applies(simulate, open_pool: OpenPool) -> None:
    simulator = simulate([account("one", models={"small": Model()})])
    pool = await open_pool(simulator, budgets=Budgets(user=Quota(usd_per_day=1)))
    with pytest.raises(BudgetExceeded, match="price of small is unknown"):
        await pool.complete(asked())
    assert simulator.books()["total"]["accepted"] == 0


async def test_an_unknown_model_or_label_is_named(simulate, open_pool: OpenPool) -> None:
    pool = await open_pool(simulate([account("one")]))
    with pytest.raises(Unsupported, match="'gigantic'"):
        await pool.complete(asked(model="gigantic"))
    with pytest.raises(Unsupported, match="nowhere"):
        await pool.complete(asked(), Caller(labels=("nowhere",)))


async def test_a_tier_that_no_model_is_of_is_named_with_the_tiers_that_there_are(simulate, open_pool: OpenPool) -> None:
    models = {"small": Model(tiers=("simple",)), "plain": Model(tiers=())}
    pool = await open_pool(simulate([account("one", models=models)]))
    with pytest.raises(Unsupported, match="tier complex or a higher one") as error:
        await pool.complete(asked(model=None, tier="complex"))
    assert "small (simple)" in error.value.fix
    assert "plain (no tier)" in error.value.fix
    assert error.value.details["field"] == "tier"


async def test_the_tier_chooses_the_model(simulate, open_pool: OpenPool) -> None:
    rules = (TierRule(tier="critical", pattern="contract"), TierRule(tier="simple", max_prompt_tokens=100))
    pool = await open_pool(simulate([account("one")]), routing=Routing(rules=rules))
    assert (await pool.complete(asked("hello", model=None))).model == "small"
    assert (await pool.complete(asked("check this Contract", model=None))).model == "large"
    assert (await pool.complete(asked("hello", model=None, tier="complex"))).model == "large"


async def test_a_fallback_serves_when_the_model_cannot(simulate, open_pool: OpenPool) -> None:
    first = account("first", models={"small": Model(quota=Quota(rpm=1))})
    second = account("second", models={"other": Model()})
    pool = await open_pool(simulate([first, second]), routing=Routing(fallbacks={"small": ("other",)}))
    assert [(await pool.complete(asked(f"{n}"))).model for n in range(3)] == ["small", "other", "other"]


async def test_a_session_stays_with_its_account(simulate, open_pool: OpenPool) -> None:
    pool = await open_pool(simulate([account(f"a{n}") for n in range(4)]), routing=Routing(sticky=True))
    seen = {
        session: {(await pool.complete(asked(f"{n}"), Caller(session=session))).account for n in range(4)}
        for session in map(str, range(8))
    }
    assert all(len(accounts) == 1 for accounts in seen.values())
    assert len(set.union(*seen.values())) > 1


async def test_a_refused_content_is_not_tried_again(simulate, open_pool: OpenPool) -> None:
    simulator = simulate([account("one"), account("two")], faults={"error": 1.0}, error_status=400)
    pool = await open_pool(simulator)
    with pytest.raises((BadInput, EngineFailed)):
        await pool.complete(asked())
    assert len(await entered(pool)) == 1


async def test_an_equal_request_costs_nothing_again(simulate, open_pool: OpenPool) -> None:
    simulator = simulate([account("one")], latency={"mean_ms": 30})
    pool = await open_pool(simulator, cached=True)
    caller = Caller(user="anna", cache_ttl_s=60)
    first = await asyncio.gather(*(pool.complete(asked("same"), caller) for _ in range(10)))
    again = await pool.complete(asked("same"), caller)
    other = await pool.complete(asked("same"), caller.model_copy(update={"user": "ben"}))
    assert sorted(str(answer.cached) for answer in first) == ["None", *9 * ["exact"]]
    assert (again.cached, again.cost_usd, again.account) == ("exact", 0.0, None)
    assert other.cached is None
    assert simulator.books()["total"]["accepted"] == 2
    assert Counter(row["outcome"] for row in await entered(pool)) == {"ok": 2, "cached": 10}


async def test_a_slow_call_is_hedged(simulate, open_pool: OpenPool) -> None:
    simulator = simulate([account("a"), account("b")], latency={"mean_ms": 5})
    pool = await open_pool(simulator, routing=Routing(hedge=True))
    for n in range(25):
        await pool.complete(asked(f"{n}"))
    simulator.change("a", faults={"hang": 1.0})
    # One of these goes to the account that hangs; it is answered all the same.
    for n in range(4):
        assert (await pool.complete(asked(f"slow {n}"), Caller(deadline_s=20))).account == "b"


async def test_a_cancelled_call_gives_its_place_back(simulate, open_pool: OpenPool) -> None:
    simulator = simulate([account("one", quota=Quota(concurrency=1))], faults={"hang": 1.0})
    pool = await open_pool(simulator)
    hanging = asyncio.create_task(pool.complete(asked("hangs")))
    await eventually(lambda: simulator.books()["total"]["accepted"] == 1)
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    simulator.change(faults={})
    assert (await pool.complete(asked("next"), Caller(deadline_s=10))).account == "one"
    assert [row["outcome"] for row in await entered(pool)] == ["cancelled", "ok"]


async def test_a_stream_that_is_left_early_is_settled(simulate, open_pool: OpenPool) -> None:
    simulator = simulate([account("one", quota=Quota(concurrency=1))])
    pool = await open_pool(simulator)
    stream = pool.stream(asked("one two three four five"))
    await anext(stream)
    await stream.aclose()
    assert (await pool.complete(asked("next"), Caller(deadline_s=10))).account == "one"
    assert [row["outcome"] for row in await entered(pool)] == ["cancelled", "ok"]


async def test_a_user_with_much_does_not_keep_others_waiting(simulate, open_pool: OpenPool) -> None:
    simulator = simulate([account("one", quota=Quota(concurrency=1))], latency={"mean_ms": 10})
    pool = await open_pool(simulator)
    order: list[str] = []

    async def call(user: str, n: int) -> None:
        await pool.complete(asked(f"{user} {n}"), Caller(user=user))
        order.append(user)

    async with asyncio.TaskGroup() as group:
        for n in range(30):
            group.create_task(call("greedy", n))
        await asyncio.sleep(0)
        for n in range(3):
            group.create_task(call("modest", n))
    assert order.index("modest") < 8
    assert [n for n, user in enumerate(order) if user == "modest"][-1] < 15


def test_every_error_says_what_to_do() -> None:
    assert all(issubclass(kind, C500Error) for kind in (TimedOut, LimitReached))
