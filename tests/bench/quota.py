"""Quota efficiency: successful over permitted calls of a minute at ten uneven accounts, and refusals seen."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from blocks.accounts.account import Account, Model, Price, Quota
from tests.bench.calls import DRIVERS, litellm
from tests.conftest import ROOT
from tests.fakes.llm.simulated import simulated

NAME = "quota"
UNIT = "x of the goals 97 % used and 0.1 % refused"
GOAL = 1.0

USED = 0.97
REFUSED = 0.001

LATENCY = {"kind": "lognormal", "mean_ms": 312, "p95_ms": 487}
"""The first of the published latency distributions; see `swarm`."""

ANSWER_TOKENS = 20

RPM = (600, 400, 300, 200, 120, 90, 60, 500, 350, 80)
TPM = (100_000, 9_000, 100_000, 4_500, 100_000, 2_000, 100_000, 100_000, 7_000, 100_000)
"""Half of the accounts are held back by their requests, the others by their tokens."""

CONCURRENT = 200
WINDOW_S = 60.0
QUICK_S = 15.0


def measure(quick: bool) -> float:
    """The worse of the two ratios; 1 is the goal, less is better."""
    window_s = QUICK_S if quick else WINDOW_S
    model = Model(price=Price(input_usd=0.15, output_usd=0.6), max_output_tokens=ANSWER_TOKENS)
    accounts = [
        Account(name=f"a{n}", provider="openai", key="none", models={"m": model}, quota=Quota(rpm=rpm, tpm=tpm))
        for n, (rpm, tpm) in enumerate(zip(RPM, TPM, strict=True))
    ]
    found: dict[str, tuple[float, float]] = {}
    for way, python in (("pool memory://", Path(sys.executable)), ("litellm", litellm())):
        with tempfile.TemporaryDirectory() as name:
            behaviour = {"latency": LATENCY, "answer_tokens": ANSWER_TOKENS}
            with simulated(accounts, Path(name), **behaviour) as simulator:
                limits = json.dumps([[rpm, tpm] for rpm, tpm in zip(RPM, TPM, strict=True)])
                command = [str(python), str(DRIVERS), way, simulator.url, str(simulator.accounts)]
                subprocess.run(
                    [*command, f"for {window_s}", str(CONCURRENT), name],
                    env={**os.environ, "PYTHONPATH": str(ROOT), "BENCH_LIMITS": limits}
                    if way != "litellm"
                    else {**os.environ, "BENCH_LIMITS": limits},
                    stdout=subprocess.PIPE,
                    check=True,
                )
                books = simulator.books()
                total = books["total"]
        permitted = sum(_permitted(books["accounts"][account.name], account.quota) for account in accounts)
        answered, refused = total["answered"]["calls"], sum(total["refused"].values())
        share = answered / permitted
        found[way] = share, refused / total["requests"]
        print(
            f"{way:15} {answered} of {permitted:.0f} permitted calls in {window_s:.0f} s: {share:.1%}; "
            f"{refused} of {total['requests']} requests refused: {refused / total['requests']:.2%}",
            flush=True,
        )
    share, refused = found["pool memory://"]
    return max(USED / share, refused / REFUSED)


def _permitted(book: dict[str, Any], quota: Quota) -> float:
    """The calls of a minute that an account permits, of as many tokens as the simulator charged for its calls."""
    charged = book["charged"]
    tokens = charged["prompt_tokens"] + charged["completion_tokens"]
    return min(quota.rpm or 0, (quota.tpm or 0) * charged["calls"] / tokens)
