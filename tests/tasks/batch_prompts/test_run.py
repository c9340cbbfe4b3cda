"""Rows are asked until each has all that is wanted of it: repaired, halved, alone; never twice, never guessed."""

import csv
import json
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from blocks.accounts.account import Account
from blocks.accounts.open import open_pool
from deployments.simulator.behaviour import Behaviour
from deployments.simulator.serve import InProcess, simulate
from tasks.batch_prompts.ledger import Spent, open_ledger
from tasks.batch_prompts.llm import LlmEngine
from tasks.batch_prompts.output import write_output
from tasks.batch_prompts.plan import read_plan
from tasks.batch_prompts.report import BatchPromptsReport, coverage_of, report_of
from tasks.batch_prompts.run import BatchRun
from tasks.batch_prompts.survey import survey
from tests.flows.batch_prompting import GROUPS, PROMPT, answer, assert_each_row_once, lines, plan_file, table, texts
from tests.flows.swarming import account, write_accounts

Serve = Callable[..., InProcess]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a simulator with one account, and points the settings to it."""
    monkeypatch.setenv("LIMITER_URL", "memory://")
    with ExitStack() as open_:

        def start(of_model: dict[str, Any] | None = None, **how: Any) -> InProcess:
            accounts: list[Account] = [account("a", model={"max_output_tokens": 8_000, **(of_model or {})})]
            sim = open_.enter_context(simulate(accounts, Behaviour(**{"script": answer, **how})))
            write_accounts(tmp_path / "accounts.yaml", accounts, sim)
            return sim

        yield start


async def run(tmp_path: Path) -> BatchPromptsReport:
    """Do all rows of the plan, without Prefect."""
    plan = read_plan(tmp_path / "plan.yaml")
    with open_ledger(plan) as ledger:
        survey(plan, ledger)
        async with open_pool() as pool:
            batch = BatchRun(plan, LlmEngine(pool, plan), ledger, pool.traffic)
            for group in plan.templates:
                await batch.work(group, ledger.due(group))
        write_output(plan, ledger)
        return report_of(plan, ledger, batch.tally)


def asked(sim: InProcess) -> int:
    return sim.books()["total"]["requests"]


async def test_vietnamese_stays_as_it_is_in_nfc_and_formulas_are_made_harmless(serve: Serve, tmp_path: Path) -> None:
    serve()
    hostile = ["=1+1", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "-12", "−5", "Đặc biệt: ngưỡng"]
    decomposed = [unicodedata.normalize("NFD", text) for text in hostile]
    table(tmp_path, decomposed, [unicodedata.normalize("NFD", GROUPS[0])])
    plan_file(tmp_path, keep=["mã", "ý kiến"])
    report = await run(tmp_path)
    assert report.is_complete
    raw = (tmp_path / "out.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    text = raw.decode("utf-8-sig")
    assert unicodedata.is_normalized("NFC", text)
    found = {int(one["row"]): one["ý kiến"] for one in lines(tmp_path / "out.csv")}
    assert found == {1: "'=1+1", 2: "'+1+1", 3: "'-2+3", 4: "'@SUM(A1)", 5: "'\t=1", 6: "-12", 7: "−5", 8: hostile[7]}


async def test_what_is_missing_is_asked_for_alone_and_nothing_twice(serve: Serve, tmp_path: Path) -> None:
    sim = serve()
    said = texts(10)
    for at, mark in ((1, "[short]"), (4, "[blank]"), (7, "[double]")):
        said[at] += f" {mark}"
    table(tmp_path, said, GROUPS[:1])
    plan_file(tmp_path)
    report = await run(tmp_path)
    assert report.is_complete
    assert_each_row_once(tmp_path / "out.csv", range(1, 11))
    assert (asked(sim), report.repairs) == (4, 2)
    assert [one["score"] for one in lines(tmp_path / "out.csv") if one["row"] == "8"] == ["-3"] * 4


async def test_a_chunk_is_halved_until_the_row_that_spoils_it_is_alone(serve: Serve, tmp_path: Path) -> None:
    serve()
    said = [f"{text} [moody]" for text in texts(5)]
    table(tmp_path, said, GROUPS[:1])
    plan_file(tmp_path)
    report = await run(tmp_path)
    assert report.is_complete
    assert report.questions == 10  # of 5 rows, the same again, 2, 1, 1, 3, 1, 2, 1, 1


async def test_rows_of_no_known_group_are_told_and_set_aside(serve: Serve, tmp_path: Path) -> None:
    serve()
    table(tmp_path, texts(8), [GROUPS[0], "Không có", GROUPS[1], ""])
    plan_file(tmp_path)
    report = await run(tmp_path)
    assert (report.dead_rows, report.is_complete) == (4, False)
    assert [(one.row, one.group) for one in report.dead] == [(2, "Không có"), (4, ""), (6, "Không có"), (8, "")]
    dead = lines(tmp_path / "out.dead.csv")
    assert [one["row"] for one in dead] == ["2", "4", "6", "8"]
    assert "Giao hàng" in dead[0]["reason"]
    assert_each_row_once(tmp_path / "out.csv", (1, 3, 5, 7))


async def test_an_answer_that_was_cut_counts_as_far_as_it_goes(serve: Serve, tmp_path: Path) -> None:
    sim = serve()
    table(tmp_path, texts(5), GROUPS[:1])
    plan_file(tmp_path)
    sim.change(next_faults={"length": 1})
    report = await run(tmp_path)
    assert report.is_complete
    assert (asked(sim), report.repairs) == (2, 1)


async def test_a_kept_cell_longer_than_pythons_csv_takes_is_read_back(serve: Serve, tmp_path: Path) -> None:
    before = csv.field_size_limit(131_072)  # as in a process that has read no CSV file
    serve()
    row = {"mã": "k" * 200_000, "nhóm": GROUPS[0], "ý kiến": "tốt"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n")
    plan_file(tmp_path, source="rows.jsonl")
    try:
        report = await run(tmp_path)
    finally:
        csv.field_size_limit(before)
    assert report.is_complete


async def test_many_rows_of_no_known_group_are_all_told(serve: Serve, tmp_path: Path) -> None:
    serve()
    table(tmp_path, texts(1_102), ("?",))
    plan_file(tmp_path)
    report = await run(tmp_path)
    assert (report.dead_rows, len(report.dead), report.is_complete) == (1_102, 20, False)
    assert [int(one["row"]) for one in lines(tmp_path / "out.dead.csv")] == [*range(1, 1_103)]


async def test_what_does_not_belong_into_the_file_is_found_there(serve: Serve, tmp_path: Path) -> None:
    serve()
    table(tmp_path, texts(3), GROUPS[:1])
    plan = read_plan(plan_file(tmp_path))
    assert (await run(tmp_path)).is_complete
    path = tmp_path / "out.csv"
    head, *rest = path.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    strange = [rest[0].replace("1,", "9,", 1), rest[0].replace(",need,", ",want,")]
    path.write_text("".join([head, *rest[:-1], rest[1], *strange]), encoding="utf-8-sig")
    with open_ledger(plan) as ledger:
        found = coverage_of(plan, ledger)[0]
    assert (found.written, found.missing, found.duplicates) == (14, 1, 3)


async def test_equal_rows_are_answered_each(serve: Serve, tmp_path: Path) -> None:
    serve()
    path = table(tmp_path, ["the same"] * 3, GROUPS[:1])
    path.write_text("mã,nhóm,ý kiến\n" + f"1,{GROUPS[0]},the same\n" * 3)
    plan_file(tmp_path)
    assert (await run(tmp_path)).is_complete
    assert_each_row_once(tmp_path / "out.csv", (1, 2, 3))


async def test_a_row_that_is_answered_little_by_little_is_asked_for_as_long_as_it_grows(
    serve: Serve, tmp_path: Path
) -> None:
    sim = serve(script=stingy)
    table(tmp_path, texts(1), GROUPS[:1])
    plan_file(tmp_path, per_row={"topic": 3, "step": ["need", "action"]})
    report = await run(tmp_path)
    assert report.is_complete
    assert asked(sim) == 6


def stingy(asked: Any) -> str:
    """As `answer`, but only the first output row that is wanted."""
    said = json.loads(answer(asked, topics=3))
    return json.dumps({"rows": said["rows"][:1]})


async def test_a_chunk_that_no_model_takes_is_halved_and_a_row_that_none_takes_fails_alone(
    serve: Serve, tmp_path: Path
) -> None:
    serve({"context_tokens": 2_500, "max_output_tokens": 800})
    said = texts(4)
    said[3] = "long " * 2_000
    table(tmp_path, said, GROUPS[:1])
    plan_file(tmp_path, max_output_tokens=800)
    report = await run(tmp_path)
    assert [one.row for one in report.failed] == [4]
    assert_each_row_once(tmp_path / "out.csv", (1, 2, 3))


@pytest.mark.parametrize("fault", ["prose", "fence", "malformed", "wrong_schema", "empty", "filtered"])
async def test_an_answer_of_another_shape_costs_a_repair_and_no_row(serve: Serve, tmp_path: Path, fault: str) -> None:
    sim = serve(next_faults={fault: 1})
    table(tmp_path, texts(5), GROUPS[:1])
    plan_file(tmp_path)
    assert (await run(tmp_path)).is_complete
    assert asked(sim) == (1 if fault in ("prose", "fence") else 2)


async def test_rows_with_every_mark_in_every_group_end_in_the_right_place(serve: Serve, tmp_path: Path) -> None:
    serve(faults={"error": 0.05, "malformed": 0.05, "prose": 0.05, "length": 0.05})
    marks = ("", "[short]", "[blank]", "[double]", "[moody]", "[never]", "")
    said = [f"{text} {marks[at % 5 if at % 35 else 5]}" for at, text in enumerate(texts(70))]
    table(tmp_path, said)
    plan_file(tmp_path)
    report = await run(tmp_path)
    hopeless = {at + 1 for at, text in enumerate(said) if "[never]" in text}
    assert_each_row_once(tmp_path / "out.csv", sorted(set(range(1, 71)) - hopeless))
    assert {one.row for one in report.failed} == hopeless
    assert report.faults == (0, 0, 0)
    assert sum(one.answered + one.review for one in report.groups) == 70


async def test_a_workbook_of_rows_with_groups_in_another_spelling_and_numbers_is_answered(
    serve: Serve, tmp_path: Path
) -> None:
    from openpyxl import Workbook

    serve()
    book: Any = Workbook()
    book.active.append([unicodedata.normalize("NFD", "mã"), " nhóm ", "ý kiến"])
    book.active.append([7, unicodedata.normalize("NFD", " Bảo hành "), "tốt"])
    book.active.append([-8, 5, "xấu"])
    book.save(tmp_path / "rows.xlsx")
    plan_file(tmp_path, source="rows.xlsx", groups={"Bảo hành": {"prompt": PROMPT}, "5": {"prompt": PROMPT}})
    report = await run(tmp_path)
    assert report.is_complete
    assert [(one["mã"], one["nhóm"]) for one in lines(tmp_path / "out.csv")] == [("7", "Bảo hành")] * 4 + [
        ("-8", "5")
    ] * 4


async def test_what_a_model_declines_costs_what_it_said_it_costs(serve: Serve, tmp_path: Path) -> None:
    sim = serve(faults={"filtered": 1.0})
    table(tmp_path, texts(2), GROUPS[:1])
    plan_file(tmp_path)
    report = await run(tmp_path)
    assert report.groups[0].review == 2
    charged = sum(one["charged"]["cost_units"] for one in sim.books()["accounts"].values()) / 1e9
    assert report.groups[0].cost_usd == pytest.approx(charged)
    assert report.cost_usd == pytest.approx(charged)


def test_a_file_that_somebody_saved_otherwise_is_counted_as_far_as_it_can_be_read(tmp_path: Path) -> None:
    table(tmp_path, texts(2), GROUPS[:1])
    plan = read_plan(plan_file(tmp_path, per_row={}))
    with open_ledger(plan) as ledger:
        survey(plan, ledger)
        filled = {"finding": "tốt", "mood": "tốt", "score": 1}
        ledger.save(ledger.items([1, 2]), {1: {(): filled}, 2: {(): filled}}, Spent())
        write_output(plan, ledger)
        with (tmp_path / "out.csv").open("ab") as output:
            output.write(b"\r\n3\r\nna\xefve,x\r\n")
        [found] = [one for one in coverage_of(plan, ledger) if one.rows]
    assert (found.written, found.missing, found.duplicates) == (2, 0, 0)
