"""Rows of swarms and batches of prompts are counted for Prometheus while they end, each once."""

from pathlib import Path

import pytest

from blocks.agent_metrics import FOLDER, AgentMetrics
from blocks.settings import settings
from deployments.simulator.behaviour import Behaviour, Rule
from deployments.simulator.serve import simulate
from flows import swarm, swarm_shard
from flows.batch_prompts import batch_prompts
from tasks.swarm.job import swarm_job
from tests.flows.batch_prompting import GROUPS, answer, plan_file, table, texts
from tests.flows.swarming import PROMPT, SCHEMA, account, four, write_accounts

pytestmark = pytest.mark.usefixtures("prefect_api")

REFUSES = Rule(pattern="row 3", answer="I would rather not.")


def counted() -> dict[tuple[str, ...], float]:
    """What was counted so far."""
    home = settings().agents_home
    assert home.stat().st_mode & 0o077 == 0
    metrics = AgentMetrics(home / FOLDER)
    found = {one.labels: one.total for one in metrics.read().get("c500_swarm_rows_total", [])}
    metrics.close()
    return found


async def test_rows_of_a_swarm_are_counted_by_what_became_of_them(tmp_path: Path) -> None:
    with simulate(four(), Behaviour(rules=(REFUSES,))) as sim:
        write_accounts(tmp_path / "accounts.yaml", four(), sim)
        rows = [f"row {at}" for at in range(1, 6)]
        for _ in range(2):  # the second run finds them done
            await swarm(rows, PROMPT, output=str(tmp_path / "out.jsonl"), schema=SCHEMA, model="m")
    assert counted() == {("swarm", "answered"): 4, ("swarm", "failed"): 1}


async def test_rows_of_a_part_are_left_to_the_swarm_that_it_is_a_part_of(tmp_path: Path) -> None:
    with simulate(four(), Behaviour()) as sim:
        write_accounts(tmp_path / "accounts.yaml", four(), sim)
        job = swarm_job(
            source=["row 1", "row 2"],
            prompt=PROMPT,
            output=str(tmp_path / "out.jsonl"),
            answer_schema=SCHEMA,
            model="m",
            workers=1,
        )
        await swarm_shard(job.model_copy(update={"part": 0}), 1, 2)
        assert not settings().agents_home.exists()
        await swarm(["row 1", "row 2"], PROMPT, output=str(tmp_path / "two.jsonl"), schema=SCHEMA, model="m")
    assert counted() == {("swarm", "answered"): 2}


async def test_rows_of_a_batch_are_counted_too(tmp_path: Path) -> None:
    said = texts(5)
    said[2] += " [never]"
    table(tmp_path, said, GROUPS[:1])
    plan_file(tmp_path)
    models = account("m", model={"max_output_tokens": 8_000}).models
    accounts = [one.model_copy(update={"models": models}) for one in four()]
    with simulate(accounts, Behaviour(script=answer)) as sim:
        write_accounts(tmp_path / "accounts.yaml", accounts, sim)
        await batch_prompts(str(tmp_path / "plan.yaml"))
    assert counted() == {("batch_prompts", "answered"): 4, ("batch_prompts", "failed"): 1}


async def test_where_nothing_can_be_counted_the_rows_are_answered_all_the_same(tmp_path: Path) -> None:
    settings().agents_home.write_text("a file in its place")
    with simulate(four(), Behaviour()) as sim:
        write_accounts(tmp_path / "accounts.yaml", four(), sim)
        report = await swarm(["row 1"], PROMPT, output=str(tmp_path / "out.jsonl"), schema=SCHEMA, model="m")
    assert report.answered == 1
