"""The agents' memory tidied by the flow; and told to an agent whose steps are Prefect's."""

from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from pydantic_ai import Agent
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.usage import UsageLimits

from blocks.memory import Memory, Namespace, Origin
from blocks.memory.open import open_memory
from blocks.settings import settings
from flows.memory import consolidate_memory
from tasks.agents.context import TokenLedger, compaction
from tasks.agents.durability import durability
from tasks.agents.memory import Recollection
from tasks.agents.opened import opened
from tasks.agents.pins import PinnedContext
from tests.fakes.llm.team import member, team
from tests.tasks.agents.test_context import PIN, ROOM, TASK, Works, invalid, text_of
from tests.tasks.agents.test_memory import work

ANN = Namespace(agent="operator", user="ann")
SAME = ("The primary database is db-3.", "db-3 is the primary database server.")


@pytest.fixture(autouse=True)
def agents_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTS_HOME", str(tmp_path / "agents"))
    settings.cache_clear()


async def remembered(memory: Memory, *texts: str) -> None:
    for number, text in enumerate(texts):
        origin = Origin(run_id="run", call_id=str(number), tool="remember")
        await memory.remember(ANN, text, origin=origin)


async def test_the_flow_merges_with_the_accounts_there_are_and_shows_what_it_did(
    prefect_api: str, tmp_path: Path
) -> None:
    memory = open_memory()
    await remembered(memory, *SAME)
    says = {"unknown": {"merge": [1, 2], "text": "The primary database server is db-3."}}
    async with team(tmp_path / "accounts.yaml", says, (member("only"),)) as models:
        made = await consolidate_memory()
        assert (made.by_model, made.troubles) == (1, ())
        assert (await consolidate_memory()).groups == 0
        assert len(models.answered) == 1
    assert [one.text for one in await memory.records() if one.is_recalled] == ["The primary database server is db-3."]
    memory.close()
    async with get_client() as client:
        key = ArtifactFilter(key=ArtifactFilterKey(any_=["memory-consolidation"]))
        found = await client.read_artifacts(artifact_filter=key)
    assert any("| by model | 1 |" in str(one.data) for one in found)


async def test_the_flow_goes_by_rule_where_there_are_no_accounts(prefect_api: str) -> None:
    memory = open_memory()
    await remembered(memory, "The primary database is db-3.", "Primary database is db-3")
    assert (await consolidate_memory(user="ben")).namespaces == 0
    made = await consolidate_memory(agent="operator")
    assert (made.namespaces, made.by_rule, made.by_model) == (1, 1, 0)
    memory.close()


async def test_an_agent_whose_steps_are_prefects_is_told_the_same_in_each_attempt(
    prefect_api: str, tmp_path: Path
) -> None:
    memory = open_memory()
    await remembered(memory, "The database migration needs a freeze.")
    at_work = work(tmp_path, goal=TASK)
    results = tmp_path / "results"
    attempts: list[Works] = []

    @flow(name="migrate", persist_result=False)
    async def migrate() -> str:
        attempts.append(works := Works(12, lambda _: "I found nothing yet. " * 60))
        capabilities = [
            PinnedContext([PIN], kept=at_work.kept),
            *compaction(ROOM, at_work.kept),
            Recollection(memory),
            TokenLedger(ROOM),
            durability(at_work.run_id, results),
        ]
        agent = Agent(FunctionModel(works), name="operator", deps_type=str, capabilities=capabilities)

        @agent.tool_plain
        def read_file(name: str) -> str:
            return "small"

        with opened(at_work):
            made = await agent.run(TASK, deps=at_work.run_id, usage_limits=UsageLimits(request_limit=None))
        return made.output

    assert await migrate() == "done"
    first = attempts[0]
    assert len(first.requests) == 13
    assert first.summaries > 0
    for request in first.requests:
        assert invalid(request) == []
        assert "needs a freeze" in text_of(request)
    await remembered(memory, "The database migration is done by Dora.")
    assert await migrate() == "done"
    assert attempts[1].requests == [], "every step was found: each request was the same, byte for byte"
    assert attempts[1].summaries == 0
    memory.close()
