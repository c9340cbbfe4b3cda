"""What tests of swarms share: accounts at a simulator, tables of rows, and a process whose swarms can be killed."""

import json
from collections.abc import Generator, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from blocks.accounts.account import Account, Model, Price, Quota
from blocks.settings import settings
from tests.fakes.forked import Forks, forks_of
from tests.fakes.llm.simulated import Simulated, simulated

PROMPT = "Judge: {{ text }}"
SCHEMA = {
    "type": "object",
    "properties": {"sentiment": {"enum": ["positive", "negative"]}, "score": {"type": "number"}},
    "required": ["sentiment", "score"],
    "additionalProperties": False,
}
PRICE = Price(input_usd=0.5, output_usd=1.5)


def account(name: str, *, model: dict[str, Any] | None = None, **fields: Any) -> Account:
    """An account with one model `m`; where it is comes later."""
    made = Model(**{"price": PRICE, "max_output_tokens": 200, **(model or {})})
    return Account(name=name, provider="vllm", base_url="http://127.0.0.1:1", key="none", models={"m": made}, **fields)


def four(concurrency: int = 50) -> list[Account]:
    """Four accounts."""
    return [account(f"a{at}", quota=Quota(concurrency=concurrency)) for at in range(4)]


@contextmanager
def shared_simulator(folder: Path, monkeypatch: pytest.MonkeyPatch, *, mean_ms: float) -> Generator[Simulated]:
    """Four accounts that take so long to answer; the settings of this process and its children lead there."""
    with simulated(four(), folder, latency={"kind": "fixed", "mean_ms": mean_ms}) as one:
        monkeypatch.setenv("ACCOUNTS_FILE", str(one.accounts))
        monkeypatch.setenv("LIMITER_URL", f"sqlite:///{folder}/limits.db")
        monkeypatch.setenv("BOOKS_URL", f"sqlite:///{folder}/books.db")
        yield one


def write_accounts(path: Path, accounts: Iterable[Account], sim: Any, **more: Any) -> Path:
    """An accounts.yaml that leads to the simulator."""
    listed = [one.model_dump(mode="json", exclude_defaults=True) for one in accounts]
    for one in listed:
        one["base_url"] = sim.base_url(one["name"])
    path.write_text(yaml.safe_dump({"accounts": listed, **more}))
    settings.cache_clear()
    return path


def write_rows(path: Path, count: int, text_bytes: int = 30) -> Path:
    """JSON lines with `id` and `text`, no two the same."""
    with path.open("w") as file:
        for at in range(count):
            text = f"row {at} "
            text += "x" * (text_bytes - len(text))
            file.write(json.dumps({"id": at, "text": text}) + "\n")
    return path


def lines(path: str | Path) -> list[dict[str, Any]]:
    """The lines of a file; none when there is none."""
    return [json.loads(line) for line in Path(path).read_text().splitlines()] if Path(path).exists() else []


def failures(output: str | Path) -> list[dict[str, Any]]:
    """The rows that failed."""
    return lines(f"{output}.failed.jsonl")


def assert_each_row_once(answers: Sequence[dict[str, Any]], rows: int) -> None:
    """None missing, none twice."""
    assert sorted(answer["row"] for answer in answers) == list(range(1, rows + 1))
    assert len({answer["key"] for answer in answers}) == rows


def runner(**environment: str) -> AbstractContextManager[Forks]:
    """Runs swarms in forks of one process, so that each begins at once; they have these settings."""
    return forks_of("tests.flows.run_swarm", follows=False, **environment)
