"""Chapter 5: after long analysis an agent has lost the requirements of a migration from sight, and breaks the API."""

import random
from typing import Any

import pytest

from deployments.simulator.asked import Asked
from tests.fakes.llm.agent_model import agent_model, calls
from tests.stories.house import House

IN_GOAL = "API v1 must go on working"
IN_CONTEXT = "zero downtime, and a way back for 24 hours"
IN_WORKSPACE = "the column legacy_id stays until June"
REQUIREMENTS = (IN_GOAL, IN_CONTEXT, IN_WORKSPACE)
GOAL = f"Migrate the schema: look at each table, write down what you find, then say how. {IN_GOAL}."

CONTEXT_TOKENS, OUTPUT_TOKENS = 16_000, 1_000
PATIENT = {"steps": 1000, "actions": 1000, "tokens": None}
WORDS = "order customer invoice payment product stock price address shipment return voucher account session event audit"
FORGETFUL_SUMMARY = "Some tables were looked at. They have many columns."


def table(number: int) -> str:
    """A table's definition, with words of its own."""
    chance = random.Random(number)
    columns = (f"{'_'.join(chance.sample(WORDS.split(), 4))} text not null" for _ in range(80))
    return f"create table {chance.choice(WORDS.split())}_{number} (\n" + ",\n".join(columns) + ");\n"


def finding(number: int) -> str:
    """What is written down of a table, at length."""
    return f"Table {number}: " + " ".join(random.Random(-number).choices(WORDS.split(), k=250))


class Forgetful:
    """The model of the book: it looks at a table a turn; when it has to sum up, it leaves the requirements out.

    Attributes:
        turns: How many tables there are.
        looked: At how many it has looked.
        summaries: How often it summed up.
    """

    def __init__(self, turns: int) -> None:
        self.turns, self.looked, self.summaries = turns, 0, 0

    def __call__(self, asked: Asked) -> Any:
        if not asked.tools:
            self.summaries += 1
            return FORGETFUL_SUMMARY
        if self.looked == self.turns:
            return f"I shall keep to: {'; '.join(one for one in REQUIREMENTS if one in asked.prompt)}."
        self.looked += 1
        return calls(
            ("read_file", {"path": f"tables/{self.looked}.sql"}),
            ("write_file", {"path": f"notes/{self.looked}.md", "content": finding(self.looked)}),
        )


@pytest.mark.parametrize("turns", [40, pytest.param(200, marks=pytest.mark.soak)])
async def test_requirements_stay_in_sight_however_much_is_read_in_between(house: House, turns: int) -> None:
    (house.workspace / "tables").mkdir()
    for number in range(1, turns + 1):
        (house.workspace / "tables" / f"{number}.sql").write_text(table(number))
    (house.workspace / "agreed.md").write_text(IN_WORKSPACE)
    context = {"rules.md": IN_CONTEXT}
    house.agent(
        "migrator", "read_file", "write_file", limits=PATIENT, context=context, more_context=["workspace:agreed.md"]
    )
    model = Forgetful(turns)
    with agent_model(house.accounts, model) as served:
        house.change_accounts(model={"context_tokens": CONTEXT_TOKENS, "max_output_tokens": OUTPUT_TOKENS})
        result = await house.run(GOAL, "migrator")
        prompts = [asked for asked in served.script.asked if asked.tools]
    assert model.looked == turns
    assert all(one in result.output for one in REQUIREMENTS)
    assert all(one in asked.prompt for asked in prompts for one in REQUIREMENTS)
    assert model.summaries >= 2  # what it had found at first went out of sight,
    assert finding(1) not in prompts[-1].prompt
    assert FORGETFUL_SUMMARY in prompts[-1].prompt  # and what is left of it does not say what was required
