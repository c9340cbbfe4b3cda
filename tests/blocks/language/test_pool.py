"""The account pool as a language engine, in front of a simulated provider."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from blocks.accounts.account import USD_UNIT
from blocks.accounts.books import Books
from blocks.accounts.schema import CALLS
from blocks.errors import EngineFailed, EngineUnavailable
from blocks.language.pool import USER, PoolLanguageEngine
from blocks.language.protocol import Prompt
from deployments.simulator.behaviour import Behaviour
from deployments.simulator.serve import simulate
from tests.flows.swarming import account, write_accounts

PROMPTS = [Prompt(task="summarise", system="Be brief.", user=f"text {n}", text=f"text {n}") for n in range(3)]

Engine = Callable[..., PoolLanguageEngine]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Makes an engine with one account; takes more of accounts.yaml, and the simulator's behaviour."""
    monkeypatch.setenv("ACCOUNTS_FILE", str(tmp_path / "accounts.yaml"))
    monkeypatch.setenv("LIMITER_URL", "memory://")
    monkeypatch.setenv("BOOKS_URL", f"sqlite:///{tmp_path}/books.db")
    with ExitStack() as stack:

        def made(more: dict[str, Any] | None = None, **behaviour: Any) -> PoolLanguageEngine:
            accounts = [account("one")]
            simulator = stack.enter_context(simulate(accounts, Behaviour(**behaviour)))
            write_accounts(tmp_path / "accounts.yaml", accounts, simulator, **(more or {}))
            return PoolLanguageEngine()

        yield made


async def test_all_prompts_are_answered_in_order_with_their_cost(engine: Engine) -> None:
    answers = await engine().complete(PROMPTS)
    assert [answer.text for answer in answers] == ["text 0", "text 1", "text 2"]
    assert all(answer.cost_usd and answer.model == "m" for answer in answers)


async def test_the_books_have_the_calls_under_their_job(engine: Engine, tmp_path: Path) -> None:
    asked = [prompt.model_copy(update={"job": f"job-{number % 2}"}) for number, prompt in enumerate(PROMPTS)]
    answers = await engine().complete(asked)
    books = Books(f"sqlite:///{tmp_path}/books.db")
    with books.engine().connect() as connection:
        sums = select(CALLS.c.job, func.sum(CALLS.c.cost_units)).where(CALLS.c.user == USER).group_by(CALLS.c.job)
        booked = {job: units / USD_UNIT for job, units in connection.execute(sums)}
    books.close()
    paid = [answer.cost_usd or 0 for answer in answers]
    assert booked == pytest.approx({"job-0": paid[0] + paid[2], "job-1": paid[1]}, rel=1e-9)


async def test_a_provider_that_fails_is_an_engine_that_is_not_there(engine: Engine) -> None:
    failing = engine({"routing": {"attempts": 1}}, faults={"error": 1.0})
    with pytest.raises(EngineUnavailable) as error:
        await failing.complete(PROMPTS)
    assert error.value.fix


@pytest.mark.parametrize("budget", [{"usd": 0.000_001}, {"tpd": 1}])
async def test_what_the_pool_refuses_is_an_error_of_the_engine_with_its_fix(engine: Engine, budget: Any) -> None:
    with pytest.raises((EngineFailed, EngineUnavailable), match="leaves no room") as error:
        await engine({"budgets": {"everyone": budget}}).complete(PROMPTS)
    assert error.value.fix
    assert isinstance(error.value, EngineUnavailable) == ("tpd" in budget)
