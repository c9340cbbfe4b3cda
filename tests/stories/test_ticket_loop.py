"""Chapter 4: an agent opens tickets about the many tickets that it opens; 847 calls, 312 tickets, 200 dollars."""

import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.simulator.asked import Asked
from tests.fakes.llm.agent_model import agent_model, calls, results_in, turn_of
from tests.processes import free_port, stop, until_ready
from tests.stories.house import House, allow

GOAL = "See whether our services are well, and open tickets for what is not."
CREATE, QUEUE = "mcp_tickets_create_ticket", "mcp_tickets_ticket_queue"
TRUSTED = allow("tickets", CREATE, QUEUE)
BOUNDLESS = {"steps": 10_000, "actions": 10_000, "same_action": 10_000, "polls": 10_000, "tokens": None}
"""Limits of an operator who does not want the agent to be held up."""


@dataclass(frozen=True)
class TicketSystem:
    """The ticket system.

    Attributes:
        file: A line for each open ticket.
        url: Of its MCP server.
    """

    file: Path
    url: str

    @property
    def tickets(self) -> int:
        """How many are open."""
        return len(self.file.read_text().splitlines())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TicketSystem]:
    """A ticket system that answers."""
    folder, port = tmp_path_factory.mktemp("tickets"), free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.stories.ticket_server", str(folder / "open.jsonl"), str(port)],
            stdout=log,
            stderr=log,
            cwd=Path(__file__).parents[2],
        )

    def listens() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    until_ready(process, listens, folder / "log", 60)
    try:
        yield TicketSystem(folder / "open.jsonl", f"http://127.0.0.1:{port}/mcp")
    finally:
        stop(process)


@pytest.fixture
def system(served: TicketSystem, house: House) -> TicketSystem:
    """A ticket system with one ticket, which the agents' MCP file leads to."""
    served.file.write_text('{"title": "the disk of db-3 is slow"}\n')
    usual = {"risk": "low", "outside": True}
    tools = {"ticket_queue": {"risk": "low", "read_only": True, "outside": False}}
    server = {"url": served.url, "usual": usual, "tools": tools}
    (house.folder / "mcp.yaml").write_text(yaml.safe_dump({"servers": {"tickets": server}}))
    return served


def watcher(house: House, **limits: Any) -> str:
    """Write the agent of the book, without limits but these."""
    return house.agent("watcher", mcp=["tickets"], limits=BOUNDLESS | limits)


def as_in_the_book(asked: Asked) -> Any:
    """It looks at the queue, sees it grow, and opens a ticket about that."""
    if turn_of(asked) % 2 == 0:
        return calls((QUEUE, {}))
    volume = results_in(asked)[-1].split()[0]
    return calls((CREATE, {"title": "Ticket volume is up", "text": f"{volume} tickets are open. Service degrades."}))


def worried(asked: Asked) -> Any:
    """It opens tickets with other words each time, and without looking."""
    if turn_of(asked) > MOST_TURNS:
        return "That is enough."
    words = random.Random(turn_of(asked)).sample(WORDS.split(), 12)
    return calls((CREATE, {"title": " ".join(words[:4]), "text": " ".join(words) * 3}))


MOST_TURNS = 400
"""Then even this model ends, so that a test fails and does not hang."""

WORDS = (
    "probe pool quota queue timeout cache replica certificate token gateway memory startup schema client leader disk "
    "network balancer worker payment invoice checkout search catalogue session login upload thumbnail webhook cron"
)


async def test_with_the_shipped_rules_no_ticket_is_opened_without_a_person(house: House, system: TicketSystem) -> None:
    with agent_model(house.accounts, as_in_the_book):
        result = await house.run(GOAL, watcher(house))
    assert system.tickets == 1
    assert result.status == "limited"
    assert "unattended" in house.rules_that_decided(result.run_id)


async def test_a_watcher_that_may_open_tickets_is_ended_after_a_few(house: House, system: TicketSystem) -> None:
    house.rules(TRUSTED)
    with agent_model(house.accounts, as_in_the_book):
        result = await house.run(GOAL, watcher(house))
    assert 2 <= system.tickets <= 4
    assert (result.status, result.trouble and result.trouble.code) == ("limited", "GUARD_TRIPPED")
    assert "guard:loop" in house.rules_that_decided(result.run_id)


@pytest.mark.parametrize("actions", [12, pytest.param(150, marks=pytest.mark.soak)])
async def test_tickets_that_all_differ_are_ended_by_the_limit_of_actions(
    house: House, system: TicketSystem, actions: int
) -> None:
    house.rules(TRUSTED)
    with agent_model(house.accounts, worried):
        result = await house.run(GOAL, watcher(house, actions=actions))
    assert 2 <= system.tickets <= 1 + actions
    assert (result.status, result.trouble and result.trouble.code) == ("limited", "GUARD_TRIPPED")


async def test_tickets_that_all_differ_are_ended_by_the_budget_of_the_run(house: House, system: TicketSystem) -> None:
    house.rules(TRUSTED)
    with agent_model(house.accounts, worried) as model:
        result = await house.run(GOAL, watcher(house), budget_usd=0.05)
        charged_usd = model.charged_usd
    assert charged_usd <= 0.05
    assert 2 <= system.tickets <= 30
    assert (result.status, result.trouble and result.trouble.code) == ("limited", "BUDGET_EXCEEDED")


@pytest.mark.parametrize("starts", [5, pytest.param(288, marks=pytest.mark.soak)])
async def test_a_watcher_that_starts_every_five_minutes_spends_the_budget_of_its_user_and_no_more(
    house: House, system: TicketSystem, starts: int
) -> None:
    house.rules(TRUSTED)
    with agent_model(house.accounts, as_in_the_book, budgets={"user": {"usd": 0.06}}) as model:
        results = [await house.run(GOAL, watcher(house)) for _ in range(starts)]
        charged_usd = model.charged_usd
    assert charged_usd <= 0.06
    assert 2 <= system.tickets <= 1 + 3 * 3
    assert results[-1].trouble is not None
    assert (results[-1].trouble.code, results[-1].usage.actions) == ("BUDGET_EXCEEDED", 0)
