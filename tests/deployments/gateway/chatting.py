"""Gateways in front of simulated providers, for a whole module of tests."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from blocks.accounts.costs import sums
from blocks.accounts.file import read_accounts
from blocks.accounts.schema import open_engine
from blocks.accounts.standing import account_limits
from blocks.keys import KeyRing
from blocks.limits import open_limiter
from blocks.store.local import LocalFiles
from tests.conftest import ROOT
from tests.deployments.gateway.gateways import Gateway, start_gateway
from tests.fakes.llm.simulated import Simulated, simulated
from tests.processes import HTTP, free_port

CHAT = "/v1/chat/completions"
SAID = [{"role": "user", "content": "Good morning, this is a test of many words."}]
FILE = """
accounts:
  - name: first
    provider: openai
    key: none
    models:
      small: {price: {input_usd: 1, output_usd: 4}, tiers: [simple], context_tokens: 2000, max_output_tokens: 500}
      org/large: {price: {input_usd: 10, output_usd: 40}, tiers: [critical]}
  - name: claude
    provider: anthropic
    key: none
    models: {sonnet: {price: {input_usd: 3, output_usd: 15}, tiers: [complex]}}
  - {name: narrow, provider: openai, key: none, quota: {rpm: 1}, models: {narrow: {tiers: []}}}
  - {name: slow, provider: openai, key: none, quota: {concurrency: 1, rpd: 9}, models: {slow: {tiers: []}}}
  - {name: broken, provider: openai, key: none, models: {broken: {tiers: []}}}
routing: {attempts: 2}
"""
BEHAVIOUR = {
    "accounts": {
        "slow": {"latency": {"kind": "fixed", "mean_ms": 60_000}, "token_ms": 60_000},
        "broken": {"faults": {"error": 1.0}},
    }
}


class Service:
    """Two gateways with the same store, limits and books, in front of simulated providers."""

    def __init__(self, folder: Path, simulator: Simulated) -> None:
        self.folder, self.simulator = folder, simulator
        self.ring = KeyRing(LocalFiles(folder / "store"))
        self.first = self.gateway("first", simulator.accounts)
        self.secret, _ = self.ring.create("agent", ["read", "chat"])

    def gateway(self, name: str, accounts: Path) -> Gateway:
        """One more gateway; no Prefect server answers it."""
        return start_gateway(
            f"http://127.0.0.1:{free_port()}/api",
            log=self.folder / f"{name}.log",
            PYTHONPATH=str(ROOT),
            AUDIO_DIR=str(self.folder / "store"),
            LOG_DIR=str(self.folder / name),
            ACCOUNTS_FILE=str(accounts),
            LIMITER_URL=f"sqlite:///{self.folder}/limits.db",
            BOOKS_URL=f"sqlite:///{self.folder}/books.db",
        )

    def client(self, secret: str | None = None, gateway: Gateway | None = None) -> openai.OpenAI:
        """OpenAI's client."""
        url = f"{(gateway or self.first).url}/v1"
        return openai.OpenAI(base_url=url, api_key=secret or self.secret, http_client=HTTP, max_retries=0)

    def knows(self, secret: str, gateway: Gateway | None = None) -> bool:
        """Whether a gateway has read a new key."""
        answer = HTTP.get(f"{(gateway or self.first).url}/v1/models", headers={"X-API-Key": secret})
        return answer.status_code == 200

    def held(self, key: str) -> int:
        """What calls hold of a limit of the accounts."""

        async def look() -> int:
            limiter = open_limiter(f"sqlite:///{self.folder}/limits.db")
            limits = [one for one in account_limits(read_accounts(self.simulator.accounts)) if one.key == key]
            [found] = await limiter.standing(limits)
            await limiter.close()
            return found.held

        return asyncio.run(look())

    def outcomes(self, account: str) -> Counter[str]:
        """Calls of an account by outcome, as the books have them."""
        engine = open_engine(f"sqlite:///{self.folder}/books.db")
        found = sums(engine, ["account", "outcome"], 0)
        engine.dispose()
        return Counter({one.group["outcome"]: one.calls for one in found if one.group["account"] == account})


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("chat")
    (folder / "accounts.yaml").write_text(FILE)
    with simulated(folder / "accounts.yaml", folder, **BEHAVIOUR) as simulator:
        running = Service(folder, simulator)
        told(running, "c500_llm_up")  # latencies are counted from the first look on
        yield running
        running.first.stop()


@pytest.fixture(scope="module")
def client(service: Service) -> openai.OpenAI:
    return service.client()


def told(service: Service, name: str, *labels: str) -> float:
    """A sample of /metrics; -1 where there is none."""
    for line in HTTP.get(f"{service.first.url}/metrics").text.splitlines():
        if line.split("{")[0].split(" ")[0] == name and all(label in line for label in labels):
            return float(line.rsplit(" ", 1)[1])
    return -1.0
