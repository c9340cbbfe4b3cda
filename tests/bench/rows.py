"""Rows a minute of `batch_prompts` against what the quotas of ten uneven accounts allow, in chunks and one by one.

Allowed is what `quota` says: of each account the calls of its windows, by requests or by tokens at the size that the
calls had; times the rows of a prompt. The run is killed when the windows are over, and the rows that its ledger has
answered by then count.
"""

import os
import signal
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from blocks.accounts.account import Account, Model, Price, Quota
from deployments.server import TUNING, temporary_server
from tests.conftest import ROOT
from tests.fakes.forked import forks_of
from tests.fakes.llm.simulated import Simulated, simulated
from tests.flows.batch_prompting import plan_file, table, texts
from tests.processes import until

NAME = "rows"
UNIT = "x of the rows a minute that the quotas allow"
GOAL = 1.05

LATENCY = {"kind": "lognormal", "mean_ms": 1_247, "p95_ms": 1_892}
"""The second of the published latency distributions, see `swarm`: answers to chunks are long."""

RPM = (60, 40, 30, 20, 12, 9, 60, 50, 35, 8)
TPM = (1_000_000, 12_000, 1_000_000, 9_000, 1_000_000, 5_000, 1_000_000, 1_000_000, 15_000, 1_000_000)
"""Some of the accounts are held back by their requests, the others by their tokens."""

CHUNK = 5
CONCURRENT = 100
WINDOW_S = 60.0
WINDOWS = 2
QUICK_S = 20.0
"""Of one window: all of its calls may come at its beginning."""


def measure(quick: bool) -> float:
    """Allowed rows / rows answered; 1 is all of the quota."""
    windows, seconds = (1, QUICK_S) if quick else (WINDOWS, WINDOWS * WINDOW_S)
    os.environ |= TUNING | {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"}
    found: dict[int, float] = {}
    with temporary_server() as server:
        for size in (CHUNK, 1):
            with tempfile.TemporaryDirectory() as name:
                found[size] = _measured(Path(name), server, size, windows, seconds)
    return found[CHUNK]


def _measured(folder: Path, server: str, size: int, windows: int, seconds: float) -> float:
    model = Model(price=Price(input_usd=0.15, output_usd=0.6), max_output_tokens=1_500)
    accounts = [
        Account(name=f"a{n}", provider="openai", key="none", models={"m": model}, quota=Quota(rpm=rpm, tpm=tpm))
        for n, (rpm, tpm) in enumerate(zip(RPM, TPM, strict=True))
    ]
    table(folder, texts((windows + 1) * sum(RPM) * size))
    plan = plan_file(folder, chunk_size=size, concurrency=CONCURRENT)
    behaviour = {"latency": LATENCY, "script": "tests.flows.batch_prompting.answer"}
    with simulated(accounts, folder, **behaviour) as simulator:
        answered = _answered(folder, server, plan, simulator, seconds)
        books = simulator.books()
    calls = windows * sum(_permitted(books["accounts"][one.name], one.quota) for one in accounts)
    total, minutes = books["total"], windows * WINDOW_S / 60
    print(
        f"{size} rows a prompt: {answered / minutes:7,.0f} rows a minute of {calls * size / minutes:7,.0f} allowed"
        f" ({answered / calls / size:.1%}) in {seconds:.0f} s; {total['requests']} calls of {calls:.0f} allowed,"
        f" {sum(total['refused'].values())} refused",
        flush=True,
    )
    return calls * size / answered


def _answered(folder: Path, server: str, plan: Path, simulator: Simulated, seconds: float) -> int:
    """Rows that a run has answered so many seconds after its first call."""
    more = {
        "PREFECT_API_URL": server,
        "ACCOUNTS_FILE": str(simulator.accounts),
        "LIMITER_URL": "memory://",
        "BOOKS_URL": f"sqlite:///{folder}/books.db",
        "AUDIO_DIR": f"{folder}/store",
        "LOG_DIR": f"{folder}/logs",
        "AGENTS_HOME": f"{folder}/agents",
        "PYTHONPATH": str(ROOT),
    }
    with forks_of("tests.flows.run_batch_prompts", follows=False, **more) as forks:
        pid = forks.start(plan=str(plan))
        until(lambda: simulator.books()["total"]["requests"], 120)
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        forks.wait()
    with closing(sqlite3.connect(folder / "out.ledger.db")) as ledger:
        return ledger.execute("SELECT count(*) FROM rows WHERE status = 'answered'").fetchone()[0]


def _permitted(book: dict[str, Any], quota: Quota) -> float:
    """The calls of a minute that an account permits, of as many tokens as the simulator charged for its calls."""
    charged = book["charged"]
    tokens = charged["prompt_tokens"] + charged["completion_tokens"]
    if not tokens:
        return quota.rpm or 0
    return min(quota.rpm or 0, (quota.tpm or 0) * charged["calls"] / tokens)
