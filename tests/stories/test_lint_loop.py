"""Chapter 4: an agent mends what the linter says, which breaks what it had mended before; 47 times."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from deployments.simulator.asked import Asked
from tests.fakes.llm.agent_model import agent_model, calls, turn_of
from tests.stories.house import House

GOAL = "Mend what the linter says, until it says nothing."
BOUNDLESS = {"steps": 10_000, "actions": 10_000, "same_action": 10_000, "polls": 10_000, "tokens": None}
"""Limits of an operator who does not want the agent to be held up."""

MOST_TURNS = 120
"""Then even this model ends, so that a test fails and does not hang."""

WORDS = "import cycle module order total customer name lookup late local helper split merge move guard cache"

LINTER = """
with open("runs.txt", "a") as file:
    file.write("linted\\n")
import orders
orders.total()
"""
CUSTOMERS = "from orders import total\n\ndef name_of():\n    return total\n"
CIRCULAR = "from customers import name_of\n\ndef total():\n    return name_of()\n"
UNDEFINED = "import customers\n\ndef total():\n    return name_of()\n"

LINT = ("run_command", {"argv": ["python3", "lint.py"]})
TRUSTED = {
    "id": "linting",
    "verdict": "allow",
    "reason": "the linter may run",
    "tools": ["run_command"],
    "commands": [{"programs": ["python3"], "words": ["lint.py"], "runs_programs": True}],
}


@pytest.fixture
def code(house: House) -> House:
    """A workspace with two modules that import each other, and the linter that says so."""
    for name, text in (("lint.py", LINTER), ("orders.py", CIRCULAR), ("customers.py", CUSTOMERS)):
        (house.workspace / name).write_text(text)
    house.agent("mender", "read_file", "write_file", "run_command", limits=BOUNDLESS)
    house.rules(TRUSTED)
    return house


def as_in_the_book(asked: Asked) -> Any:
    """Lint, mend one error, lint, mend the other; and think about all that was tried, at length."""
    return turn(asked, LINT, "")


def commenting(asked: Asked) -> Any:
    """The same, with each attempt numbered and explained anew in the code."""
    number = turn_of(asked)
    lint = ("run_command", {"argv": ["python3", "lint.py", f"--attempt={number}"]})
    return turn(asked, lint, f"# {' '.join(random.Random(number).sample(WORDS.split(), 8))}\n")


def turn(asked: Asked, lint: tuple[str, dict[str, Any]], comment: str) -> Any:
    number = turn_of(asked)
    if number > MOST_TURNS:
        return "That is enough."
    mended = comment + (UNDEFINED, CIRCULAR)[number // 2 % 2]
    wanted = lint if number % 2 == 0 else ("write_file", {"path": "orders.py", "content": mended})
    return calls(wanted, text=f"So far I have tried {number} things. " + "I wonder what else there is. " * number)


@pytest.mark.parametrize("loop", [as_in_the_book, commenting])
async def test_an_agent_that_mends_and_breaks_in_turns_is_ended_before_it_fills_its_context(
    code: House, loop: Callable[[Asked], Any]
) -> None:
    with agent_model(code.accounts, loop) as model:
        result = await code.run(GOAL, "mender")
        longest = max(asked.prompt_tokens for asked in model.script.asked)
    linted = len((code.workspace / "runs.txt").read_text().splitlines())
    assert 2 <= linted <= 4
    assert (result.status, result.trouble and result.trouble.code) == ("limited", "GUARD_TRIPPED")
    assert "guard:loop" in code.rules_that_decided(result.run_id)
    assert longest < 3000
