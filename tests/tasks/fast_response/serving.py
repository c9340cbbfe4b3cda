"""What tests of fast responses share: turns, and a simulated vLLM server with a pool that leads to it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from blocks.accounts.account import Account, Accounts, Model, Price, Quota
from blocks.accounts.books import Books
from blocks.accounts.pool import Pool
from blocks.accounts.secrets import Secrets
from blocks.limits.memory import MemoryLimiter
from deployments.simulator.behaviour import Behaviour
from deployments.simulator.serve import listening
from deployments.simulator.simulator import Simulator
from tasks.fast_response.turns import Intent, Turn, Utterance

REPLY = "Good thinking, let's see!"


def turn(said: str, *before: str, id: str = "1", intent: Intent | None = None) -> Turn:
    """A turn whose child said this, after what the assistant said."""
    heard = [Utterance(role="assistant", content=one) for one in before]
    return Turn(id=id, intent=intent, history=(*heard, Utterance(role="user", content=said)))


def turns(count: int) -> list[Turn]:
    """No two the same."""
    return [turn(f"I have {at} apples.", id=str(at)) for at in range(count)]


def account(provider: str = "vllm", quota: Quota | None = None, **model: Any) -> Account:
    """An account with the model `fast`; where it is comes later."""
    fields = {"price": Price(input_usd=0, output_usd=0), "context_tokens": 1024, "max_output_tokens": 100} | model
    models = {"fast": Model(**fields)}
    where = "http://127.0.0.1:1/v1"
    return Account(name="one", provider=provider, base_url=where, key="none", models=models, quota=quota or Quota())


@asynccontextmanager
async def served(
    folder: Path, given: Account | None = None, attempts: int = 1, **behaviour: Any
) -> AsyncGenerator[tuple[Pool, Simulator]]:
    """A pool of one account at a simulator in this event loop, which replies with `REPLY`."""
    one = given or account()
    rules = behaviour.pop("rules", [{"pattern": ".", "answer": REPLY}])
    simulator = Simulator([one], Behaviour.model_validate({"rules": rules, "piece_tokens": 1, **behaviour}))
    async with listening(simulator.handle, 0) as url:
        reached = one.model_copy(update={"base_url": f"{url}/a/{one.name}/v1"})
        accounts = Accounts.model_validate({"accounts": (reached,), "routing": {"attempts": attempts}})
        pool = Pool(accounts, MemoryLimiter(), Books(f"sqlite:///{folder}/books.db"), Secrets(folder))
        try:
            yield pool, simulator
        finally:
            await pool.close()
