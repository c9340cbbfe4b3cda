"""The LLM simulator of `deployments.simulator` as a process of its own."""

import subprocess
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from blocks.accounts.account import Account
from tests.processes import DEADLINE_S, HTTP, free_port, stop, until_ready


@dataclass(frozen=True)
class Simulated:
    """A running simulator.

    Attributes:
        url: Where it listens.
        accounts: The written accounts.yaml that leads to it.
        process: To stop, or to kill.
    """

    url: str
    accounts: Path
    process: "subprocess.Popen[bytes]"

    def base_url(self, account: str, version: str = "v1") -> str:
        """The base URL of an account that needs no key."""
        return f"{self.url}/a/{quote(account, safe='')}/{version}"

    def books(self) -> dict[str, Any]:
        """See `deployments.simulator.simulator.Simulator.books`."""
        return HTTP.get(f"{self.url}/simulator/books", timeout=DEADLINE_S).raise_for_status().json()

    def change(self, account: str | None = None, **changes: Any) -> None:
        """Let one account, or all, behave otherwise; values are JSON."""
        where = {"account": account} if account else None
        HTTP.post(f"{self.url}/simulator/behaviour", params=where, json=changes).raise_for_status()

    def reset(self) -> None:
        """Forget all use and books."""
        HTTP.post(f"{self.url}/simulator/reset").raise_for_status()


@contextmanager
def simulated(accounts: Path | Iterable[Account], folder: Path, /, **behaviour: Any) -> Generator[Simulated]:
    """Run `c500 simulate-llm` on a free port until the block ends.

    Args:
        accounts: An accounts.yaml, or accounts to write into one.
        folder: For its files.
        behaviour: Fields of `Behaviour` as JSON or YAML has them; `accounts` holds those of single ones.
    """
    if not isinstance(accounts, Path):
        listed = [account.model_dump(mode="json", exclude_defaults=True) for account in accounts]
        accounts = folder / "accounts.yaml"
        accounts.write_text(yaml.safe_dump({"accounts": listed}))
    port, log, how = free_port(), folder / "simulator.log", folder / "behaviour.yaml"
    how.write_text(yaml.safe_dump(behaviour))
    copy = folder / "accounts.simulated.yaml"
    command = [sys.executable, "-m", "deployments", "simulate-llm", str(accounts), "--port", str(port)]
    command += ["--behaviour", str(how), "--write", str(copy)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    running = Simulated(f"http://127.0.0.1:{port}", copy, process)
    until_ready(process, lambda: b"simulated at" in log.read_bytes(), log, DEADLINE_S)
    try:
        yield running
    finally:
        if process.poll() is None:
            stop(process)
