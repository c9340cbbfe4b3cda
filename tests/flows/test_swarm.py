"""A swarm answers every row once, whatever its accounts do, and ends clearly when it cannot."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from sqlalchemy import func, select, true

from blocks.accounts.account import Account, Quota
from blocks.accounts.books import Books
from blocks.accounts.schema import CALLS
from blocks.errors import (
    BadInput,
    BudgetExceeded,
    C500Error,
    Conflict,
    EngineUnavailable,
    LimitReached,
    TimedOut,
    Unsupported,
)
from blocks.rows.report import RowsReport, rows_reports
from blocks.store import open_store
from deployments.simulator.behaviour import Behaviour, Rule, parse_faults
from deployments.simulator.serve import InProcess, simulate
from flows import swarm, swarm_shard
from tasks.swarm.job import swarm_job
from tasks.swarm.ledger import open_ledger
from tasks.swarm.report import SwarmReport
from tests.flows.swarming import (
    PROMPT,
    SCHEMA,
    account,
    assert_each_row_once,
    failures,
    four,
    lines,
    write_accounts,
    write_rows,
)
from tests.processes import eventually

Serve = Callable[..., InProcess]


@pytest.fixture
def serve(prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a simulator of accounts, by default four, and points the settings to it."""
    monkeypatch.setenv("ACCOUNTS_FILE", str(tmp_path / "accounts.yaml"))
    monkeypatch.setenv("LIMITER_URL", "memory://")
    monkeypatch.setenv("BOOKS_URL", f"sqlite:///{tmp_path}/books.db")
    with ExitStack() as open_:

        def start(accounts: list[Account] | None = None, more: dict[str, Any] | None = None, **how: Any) -> InProcess:
            sim = open_.enter_context(simulate(accounts or four(), Behaviour(**how)))
            write_accounts(tmp_path / "accounts.yaml", accounts or four(), sim, **(more or {}))
            return sim

        yield start


async def asked(tmp_path: Path, source: Any, **fields: Any) -> SwarmReport:
    """A swarm with the usual question."""
    return await swarm(
        str(source) if isinstance(source, Path) else source,
        **{"prompt": PROMPT, "output": str(tmp_path / "out.jsonl"), "schema": SCHEMA, "model": "m", **fields},
    )


def booked_units(tmp_path: Path, outcome: str | None = None) -> int:
    """What our books say that all calls cost, or those of one outcome, in 10^-9 dollars."""
    books = Books(f"sqlite:///{tmp_path}/books.db")
    wanted = select(func.sum(CALLS.c.cost_units)).where(CALLS.c.outcome == outcome if outcome else true())
    with books.engine().connect() as connection:
        found = connection.execute(wanted).scalar_one()
    books.close()
    return int(found or 0)


async def test_with_30_percent_faults_every_row_is_answered_once_and_all_books_agree(
    serve: Serve, tmp_path: Path
) -> None:
    sim = serve(faults=parse_faults("0.3"))
    report = await asked(tmp_path, write_rows(tmp_path / "rows.jsonl", 200), keep=("id",))
    answers = lines(tmp_path / "out.jsonl")
    assert_each_row_once(answers, 200)
    assert failures(tmp_path / "out.jsonl") == []
    assert all(answer["input"]["id"] == answer["row"] - 1 for answer in answers)
    assert all(answer["value"]["sentiment"] in ("positive", "negative") for answer in answers)
    assert sum(answer["attempts"] for answer in answers) == sim.books()["total"]["requests"]
    # What calls cost whose answer never arrived, only the provider knows (see `UNDELIVERED` of the simulator): they are
    # in our books at the most they may have cost, so that those are never below the bill.
    arrived = sim.books()["total"]["answered"]["cost_units"]
    assert booked_units(tmp_path, outcome="ok") == arrived
    assert booked_units(tmp_path) >= sim.books()["total"]["charged"]["cost_units"] > arrived
    assert report.cost_usd == pytest.approx(arrived / 1e9)
    assert sum(answer["cost_usd"] for answer in answers) == pytest.approx(arrived / 1e9)
    assert sum(one.rows for one in report.accounts) == 200


async def test_what_is_done_is_not_done_again_and_new_rows_are(serve: Serve, tmp_path: Path) -> None:
    sim = serve()
    rows = write_rows(tmp_path / "rows.jsonl", 20)
    await asked(tmp_path, rows)
    with rows.open("a") as file:
        file.write('{"text": "row 7"}\n{"text": "row 7"}\n')
    more = await asked(tmp_path, rows)
    assert (more.rows, more.found, more.answered, more.estimate.due) == (22, 20, 2, 2)
    assert_each_row_once(lines(tmp_path / "out.jsonl"), 22)
    assert sim.books()["total"]["requests"] == 22


async def test_rows_that_fail_are_kept_with_their_reason_and_done_again_on_demand(serve: Serve, tmp_path: Path) -> None:
    sim = serve(rules=(Rule(pattern="row 3", answer="I would rather not."),))
    report = await asked(tmp_path, [f"row {at}" for at in range(1, 6)])
    assert (report.answered, report.failed, report.failed_in_all) == (4, 1, 1)
    [failed] = failures(tmp_path / "out.jsonl")
    assert (failed["row"], failed["code"], failed["input"]) == (3, "ENGINE_FAILED", {"text": "row 3"})
    assert "no JSON" in failed["reason"]
    assert failed["cost_usd"] > 0
    before = sim.books()["total"]["requests"]

    sim.change(rules=[])
    mended = await asked(tmp_path, [f"row {at}" for at in range(1, 6)], retry_failed=True)
    assert (mended.answered, mended.failed_in_all) == (1, 0)
    assert failures(tmp_path / "out.jsonl") == []
    assert_each_row_once(lines(tmp_path / "out.jsonl"), 5)
    assert sim.books()["total"]["requests"] == before + 1
    assert mended.cost_usd_in_all == pytest.approx(booked_units(tmp_path) / 1e9)


async def test_a_fallback_steps_in_and_is_marked(serve: Serve, tmp_path: Path) -> None:
    serve(rules=(Rule(pattern="great|bad|nothing", answer="{}"),))
    fallback = {"field": "sentiment", "words": {"positive": ["great"], "negative": ["bad"]}, "value": {"score": 0}}
    report = await asked(tmp_path, ["great", "bad", "nothing", "other"], fallback=fallback)
    found = {answer["row"]: (answer["value"].get("sentiment"), answer["source"]) for answer in lines(report.output)}
    assert (found[1], found[2], found[4][1]) == (("positive", "fallback"), ("negative", "fallback"), "model")
    assert [failed["row"] for failed in failures(report.output)] == [3]
    assert report.fallbacks == 2


async def test_texts_that_are_empty_fail_and_those_cut_are_marked(serve: Serve, tmp_path: Path) -> None:
    serve(rules=(Rule(pattern="say nothing", answer=" "),))
    report = await asked(
        tmp_path,
        ["say nothing", "say " + "much " * 50, "hello", {"text": ""}],
        schema=None,
        prompt="{{ text }}",
        max_output_tokens=10,
    )
    found = {answer["row"]: (answer["text"][:5], answer["finish_reason"]) for answer in lines(report.output)}
    assert found == {2: ("say m", "length"), 3: ("hello", "stop")}
    told = {failed["row"]: failed["reason"] for failed in failures(report.output)}
    assert told == {1: "the answer is empty", 4: "its prompt is empty"}
    assert report.cut == 1


async def test_a_prompt_that_no_model_takes_fails_alone(serve: Serve, tmp_path: Path) -> None:
    serve([account("a", model={"context_tokens": 500})])
    report = await asked(tmp_path, ["short", "long " * 2_000, "short too"])
    assert [failed["code"] for failed in failures(report.output)] == ["FILE_TOO_LARGE"]
    assert [answer["row"] for answer in sorted(lines(report.output), key=lambda one: one["row"])] == [1, 3]


async def test_a_parquet_output_has_all_rows_of_all_runs(serve: Serve, tmp_path: Path) -> None:
    import pyarrow.parquet

    serve()
    rows, output = write_rows(tmp_path / "rows.jsonl", 10), str(tmp_path / "out.parquet")
    await asked(tmp_path, rows, output=output, keep=("id",))
    with rows.open("a") as file:
        file.write('{"id": 10, "text": "one more"}\n')
    await asked(tmp_path, rows, output=output, keep=("id",))
    table = pyarrow.parquet.read_table(output)
    assert sorted(table.column("input.id").to_pylist()) == list(range(11))
    assert set(table.column("value.sentiment").to_pylist()) <= {"positive", "negative"}


async def test_shards_overlap_and_cover_all_rows(serve: Serve, tmp_path: Path) -> None:
    sim = serve(latency={"mean_ms": 5})
    report = await asked(tmp_path, write_rows(tmp_path / "rows.jsonl", 95), shard_size=10, concurrency=7)
    assert_each_row_once(lines(report.output), 95)
    peaks = [one["windows"]["concurrency"]["peak"] for one in sim.books()["accounts"].values()]
    assert sum(peaks) <= 28  # of each account at its own time
    assert max(peaks) <= 7


async def test_progress_and_report_are_shown_in_prefect(serve: Serve, tmp_path: Path) -> None:
    serve()
    report = await asked(tmp_path, ["a", "b"])
    async with get_client() as client:

        async def artifact(key: str) -> str:
            wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
            return str((await client.read_artifacts(artifact_filter=wanted))[-1].data)

        assert "2 answered and 0 failed" in await artifact(f"swarm-{report.swarm_id}")
        assert "2 of 2" in await artifact(f"swarm-{report.swarm_id}-progress")
    kept = RowsReport.model_validate_json(open_store().read_bytes(f"swarms/{report.swarm_id}/report.json"))
    assert (kept.rows, kept.out, kept.failed, kept.left, kept.outcome) == (2, 2, 0, 0, "complete")
    assert kept.cost_usd == report.cost_usd


# When it cannot go on


async def test_a_row_without_its_column_costs_nothing(serve: Serve, tmp_path: Path) -> None:
    sim = serve()
    with pytest.raises(BadInput, match="row 2"):
        await asked(tmp_path, ["a", {"body": "b"}])
    assert sim.books()["total"]["requests"] == 0


@pytest.mark.parametrize("names", [{"model": "nomodel"}, {"accounts": ("nobody",)}])
async def test_accounts_and_models_that_there_are_not_are_told_before_any_row_is_read(
    serve: Serve, tmp_path: Path, names: dict[str, Any]
) -> None:
    serve()
    with pytest.raises(Unsupported, match=r"nomodel|nobody"):
        await asked(tmp_path, ["a", {"body": "b"}], **names)
    assert list(tmp_path.glob("out*")) == []


async def test_a_spent_budget_ends_it_and_more_money_goes_on(serve: Serve, tmp_path: Path) -> None:
    def budget(usd: float) -> dict[str, Any]:
        return {"budgets": {"user": {"usd": usd}}}

    one_usd = (78 * 0.5 + 200 * 1.5) / 1e6  # what a call reserves at most
    accounts = [account("a", quota=Quota(concurrency=2))]
    sim = serve(accounts, budget(2 * one_usd))
    with pytest.raises(BudgetExceeded, match="rows are answered and kept") as told:
        await asked(tmp_path, write_rows(tmp_path / "rows.jsonl", 50), concurrency=4, user="mai")
    done = len(lines(tmp_path / "out.jsonl"))
    assert 2 <= done < 50
    assert (told.value.details["answered"], told.value.details["left"]) == (done, 50 - done)
    assert failures(tmp_path / "out.jsonl") == []
    [(_, kept)] = rows_reports(open_store(), datetime.now(UTC) - timedelta(hours=1))
    assert isinstance(kept, RowsReport)
    assert (kept.rows, kept.out, kept.left, kept.outcome) == (50, done, 50 - done, "ended early: BUDGET_EXCEEDED")

    write_accounts(tmp_path / "accounts.yaml", accounts, sim, **budget(1.0))
    report = await asked(tmp_path, tmp_path / "rows.jsonl", concurrency=4, user="mai")
    assert (report.found, report.answered) == (done, 50 - done)
    assert sim.books()["total"]["requests"] == 50


async def test_what_a_broken_off_row_cost_counts(serve: Serve, tmp_path: Path) -> None:
    one_usd = (78 * 0.5 + 200 * 1.5) / 1e6  # what a call reserves at most
    serve([account("a")], {"budgets": {"user": {"usd": 1.5 * one_usd}}}, rules=(Rule(pattern="row", answer="no"),))
    with pytest.raises(BudgetExceeded) as told:
        await asked(tmp_path, write_rows(tmp_path / "rows.jsonl", 1), user="mai")
    assert told.value.details["cost_usd"] == pytest.approx(booked_units(tmp_path) / 1e9)
    assert told.value.details["cost_usd"] > 0


async def test_a_used_up_day_ends_it_at_once(serve: Serve, tmp_path: Path) -> None:
    noon = 12 - datetime.now(UTC).hour  # an hour before midnight it would wait for the next day
    serve([account("a", quota=Quota(rpd=5), day_utc_offset_h=noon)])
    with pytest.raises(LimitReached, match="5 of 20 rows are answered"):
        await asked(tmp_path, [f"row {at}" for at in range(20)])
    assert failures(tmp_path / "out.jsonl") == []


@pytest.mark.parametrize("how", [{"keys": ("other",)}, {"next_faults": {"out_of_quota": 1000}}])
async def test_accounts_that_do_not_work_end_it_within_the_deadline(
    serve: Serve, tmp_path: Path, how: dict[str, Any]
) -> None:
    serve(**how)
    with pytest.raises((TimedOut, EngineUnavailable)) as told:
        await asked(tmp_path, ["a", "b"], deadline_s=3)
    assert "0 of 2 rows" in told.value.message
    assert failures(tmp_path / "out.jsonl") == []


async def test_a_provider_that_understands_nothing_does_not_use_up_all_rows(serve: Serve, tmp_path: Path) -> None:
    serve(faults={"error": 1.0}, error_status=400)
    with pytest.raises(C500Error, match="rows are answered"):
        await asked(tmp_path, write_rows(tmp_path / "rows.jsonl", 500), concurrency=5)
    assert failures(tmp_path / "out.jsonl") == []


async def test_an_account_at_the_wrong_place_marks_no_row_as_failed(serve: Serve, tmp_path: Path) -> None:
    sim = serve()
    right = (tmp_path / "accounts.yaml").read_text()
    (tmp_path / "accounts.yaml").write_text(right.replace("/v1", "/other/v1"))
    rows = write_rows(tmp_path / "rows.jsonl", 5)
    with pytest.raises(BadInput, match="0 of 5 rows are answered"):
        await asked(tmp_path, rows)
    (tmp_path / "accounts.yaml").write_text(right)
    assert (await asked(tmp_path, rows)).answered == 5
    assert sim.books()["total"]["answered"]["calls"] == 5


async def test_a_run_beside_another_on_one_output_is_refused(serve: Serve, tmp_path: Path) -> None:
    sim = serve()
    fields = {"prompt": PROMPT, "output": str(tmp_path / "out.jsonl"), "answer_schema": SCHEMA, "model": "m"}
    with open_ledger(swarm_job(source=["a"], **fields)), pytest.raises(Conflict, match="another run writes"):
        await asked(tmp_path, ["a"])
    assert sim.books()["total"]["requests"] == 0


async def test_a_cancelled_swarm_keeps_what_is_done(serve: Serve, tmp_path: Path) -> None:
    sim = serve(latency={"mean_ms": 20})
    rows = write_rows(tmp_path / "rows.jsonl", 100)
    running = asyncio.create_task(asked(tmp_path, rows, concurrency=5))
    await eventually(lambda: len(lines(tmp_path / "out.jsonl")) >= 20)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    done = len(lines(tmp_path / "out.jsonl"))
    report = await asked(tmp_path, rows)
    assert (report.found, report.answered) == (done, 100 - done)
    assert_each_row_once(lines(tmp_path / "out.jsonl"), 100)
    assert sim.books()["total"]["answered"]["calls"] <= 100 + 5


# Parts for workers


async def test_a_part_that_a_worker_did_is_taken_over(serve: Serve, tmp_path: Path) -> None:
    sim = serve()
    rows = write_rows(tmp_path / "rows.jsonl", 30)
    fields = {"prompt": PROMPT, "output": str(tmp_path / "out.jsonl"), "answer_schema": SCHEMA, "model": "m"}
    job = swarm_job(source=str(rows), workers=3, **fields)
    await swarm_shard(job.model_copy(update={"part": 1}), 11, 20)
    report = await asked(tmp_path, rows)
    assert (report.found, report.answered) == (10, 20)
    assert_each_row_once(lines(tmp_path / "out.jsonl"), 30)
    assert sim.books()["total"]["requests"] == 30
    assert not list(tmp_path.glob("*.part-*"))
