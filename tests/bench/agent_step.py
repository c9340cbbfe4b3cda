"""A step of an agent (model call and tool): all guardrails, against pydantic-ai with durability only, and bare."""

import asyncio
import os
import re
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from deployments.server import temporary_server
from tests.fakes.llm.agent_model import agent_model, turn_of

NAME = "agent_step"
UNIT = "x of the time of a step with durability only"
GOAL = 1.3

WORDS = re.findall(
    r"\w+",
    "pump valve ledger harbour winter copper orchard signal lantern granite meadow cipher anchor basil comet "
    "dune ember fjord glacier hollow island jasper kettle lichen marble nectar opal",
)
"""Names of files, each with other content: an agent that reads the same again and again is stopped."""

Run = Callable[[int], Awaitable[float]]


def measure(quick: bool) -> float:
    """The median of the paired ratios of seconds a step."""
    steps, rounds = (10, 3) if quick else (25, 9)
    with tempfile.TemporaryDirectory() as folder, temporary_server() as url:
        place = Path(folder)
        prepare(place, url)

        def say(asked: Any) -> Any:
            turn = turn_of(asked)
            if turn == steps:
                return "Done."
            return {"tool_calls": [{"name": "read_file", "arguments": {"path": f"{WORDS[turn]}.txt"}}]}

        with agent_model(place / "accounts.yaml", say):
            taken_s = asyncio.run(_alternating({"bare": bare, "durable": durable, "full": full}, steps, rounds))
    for kind, times_s in taken_s.items():
        print(f"{kind:8} median {1000 * statistics.median(times_s):7.1f} ms a step, {rounds} runs of {steps} steps")
    ratios = [one / other for one, other in zip(taken_s["full"], taken_s["durable"], strict=True)]
    print(f"full / durable: {min(ratios):.2f} to {max(ratios):.2f}")
    return statistics.median(ratios)


def prepare(place: Path, url: str) -> None:
    """A workspace of small files, and settings that lead to it and to the server."""
    for name in ("workspace", "agents"):
        (place / name).mkdir()
    for number, word in enumerate(WORDS):
        (place / "workspace" / f"{word}.txt").write_text(" ".join(WORDS[number:] + WORDS[: number // 2]) + "\n")
    (place / "agents" / "bench.yaml").write_text(
        "description: Reads.\nrole: You read files.\ntools: [read_file]\nremembers: false\n"
        "limits: {steps: 1000, actions: 1000, same_action: 1000, polls: 1000}\n"
    )
    os.environ |= {
        "PREFECT_API_URL": url,
        "AUDIO_DIR": str(place / "store"),
        "LOG_DIR": str(place / "logs"),
        "AGENTS_HOME": str(place / "home"),
        "AGENTS_DIR": str(place / "agents"),
        "ACCOUNTS_FILE": str(place / "accounts.yaml"),
        "LIMITER_URL": "memory://",
        "BOOKS_URL": f"sqlite:///{place}/books.db",
        "C500_BENCH_WORKSPACE": str(place / "workspace"),
    }


async def _alternating(kinds: dict[str, Run], steps: int, rounds: int) -> dict[str, list[float]]:
    """Seconds a step of each kind, one after the other in each round, after a round that is not counted."""
    taken_s: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(rounds + 1):
        for kind, run in kinds.items():
            took_s = await run(steps)
            if number:
                taken_s[kind].append(took_s / steps)
    return taken_s


def read(path: str) -> dict[str, Any]:
    """What the bare agents read with."""
    file = Path(os.environ["C500_BENCH_WORKSPACE"]) / path
    return {"path": path, "text": file.read_text(), "size_bytes": file.stat().st_size}


async def bare(steps: int) -> float:
    """pydantic-ai over the account pool, nothing else."""
    return await _plain_agent([])


async def durable(steps: int) -> float:
    """The same in a flow with PrefectDurability."""
    from prefect import flow
    from pydantic_ai.durable_exec.prefect import PrefectDurability

    @flow(name="durable-only", persist_result=False)
    async def run() -> float:
        return await _plain_agent([PrefectDurability()])

    return await run()


async def _plain_agent(capabilities: list[Any]) -> float:
    from pydantic_ai import Agent
    from pydantic_ai.toolsets import FunctionToolset
    from pydantic_ai.usage import UsageLimits

    from blocks.accounts.chat import Caller
    from blocks.accounts.open import open_pool
    from tasks.agents.pooled_model import PooledModel

    async with open_pool() as pool:
        toolset: FunctionToolset[None] = FunctionToolset(id="plain")
        toolset.add_function(read, name="read_file")
        agent = Agent(
            PooledModel(lambda: pool, Caller), name="plain", toolsets=[toolset], capabilities=capabilities or None
        )
        start = time.perf_counter()
        await agent.run("Read.", usage_limits=UsageLimits(request_limit=None))
        return time.perf_counter() - start


async def full(steps: int) -> float:
    """`run_agent`: guard, audit, permission, effects, compaction, durability."""
    from flows import run_agent
    from tasks.agents.result import AgentOptions

    options = AgentOptions(workspace=os.environ["C500_BENCH_WORKSPACE"], attended=False)
    result = await run_agent("Read.", "bench", options)
    if result.status != "done":
        raise RuntimeError(result.model_dump_json())
    return result.usage.duration_s
