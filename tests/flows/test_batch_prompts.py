"""A batch answers every row exactly once, whatever the model leaves out, and proves it in the file itself."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from blocks.accounts.account import USD_UNIT, Account, Quota
from blocks.errors import BadInput, BudgetExceeded, C500Error, Conflict, EngineUnavailable, Unsupported
from blocks.reviews import open_reviews
from blocks.rows.report import RowsReport, rows_reports
from blocks.store import open_store
from deployments.simulator.behaviour import Behaviour
from deployments.simulator.serve import InProcess, simulate
from flows.batch_prompts import batch_prompts
from tasks.batch_prompts.chunk import Chunk
from tasks.batch_prompts.engine import Answered
from tasks.batch_prompts.group import work_in_groups
from tasks.batch_prompts.ledger import open_ledger
from tasks.batch_prompts.plan import read_plan
from tasks.batch_prompts.report import BatchPromptsReport
from tasks.batch_prompts.run import BatchRun
from tasks.batch_prompts.survey import survey
from tasks.batch_prompts.told import report_markdown
from tests.fakes.iiagent.serve import iiagent_server
from tests.flows.batch_prompting import GROUPS, PROMPT, answer, assert_each_row_once, lines, plan_file, table, texts
from tests.flows.swarming import account, four, write_accounts
from tests.tasks.batch_prompts.test_agent import answering, point_to

Serve = Callable[..., InProcess]


@pytest.fixture
def serve(prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a simulator whose model answers batches, and points the settings to it."""
    monkeypatch.setenv("LIMITER_URL", "memory://")
    with ExitStack() as open_:

        def start(accounts: list[Account] | None = None, more: dict[str, Any] | None = None, **how: Any) -> InProcess:
            sim = open_.enter_context(simulate(accounts or roomy(), Behaviour(**{"script": answer, **how})))
            write_accounts(tmp_path / "accounts.yaml", accounts or roomy(), sim, **(more or {}))
            return sim

        yield start


def roomy() -> list[Account]:
    """Accounts whose model answers at length."""
    models = account("m", model={"max_output_tokens": 8_000}).models
    return [one.model_copy(update={"models": models}) for one in four()]


async def run(tmp_path: Path, **options: Any) -> BatchPromptsReport:
    return await batch_prompts(str(tmp_path / "plan.yaml"), **options)


def asked(sim: InProcess) -> int:
    return sim.books()["total"]["requests"]


# What comes out


async def test_every_row_of_seven_groups_is_answered_once_and_the_report_is_exact(serve: Serve, tmp_path: Path) -> None:
    sim = serve()
    table(tmp_path, texts(60))
    plan_file(tmp_path)
    report = await run(tmp_path)
    assert report.is_complete
    assert_each_row_once(tmp_path / "out.csv", range(1, 61))
    assert asked(sim) == report.questions == 14  # 9 rows of four groups, 8 of three, in chunks of 5
    assert {one.group: (one.rows, one.answered, one.expected, one.written) for one in report.groups} == {
        group: (rows, rows, 4 * rows, 4 * rows) for group, rows in zip(GROUPS, (9, 9, 9, 9, 8, 8, 8), strict=True)
    }
    assert report.faults == (0, 0, 0)
    kept = json.loads((tmp_path / "out.coverage.json").read_text())
    assert kept["groups"][0]["written"] == 36
    assert "complete" in (tmp_path / "out.coverage.md").read_text()
    stored = RowsReport.model_validate_json(open_store().read_bytes(f"batch-prompts/{report.plan_id}/report.json"))
    assert (stored.rows, stored.out, stored.lost, stored.outcome) == (60, 60, 0, "complete")
    async with get_client() as client:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[f"batch-prompts-{report.plan_id}"]))
        assert "60 of 60 rows" in str((await client.read_artifacts(artifact_filter=wanted))[-1].data)


async def test_the_same_again_asks_nothing_and_a_changed_row_or_template_only_what_changed(
    serve: Serve, tmp_path: Path
) -> None:
    sim = serve()
    said = texts(14)
    table(tmp_path, said)
    plan_file(tmp_path)
    await run(tmp_path)
    assert asked(sim) == 7
    assert (await run(tmp_path)).questions == 0
    table(tmp_path, [*said[:13], "Changed", "New"])
    changed = await run(tmp_path)
    assert changed.is_complete
    assert (changed.questions, changed.answered) == (2, 2)
    groups = {group: {"prompt": PROMPT} for group in GROUPS}
    plan_file(tmp_path, groups={**groups, GROUPS[0]: {"prompt": f"{PROMPT} Be brief."}})
    again = await run(tmp_path)
    assert (again.questions, again.answered, again.is_complete) == (1, 3, True)


# What a model leaves out


async def test_a_row_that_nothing_helps_goes_before_people_and_what_they_give_is_taken(
    serve: Serve, tmp_path: Path
) -> None:
    sim = serve()
    said = texts(5)
    said[2] += " [never]"
    table(tmp_path, said, GROUPS[:1])
    plan_file(tmp_path)
    report = await run(tmp_path)
    assert not report.is_complete
    assert_each_row_once(tmp_path / "out.csv", (1, 2, 4, 5))
    [failed] = report.failed
    assert (failed.row, failed.group) == (3, GROUPS[0])
    reviews = open_reviews()
    [review] = reviews.pending()
    assert review.proposal.review_id == failed.review
    before = asked(sim)
    content = review.proposal.content
    assert content["row"]["ý kiến"] == said[2]

    filled = [{**one, "finding": "do người viết", "mood": "xấu", "score": 1} for one in content["answers"]]
    now, seen = datetime.now(UTC), review.proposal.content_hash
    reviews.edit(review.proposal.review_id, by="mai", seen=seen, content={"answers": filled}, now=now)
    mended = await run(tmp_path)
    assert (mended.is_complete, mended.from_people, asked(sim)) == (True, 1, before)
    assert_each_row_once(tmp_path / "out.csv", range(1, 6))


# Before the whole


async def test_a_pilot_does_the_first_rows_of_each_group_and_estimates_the_rest(serve: Serve, tmp_path: Path) -> None:
    sim = serve()
    table(tmp_path, texts(70))
    plan_file(tmp_path)
    pilot = await run(tmp_path, pilot=2)
    assert [one.answered for one in pilot.groups] == [2] * 7
    assert pilot.estimate is not None
    assert (pilot.estimate.rows, pilot.estimate.measured, asked(sim)) == (56, True, 7)
    assert pilot.estimate.questions == 14
    assert pilot.estimate.cost_usd == pytest.approx(4 * pilot.cost_usd, rel=0.2)
    assert (await run(tmp_path, pilot=2)).questions == 0
    whole = await run(tmp_path)
    assert whole.is_complete
    assert whole.answered == 56


async def test_a_dry_run_looks_at_all_and_spends_nothing(serve: Serve, tmp_path: Path) -> None:
    sim = serve()
    table(tmp_path, texts(70))
    plan_file(tmp_path)
    report = await run(tmp_path, dry_run=True)
    assert report.estimate is not None
    assert (report.estimate.rows, report.estimate.questions, report.estimate.measured) == (70, 14, False)
    assert report.estimate.cost_usd is not None
    assert asked(sim) == 0
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("usd", "suffices", "said"),
    [(0.001, False, "$0.0010 of the budget left: **NOT enough**"), (50.0, True, "$50.0000 of the budget left: enough")],
)
async def test_a_dry_run_holds_the_cost_against_the_budget(
    serve: Serve, tmp_path: Path, usd: float, suffices: bool, said: str
) -> None:
    serve(more={"budgets": {"everyone": {"usd": usd}}})
    table(tmp_path, texts(70))
    plan_file(tmp_path)
    report = await run(tmp_path, dry_run=True)
    assert report.estimate is not None
    assert (report.estimate.usd_left, report.estimate.budget_suffices) == (usd, suffices)
    assert said in report_markdown(report)


async def test_a_dry_run_holds_the_questions_against_the_quotas(serve: Serve, tmp_path: Path) -> None:
    models = account("m", model={"max_output_tokens": 8_000}).models
    quota = Quota(rpd=10, tpm=4_000)
    serve([one.model_copy(update={"models": models, "quota": quota}) for one in four()][:1])
    table(tmp_path, texts(70))
    plan_file(tmp_path, max_output_tokens=8_000)
    report = await run(tmp_path, dry_run=True)
    assert report.estimate is not None
    assert (report.estimate.binds, report.estimate.permitted, report.estimate.seconds) == ("rpd", 10, 86_400)
    assert not report.estimate.longest_fits
    assert "fits **NO** model" in report_markdown(report)


async def test_the_page_of_a_batch_shows_no_secret(serve: Serve, tmp_path: Path) -> None:
    serve()
    table(tmp_path, texts(7))
    secret = "sk-" + "a1B2c3D4" * 5
    plan_file(tmp_path, name=f"feedback {secret}")
    await run(tmp_path)
    plan_id = read_plan(tmp_path / "plan.yaml").plan_id
    async with get_client() as client:
        found = await client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[f"batch-prompts-{plan_id}"]))
        )
    assert found
    assert not [one for one in found if secret in str(one.data)]


async def test_a_dry_run_of_a_changed_plan_takes_the_file_of_the_one_before_for_no_fault(
    serve: Serve, tmp_path: Path
) -> None:
    serve()
    table(tmp_path, texts(7))
    plan_file(tmp_path)
    assert (await run(tmp_path)).is_complete
    plan_file(tmp_path, groups={group: {"prompt": f"{PROMPT}!"} for group in GROUPS})
    assert "a fault of ours" not in report_markdown(await run(tmp_path, dry_run=True))
    plan_file(tmp_path, columns={"other": {"type": "text"}})
    assert [one.written for one in (await run(tmp_path, dry_run=True)).groups] == [0] * 7


async def test_a_probe_says_how_far_two_answers_to_one_chunk_agree(serve: Serve, tmp_path: Path) -> None:
    sim = serve(script=fickle)
    table(tmp_path, texts(10), GROUPS[:1])
    plan_file(tmp_path)
    report = await run(tmp_path, probe=True)
    [found] = report.agreement
    assert (found.rows, found.wanted, found.complete, found.same) == (5, 20, 1.0, 0.0)
    assert found.columns == {"finding": 1.0, "mood": 1.0, "score": 0.0}
    assert report.is_complete
    assert found.cost_usd
    assert report.cost_usd == pytest.approx(sim.books()["total"]["answered"]["cost_units"] / USD_UNIT)


turns = iter(range(10**6))


def fickle(asked: Any) -> str:
    """As `answer`, with another score each time."""
    said, turn = json.loads(answer(asked)), next(turns)
    return json.dumps({"rows": [{**row, "score": turn % 5} for row in said["rows"]]})


# When it cannot go on


async def test_a_row_without_a_column_of_its_template_costs_nothing(serve: Serve, tmp_path: Path) -> None:
    sim = serve()
    table(tmp_path, texts(3), GROUPS[:1])
    plan_file(tmp_path, groups={GROUPS[0]: {"prompt": "{% for one in rows %}{{ one.body }}{% endfor %}"}})
    with pytest.raises(BadInput, match=r"row 1.*its columns are row, mã, nhóm, ý kiến$"):
        await run(tmp_path)
    plan_file(tmp_path, model="nomodel")
    with pytest.raises(Unsupported, match="nomodel"):
        await run(tmp_path)
    assert asked(sim) == 0


async def test_a_spent_budget_ends_it_and_more_money_goes_on(serve: Serve, tmp_path: Path) -> None:
    accounts = [account("a", model={"max_output_tokens": 2_000}, quota=Quota(concurrency=2))]

    def budget(usd: float) -> dict[str, Any]:
        return {"budgets": {"user": {"usd": usd}}}

    sim = serve(accounts, budget(0.007))
    table(tmp_path, texts(40), GROUPS[:2])
    plan_file(tmp_path, user="mai", concurrency=1)
    with pytest.raises(BudgetExceeded, match="of 40 rows are answered and kept") as told:
        await run(tmp_path)
    done = told.value.details["answered"]
    assert 0 < done < 40
    assert_each_row_once(tmp_path / "out.csv", sorted({int(one["row"]) for one in lines(tmp_path / "out.csv")}))
    assert "ended early" in (tmp_path / "out.coverage.md").read_text()
    [(_, kept)] = rows_reports(open_store(), datetime.now(UTC) - timedelta(hours=1))
    assert isinstance(kept, RowsReport)
    assert (kept.rows, kept.out, kept.left, kept.outcome) == (40, done, 40 - done, "ended early: BUDGET_EXCEEDED")
    write_accounts(tmp_path / "accounts.yaml", accounts, sim, **budget(10.0))
    report = await run(tmp_path)
    assert (report.is_complete, report.answered) == (True, 40 - done)
    assert asked(sim) == 8


async def test_a_provider_that_understands_nothing_gives_no_row_up(serve: Serve, tmp_path: Path) -> None:
    sim = serve(faults={"error": 1.0}, error_status=400)
    table(tmp_path, texts(8))
    plan_file(tmp_path)
    with pytest.raises(C500Error, match="0 of 8 rows"):
        await run(tmp_path)
    assert open_reviews().pending() == ()
    sim.change(faults={})
    assert (await run(tmp_path)).is_complete


async def test_accounts_that_do_not_work_end_it_and_give_no_row_up(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWARM_OUTAGE_S", "1")
    sim = serve(next_faults={"out_of_quota": 1000})
    table(tmp_path, texts(8))
    plan_file(tmp_path)
    with pytest.raises(EngineUnavailable, match="0 of 8 rows"):
        await run(tmp_path)
    sim.change(next_faults={})
    assert (await run(tmp_path)).left == 0


async def test_a_run_beside_another_on_one_output_is_refused(serve: Serve, tmp_path: Path) -> None:
    sim = serve()
    table(tmp_path, texts(3))
    with open_ledger(read_plan(plan_file(tmp_path))), pytest.raises(Conflict, match="another run writes"):
        await run(tmp_path)
    assert asked(sim) == 0


class Faint:
    """An engine that no account answers for at first, then as the simulated model does."""

    def __init__(self, prompts: list[str]) -> None:
        self._prompts = prompts

    async def answer(self, chunk: Chunk, prompt: str) -> Answered:
        self._prompts.append(prompt)
        if len(self._prompts) == 1:
            raise EngineUnavailable("nobody answers", fix="wait")

        class Asked:
            """What the model's script reads."""

        Asked.prompt = prompt  # type: ignore[attr-defined]
        return Answered(rows=json.loads(answer(Asked))["rows"], cost_usd=0.0)


async def test_a_chunk_that_nobody_answers_for_the_moment_is_asked_again_by_prefect_and_no_other(
    prefect_api: str, tmp_path: Path
) -> None:
    table(tmp_path, texts(10), GROUPS[:1])
    plan, prompts = read_plan(plan_file(tmp_path, concurrency=1)), list[str]()
    with open_ledger(plan) as ledger:
        survey(plan, ledger)
        batch = BatchRun(plan, Faint(prompts), ledger)
        await flow(work_in_groups, name="groups", persist_result=False, validate_parameters=False)(batch)
        assert batch.halted is None
        assert (batch.tally.answered, len(prompts)) == (10, 3)
        assert prompts[2] == prompts[0]


async def test_agents_answer_a_whole_batch(prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table(tmp_path, texts(6), GROUPS[:1])
    plan_file(tmp_path)
    async with iiagent_server(answering) as fake:
        point_to(tmp_path, monkeypatch, fake.url)
        report = await run(tmp_path, engine="agent", pilot=3)
        assert report.estimate is None
        report = await run(tmp_path, engine="agent")
    assert report.is_complete
    assert_each_row_once(tmp_path / "out.csv", range(1, 7))
