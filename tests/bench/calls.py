"""LLM calls: throughput, added latency and CPU with limiter and books, against bare aiohttp, httpx and LiteLLM."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from blocks.accounts.account import Account, Model, Price, Quota
from tests.conftest import ROOT
from tests.databases import redis_server
from tests.fakes.llm.simulated import Simulated, simulated

NAME = "calls"
UNIT = "x of the goals 0.6 of aiohttp and 5 times LiteLLM"
GOAL = 1.0

ANSWER_MS = 50
CONCURRENT = 100
ACCOUNTS = 10
CALLS = 20_000
QUICK_CALLS = 3_000

SHARE_OF_AIOHTTP = 0.6
TIMES_LITELLM = 5.0

LITELLM_VENV = ROOT / ".bench" / "litellm"
DRIVERS = Path(__file__).with_name("call_drivers.py")
"""Each way to call is a process of its own: one that was warm does not help the next."""


def measure(quick: bool) -> float:
    """The worse of the two ratios; 1 is the goal, less is better."""
    calls = QUICK_CALLS if quick else CALLS
    with tempfile.TemporaryDirectory() as name, redis_server() as redis:
        folder = Path(name)
        model = Model(price=Price(input_usd=0.15, output_usd=0.6))
        quota = Quota(rpm=1_000_000, tpm=10**9, rpd=10**9, concurrency=1_000)
        accounts = [
            Account(name=f"a{n}", provider="openai", key="none", models={"m": model}, quota=quota)
            for n in range(ACCOUNTS)
        ]
        with simulated(accounts, folder, latency={"mean_ms": ANSWER_MS}) as simulator:
            drive = _Driver(simulator, folder, redis.url)
            found = {
                "aiohttp": drive("aiohttp", calls),
                "C500, memory": drive("pool memory://", calls),
                "C500, SQLite": drive(f"pool sqlite:///{folder}/limits.db", calls),
                "C500, Redis": drive(f"pool {redis.url}", calls),
                "httpx": drive("httpx", calls // 10),
                "LiteLLM Router": drive("litellm", calls // 10, python=litellm()),
            }
    print(f"{ANSWER_MS} ms an answer, {CONCURRENT} at once, {ACCOUNTS} accounts; two processes share the cores")
    for way, one in found.items():
        print(
            f"{way:15} {one['per_s']:7.0f} calls/s  +{one['added_ms']:6.1f} ms mean  "
            f"{one['cpu_ms']:5.2f} ms CPU a call  ({one['calls']} calls)",
            flush=True,
        )
    ours = found["C500, memory"]["per_s"]
    return max(
        SHARE_OF_AIOHTTP * found["aiohttp"]["per_s"] / ours, TIMES_LITELLM * found["LiteLLM Router"]["per_s"] / ours
    )


class _Driver:
    """Runs a way to call in a process of its own."""

    def __init__(self, simulator: Simulated, folder: Path, redis: str) -> None:
        self._simulator, self._folder = simulator, folder

    def __call__(self, way: str, calls: int, python: Path | str = sys.executable) -> dict[str, float]:
        self._simulator.reset()
        command = [str(python), str(DRIVERS), way, self._simulator.url, str(self._simulator.accounts)]
        made = subprocess.run(
            [*command, str(calls), str(CONCURRENT), str(self._folder)],
            env={**os.environ, "PYTHONPATH": str(ROOT)} if python == sys.executable else dict(os.environ),
            stdout=subprocess.PIPE,
            check=True,
        )
        found = json.loads(made.stdout.splitlines()[-1])
        found["added_ms"] = found["mean_ms"] - ANSWER_MS
        return found


def litellm() -> Path:
    """A Python that has LiteLLM."""
    python = LITELLM_VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(LITELLM_VENV)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "litellm"], check=True)
    return python
