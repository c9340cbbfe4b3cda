"""A task goes on while that changes anything, ends in time, and is never begun twice."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import BadInput, Conflict, NotFound, TooLarge
from blocks.iiagent.upload import MOST_BYTES
from blocks.progress import notices
from tasks.sessions import converse
from tasks.sessions.perform import folder_of, opened, perform
from tasks.sessions.record import read_record
from tasks.sessions.result import AgentResult
from tasks.sessions.task import AgentTask, agent_task_of
from tests.blocks.iiagent.opened import server_at
from tests.fakes.iiagent import iiagent_server
from tests.fakes.iiagent.agent import Run
from tests.fakes.iiagent.steps import Append, Call, Done, Fail, Say, Stop, Wait, Write
from tests.flows.sessioning import GOAL, ROWS

LOOK = Call("shell_exec", {"command": "ls"}, "")
ALL_ROWS = [Write("output.csv", "id,text\n1,a\n2,b\n3,c\n"), Done()]
ONE_ROW = Write("output.csv", "id,text\n1,một\n")


def asked(**fields: Any) -> AgentTask:
    return agent_task_of(**{"prompt": GOAL, "checks": ROWS, "server": "fake", "into": "files", **fields})


async def performed(url: str, **fields: Any) -> AgentResult:
    return await perform(asked(**fields), server_at(url, limits={"cancel_s": 1}))


async def test_a_continue_names_the_goal_and_what_is_missing() -> None:
    async with iiagent_server(
        [[ONE_ROW, Done()], [Append("output.csv", "2,hai\n3,ba\n"), Say("All."), Done()]]
    ) as fake:
        result = await performed(fake.url)
        first, second = fake.runs
    assert result.done
    assert result.answer == "All."
    assert first.text == GOAL
    assert GOAL in second.text
    assert "output.csv has 1 of 3 rows" in second.text
    assert second.resume


async def test_the_same_call_again_is_told_without_another_prompt() -> None:
    async with iiagent_server("happy") as fake:
        first = await performed(fake.url)
        again = await performed(fake.url)
        assert len(fake.runs) == 1
    assert again == first


async def test_another_name_is_another_task() -> None:
    async with iiagent_server("happy") as fake:
        first = await performed(fake.url)
        other = await performed(fake.url, name="other", into="elsewhere")
        assert len(fake.runs) == 2
    assert first.session_id != other.session_id


async def test_a_task_that_failed_goes_on_in_its_session_when_called_again() -> None:
    failing = [[ONE_ROW, *[Fail(400, "no such model")]], [Fail(400, "no such model")]]
    async with iiagent_server([*failing, [Append("output.csv", "2,hai\n3,ba\n"), Done()]]) as fake:
        first = await performed(fake.url)
        assert (first.outcome.kind, first.done) == ("error", False)
        again = await performed(fake.url)
        assert again.done
        assert again.session_id == first.session_id
        assert GOAL in fake.runs[-1].text and fake.runs[-1].text != GOAL


async def test_a_failed_turn_that_had_done_all_is_found_done_without_another_prompt() -> None:
    whole = Write("output.csv", "id,text\n1,a\n2,b\n3,c\n")
    async with iiagent_server([[whole, Fail(400, "no such model")], [Fail(400, "no such model")]]) as fake:
        first = await performed(fake.url)
        runs = len(fake.runs)
        assert first.outcome.kind == "error"
        assert (await performed(fake.url)).done
        assert len(fake.runs) == runs


async def test_a_task_that_was_given_up_has_its_allowance_once_more_only_on_demand() -> None:
    quick = {"max_continues": 1}

    def steps(run: Run) -> list[Any]:
        return [Append("output.csv", f"{run.number},x\n"), Done()] if run.number else [Write("output.csv", "id,text\n")]

    async with iiagent_server(steps) as fake:
        first = await performed(fake.url, allowance=quick)
        assert (first.outcome.kind, first.stopped_by, len(fake.runs)) == ("incomplete", "max_continues", 2)
        assert await performed(fake.url, allowance=quick) == first
        assert len(fake.runs) == 2
        second = await performed(fake.url, allowance={"max_continues": 2}, again=True)
        assert second.done
        assert second.counters.turns == 4


async def test_a_task_whose_checks_no_longer_hold_is_told_so_and_goes_on_only_on_demand() -> None:
    some = [{"kind": "files_exist", "globs": ["output.csv"]}]
    async with iiagent_server([[ONE_ROW, Done()], [Append("output.csv", "2,hai\n3,ba\n"), Done()]]) as fake:
        assert (await performed(fake.url, checks=some)).done
        assert (await performed(fake.url)).outcome.kind == "incomplete"
        assert len(fake.runs) == 1
        assert (await performed(fake.url, again=True)).done
        assert len(fake.runs) == 2
        assert "1 of 3 rows" in fake.runs[1].text
        assert (await performed(fake.url, again=True)).done
        assert len(fake.runs) == 2


async def test_a_question_without_an_answer_ends_the_task() -> None:
    async with iiagent_server("needs_input_then_done") as fake:
        result = await performed(fake.url)
        assert result.outcome.kind == "needs_input"
        assert "Which language" in result.outcome.question
        assert len(fake.runs) == 1
        answered = await performed(fake.url, answer="In English.")
        assert answered.done
        assert "In English." in fake.runs[1].text and "Which language" in fake.runs[1].text


async def test_calls_beyond_the_allowance_are_called_off() -> None:
    def steps(run: Run) -> list[Any]:
        return [LOOK] * 50

    async with iiagent_server(steps) as fake:
        result = await performed(fake.url, allowance={"tool_calls": 5})
        assert (result.outcome.kind, result.stopped_by) == ("interrupted", "tool_calls")
        assert fake.runs[0].outcome == "interrupted"
        assert fake.runs[0].turns < 50
        assert len(fake.runs) == 1


@contextmanager
def heard(words: str) -> Generator[tuple[list[str], asyncio.Event]]:
    """Listens to the lines about work that goes on; the event is set at one with these words."""
    lines: list[str] = []
    said = asyncio.Event()

    def hear(line: str) -> None:
        lines.append(line)
        if words in line:
            said.set()

    listening = notices.set(hear)
    try:
        yield lines, said
    finally:
        notices.reset(listening)


async def test_who_listens_is_told_how_far_a_task_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converse, "TELL_EVERY_S", 0.01)
    with heard("1 calls of tools") as (lines, worked):
        async with iiagent_server([[LOOK, Wait("go"), *ALL_ROWS]]) as fake:
            doing = asyncio.create_task(performed(fake.url))
            await worked.wait()
            fake.open("go")
            await doing
    assert lines[0].startswith("turn 1: begins in the session ")
    assert any(line.startswith("turn 1: done, ") for line in lines), lines


async def test_who_listens_is_told_that_a_task_waits_for_its_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converse, "TELL_EVERY_S", 0.01)
    with heard("waits for the server") as (_, waits):
        async with iiagent_server("close_1012") as fake:
            doing = asyncio.create_task(performed(fake.url))
            await fake.reached("restart")
            await fake.stop()
            await waits.wait()
            await fake.start()
            assert (await doing).done


async def test_time_beyond_the_allowance_calls_a_turn_off() -> None:
    async with iiagent_server("waiting") as fake:
        result = await performed(fake.url, allowance={"wall_s": 0.3})
        assert (result.outcome.kind, result.stopped_by) == ("interrupted", "wall_clock")
        fake.open("go")
        await fake.idle()


async def test_files_that_were_there_before_prove_nothing() -> None:
    async with iiagent_server([[ONE_ROW], [Stop()], [Stop()]]) as fake:
        rows = [{"kind": "files_exist", "globs": ["output.csv"]}]
        first = await performed(fake.url, checks=rows)
        assert first.done
        later = await performed(fake.url, prompt="Another task.", checks=rows, session_id=first.session_id)
        assert later.outcome.kind == "silent_stop"


async def test_a_conversation_is_gone_on_with_by_its_id() -> None:
    async with iiagent_server("happy") as fake:
        first = await performed(fake.url)
        later = await performed(fake.url, prompt="And now check it.", session_id=first.session_id, checks=[])
        assert later.session_id == first.session_id
        assert later.done
        assert fake.runs[1].history
        assert fake.peak_agents == 1


async def test_two_processes_are_never_at_one_task() -> None:
    async with iiagent_server("happy") as fake:
        task, server = asked(), server_at(fake.url)
        async with opened(task, server):
            with pytest.raises(Conflict):
                async with opened(task, server):
                    pass


async def test_files_that_an_agent_lists_are_collected_and_held_against_their_hashes(tmp_path: Path) -> None:
    listed = '{"files": [{"name": "made.bin", "sha256": "' + "0" * 64 + '"}, "plain.txt"]}'
    steps = [
        Write("made.bin", b"made", shell=True),
        Write("plain.txt", "plain", shell=True),
        Write("files.json", listed, shell=True),
        Done(),
    ]
    async with iiagent_server(steps) as fake:
        result = await performed(fake.url, checks=[], manifest="files.json")
    assert result.files is not None
    assert {file.name for file in result.files.files} == {"files.json", "plain.txt"}
    assert [one.name for one in result.files.refused] == ["made.bin"]


async def test_files_go_into_the_store_where_no_folder_is_named(tmp_path: Path) -> None:
    async with iiagent_server("happy") as fake:
        result = await performed(fake.url, into=None)
    assert result.files is not None
    folder = tmp_path / "store" / "sessions" / result.session_id
    assert (folder / "files" / "output.csv").read_text().startswith("id,text")
    assert (folder / "manifest.json").is_file()


async def test_what_is_kept_of_a_task_is_no_secret_of_its_process() -> None:
    async with iiagent_server("happy") as fake:
        await performed(fake.url)
    task = asked()
    record = read_record(folder_of(task), task.task_id)
    assert [step.outcome.kind for step in record.steps] == ["done"]


@pytest.mark.parametrize(
    ("fields", "error", "field"),
    [
        ({"prompt": "  "}, BadInput, "prompt"),
        ({"files": ["absent.csv"]}, NotFound, "files"),
        ({"files": ["a/x.csv", "b/x.csv"]}, BadInput, "files"),
        ({"session_id": "../../etc"}, BadInput, "session_id"),
        ({"allowance": {"max_continues": -1}}, BadInput, "allowance.max_continues"),
        ({"checks": [{"kind": "nothing"}]}, BadInput, "checks.0"),
        ({"outputs": ["../up.txt"]}, BadInput, "outputs.0"),
    ],
)
def test_a_task_that_cannot_be_is_refused_by_its_field(
    fields: dict[str, Any], error: type[BadInput], field: str, tmp_path: Path
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.csv").write_text(folder)
    with pytest.raises(error) as raised:
        asked(**fields)
    assert raised.value.details["field"] == field


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    large = tmp_path / "large.bin"
    with large.open("wb") as stream:
        stream.truncate(MOST_BYTES + 1)
    with pytest.raises(TooLarge):
        asked(files=[str(large)])
