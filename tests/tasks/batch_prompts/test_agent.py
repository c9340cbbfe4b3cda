"""Agents answer chunks in sessions of their own: repaired in them, found again after a kill, never asked twice."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from blocks.errors import BadInput, NotAllowed, NotFound
from blocks.iiagent.books import sessions_of
from blocks.settings import settings
from tasks.batch_prompts.agent import AgentEngine, read_table
from tasks.batch_prompts.ledger import Spent, open_ledger
from tasks.batch_prompts.output import write_output
from tasks.batch_prompts.plan import read_plan
from tasks.batch_prompts.probe import probe
from tasks.batch_prompts.report import BatchPromptsReport, report_of
from tasks.batch_prompts.run import BatchRun, NotNow
from tasks.batch_prompts.survey import survey
from tests.blocks.iiagent.opened import QUICK
from tests.fakes.iiagent.agent import Run
from tests.fakes.iiagent.rows import rows_of_file
from tests.fakes.iiagent.rows import table as csv_of
from tests.fakes.iiagent.serve import iiagent_server
from tests.fakes.iiagent.steps import Call, Done, Fail, Say, Step, Stop, Write
from tests.flows.batch_prompting import GROUPS, STEPS, assert_each_row_once, cells, plan_file, table, texts

NAMED = re.compile(r"to the file (\S+\.csv)")
LINE = re.compile(r"^- row (\d+): (.*)$", re.MULTILINE)


def answering(run: Run, *, keep: int | None = None) -> Iterable[Step]:
    """An agent that reads the uploaded table, and writes what is wanted of it, or only the first lines."""
    rows = {int(row["row"]): row for name in run.files for row in rows_of_file(run.session.workspace / name)}
    wanted = LINE.findall(run.text.partition("What is wanted:")[2].partition("Columns:")[0])
    made = [
        {"row": number, "topic": topic, "step": step, **cells(int(number), topic, step, rows[int(number)]["ý kiến"])}
        for number, what in wanted
        for topic, step in units(what)
    ]
    [output] = NAMED.findall(run.text)
    yield Call("shell_exec", {"command": "head *.csv"}, "")
    yield Write(output, csv_of(made[:keep]))
    yield Say("I wrote the table.")
    yield Done()


def units(what: str) -> list[tuple[int, str]]:
    if what.startswith("all"):
        return [(topic, step) for topic in (1, 2) for step in STEPS]
    return [(int(topic), step) for topic, step in re.findall(r"topic=(\d+) step=(\w+)", what)]


def point_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *urls: str) -> None:
    """Settings that lead to these servers."""
    listed = [
        {"name": f"fake{at}", "base_url": url, "model_keys": ["a", "b"], "max_sessions": 2, "limits": QUICK}
        for at, url in enumerate(urls)
    ]
    path = tmp_path / "agent_servers.yaml"
    path.write_text(yaml.safe_dump({"servers": listed}))
    monkeypatch.setenv("AGENT_SERVERS_FILE", str(path))
    settings.cache_clear()


async def run(tmp_path: Path) -> tuple[BatchPromptsReport, BatchRun]:
    plan = read_plan(tmp_path / "plan.yaml", engine="agent")
    with open_ledger(plan) as ledger:
        survey(plan, ledger)
        batch = BatchRun(plan, AgentEngine(plan), ledger)
        for group in plan.templates:
            await batch.work(group, ledger.due(group))
        write_output(plan, ledger)
        return report_of(plan, ledger, batch.tally), batch


async def test_each_chunk_is_a_session_and_every_row_is_answered_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table(tmp_path, texts(12), GROUPS[:2])
    plan_file(tmp_path)
    async with iiagent_server(answering) as one, iiagent_server(answering) as other:
        point_to(tmp_path, monkeypatch, one.url, other.url)
        report, _ = await run(tmp_path)
    assert report.is_complete
    assert_each_row_once(tmp_path / "out.csv", range(1, 13))
    assert len(report.by_account) == 4  # 6 rows of each group in chunks of 5
    assert sessions_of("fake0") + sessions_of("fake1") == 4
    assert all(group.unpriced for group in report.groups if group.rows)


async def test_what_an_agent_leaves_out_is_asked_for_in_the_same_session_and_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table(tmp_path, texts(5), GROUPS[:1])
    plan_file(tmp_path)

    def steps(run: Run) -> Iterable[Step]:
        return answering(run, keep=7 if run.number == 0 else None)

    async with iiagent_server(steps) as fake:
        point_to(tmp_path, monkeypatch, fake.url)
        report, _ = await run(tmp_path)
        [session] = report.by_account
        assert (fake.workspace(session) / "output-2.csv").exists()
    assert report.is_complete
    assert (report.questions, report.repairs) == (2, 1)


async def test_an_agent_that_stops_without_a_word_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table(tmp_path, texts(5), GROUPS[:1])
    plan_file(tmp_path)
    async with iiagent_server(lambda run: [Stop()] if run.number == 0 else answering(run)) as fake:
        point_to(tmp_path, monkeypatch, fake.url)
        report, _ = await run(tmp_path)
    assert report.is_complete
    assert report.questions == 2


async def test_a_turn_that_ended_before_the_process_did_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table(tmp_path, texts(5), GROUPS[:1])
    plan = read_plan(plan_file(tmp_path), engine="agent")
    runs: list[int] = []

    def steps(run: Run) -> Iterable[Step]:
        runs.append(run.number)
        return answering(run)

    async with iiagent_server(steps) as fake:
        point_to(tmp_path, monkeypatch, fake.url)
        with open_ledger(plan) as ledger:
            survey(plan, ledger)
            batch = BatchRun(plan, AgentEngine(plan), ledger)
            monkeypatch.setattr(ledger, "save", died)
            with pytest.raises(BaseExceptionGroup):
                await batch.work(GROUPS[0], ledger.due(GROUPS[0]))
        report, _ = await run(tmp_path)
    assert report.is_complete
    assert runs == [0]


async def test_rows_that_another_chunk_left_over_move_no_chunk_whose_turn_had_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = texts(10)
    table(tmp_path, said, GROUPS[:1])
    plan = read_plan(plan_file(tmp_path), engine="agent")
    runs: list[str] = []

    def steps(run: Run) -> Iterable[Step]:
        runs.append(run.session.id)
        return answering(run)

    async with iiagent_server(steps) as fake:
        point_to(tmp_path, monkeypatch, fake.url)
        with open_ledger(plan) as ledger:
            survey(plan, ledger)
            found = {
                number: {
                    (topic, step): cells(number, topic, step, said[number - 1])
                    for topic, step in units("all")[number // 5 :]  # all but one of row 5
                }
                for number in range(1, 6)
            }
            assert len(ledger.save(ledger.items([1, 2, 3, 4, 5]), found, Spent())) == 4
            batch = BatchRun(plan, AgentEngine(plan), ledger)
            with monkeypatch.context() as dying:
                dying.setattr(ledger, "save", died)
                with pytest.raises(BaseExceptionGroup):
                    await batch.work(GROUPS[0], [6, 7, 8, 9, 10])
        report, _ = await run(tmp_path)
    assert report.is_complete
    assert len(runs) == 2  # the chunk of before, found again, and one for what row 5 lacks


async def test_an_agent_that_makes_the_same_mistake_is_asked_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table(tmp_path, texts(1), GROUPS[:1])
    plan_file(tmp_path)
    asked: list[int] = []

    def steps(run: Run) -> Iterable[Step]:
        asked.append(run.number)
        return answering(run, keep=0 if len(asked) < 3 else None)

    async with iiagent_server(steps) as fake:
        point_to(tmp_path, monkeypatch, fake.url)
        report, _ = await run(tmp_path)
    assert report.is_complete
    assert (len(asked), report.questions) == (3, 3)


async def test_a_table_that_could_not_be_read_at_once_is_read_later_and_not_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table(tmp_path, texts(5), GROUPS[:1])
    plan = read_plan(plan_file(tmp_path), engine="agent")
    async with iiagent_server(answering) as fake:
        point_to(tmp_path, monkeypatch, fake.url)
        with open_ledger(plan) as ledger:
            survey(plan, ledger)
            batch = BatchRun(plan, AgentEngine(plan), ledger)
            fake.breaks.cut_download_after(10)
            with pytest.raises(NotNow):
                await batch.work(GROUPS[0], ledger.due(GROUPS[0]))
            await batch.work(GROUPS[0], ledger.due(GROUPS[0]))
            assert (ledger.due(GROUPS[0]), batch.tally.answered) == ([], 5)
        assert len(fake.runs) == 1


async def test_a_probe_asks_an_agent_twice_and_the_run_asks_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table(tmp_path, texts(5), GROUPS[:1])
    plan = read_plan(plan_file(tmp_path), engine="agent")
    sessions: list[int] = []

    def steps(run: Run) -> Iterable[Step]:
        sessions.append(run.number)
        return answering(run)

    async with iiagent_server(steps) as fake:
        point_to(tmp_path, monkeypatch, fake.url)
        with open_ledger(plan) as ledger:
            survey(plan, ledger)
            [found] = await probe(plan, ledger, AgentEngine(plan))
        assert (found.complete, found.same, sessions) == (1.0, 1.0, [0, 0])
        report, _ = await run(tmp_path)
    assert report.is_complete
    assert sessions == [0, 0, 0]


def died(*_: object) -> None:
    raise RuntimeError("the process ends here")


async def test_a_key_that_is_no_longer_good_ends_it_and_gives_no_row_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table(tmp_path, texts(5), GROUPS[:1])
    plan_file(tmp_path)
    async with iiagent_server(lambda _run: [Fail(401, "Invalid API key")]) as fake:
        point_to(tmp_path, monkeypatch, fake.url)
        report, batch = await run(tmp_path)
    assert isinstance(batch.halted, NotAllowed)
    assert report.groups[0].review == 0
    assert report.left == 5


def test_a_server_or_key_that_there_is_not_is_told_before_anything_is_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table(tmp_path, texts(1), GROUPS[:1])
    point_to(tmp_path, monkeypatch, "http://127.0.0.1:1")
    with pytest.raises(NotFound):
        AgentEngine(read_plan(plan_file(tmp_path, agent={"servers": ["other"]})))
    with pytest.raises(BadInput, match="no model key c"):
        AgentEngine(read_plan(plan_file(tmp_path, agent={"model_key": "c"})))


@pytest.mark.parametrize(
    ("content", "rows", "told"),
    [
        ("a,b\n1,2\n", [{"a": "1", "b": "2"}], ""),
        ("\ufeffa;b\r\n1;2\r\n", [{"a": "1", "b": "2"}], ""),
        ("a,b\n1\n3,4\n\n", [{"a": "3", "b": "4"}], "line 2 of x.csv has 1 cells, and the first has 2"),
        ('a,b\n1,"2\n3"\n', [{"a": "1", "b": "2\n3"}], ""),
        ("", [], ""),
    ],
)
def test_of_an_agents_table_every_line_that_fits_counts(content: str, rows: list[dict[str, str]], told: str) -> None:
    found, problems = read_table(content.encode(), "x.csv")
    assert (found, "; ".join(problems)) == (rows, told)


def test_a_table_in_another_encoding_is_told() -> None:
    assert read_table("ữ".encode("utf-16"), "x.csv") == ([], ("x.csv is not UTF-8 text",))
