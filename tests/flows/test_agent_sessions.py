"""Tasks as flows: each step one of Prefect's, pages that tell, no call done twice, whatever kills its process."""

import asyncio
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort

from blocks.errors import BadInput, EngineUnavailable, NotFound
from blocks.rows.report import RowsReport
from blocks.settings import settings
from blocks.store import open_store
from flows import session_questions
from flows.agent_sessions import agent_task, combined, download_workspace
from flows.paused_form import paused_by
from tasks.sessions import perform
from tasks.sessions.outcome import Incomplete
from tests.blocks.iiagent.test_unzip import packed
from tests.fakes.iiagent import iiagent_server
from tests.fakes.iiagent.agent import Run
from tests.fakes.iiagent.hostile import bomb, climbing_zip
from tests.fakes.iiagent.steps import Append, Call, Done, Say, Step, Wait, Write
from tests.flows.sessioning import GOAL, PATIENT, ROWS, runner, write_servers
from tests.processes import free_port
from tests.tasks.sessions.scenarios import OUTCOMES

Serve = Callable[..., None]

LOOK = Call("shell_exec", {"command": "ls"}, "")


@pytest.fixture
def serve(prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Makes the settings, those of child processes too, name servers by their addresses."""
    monkeypatch.setenv("AGENT_SERVERS_FILE", str(tmp_path / "servers.yaml"))

    def write(*urls: str, **fields: Any) -> None:
        names = ("fake", "other")
        write_servers(tmp_path / "servers.yaml", dict(zip(names, urls, strict=False)), **fields)

    return write


async def page(key: str) -> str:
    """The latest artifact of a key."""
    async with get_client() as client:
        found = await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    return str(max(found, key=lambda one: str(one.updated)).data)


async def test_a_task_ends_with_its_files_and_a_page_that_never_shows_them(serve: Serve, tmp_path: Path) -> None:
    given = tmp_path / "given.csv"
    given.write_text("a,b\n1,2\n")
    async with iiagent_server("happy") as fake:
        serve(fake.url)
        result = await agent_task(GOAL, [str(given)], ROWS, into=str(tmp_path / "files"))
        told = await page(f"agent-task-{result.task_id}")
        turns = await page(f"agent-task-{result.task_id}-turns")
        assert [run.files for run in fake.runs] == [["./uploaded_files/given.csv"]]
    assert result.done
    assert result.ui_url == f"{fake.url}/ui/?id={result.session_id}"
    assert result.files is not None
    [output] = [file for file in result.files.files if file.name == "output.csv"]
    assert output.sha256 in told
    assert result.ui_url in told
    assert "message_user" in told
    assert "một" not in told + turns
    assert "goal" in turns


async def test_a_task_that_is_not_done_fails_its_run_only_on_demand(serve: Serve) -> None:
    async with iiagent_server("never_done") as fake:
        serve(fake.url)
        result = await agent_task(GOAL, checks=ROWS)
        assert (result.outcome.kind, result.stopped_by) == ("incomplete", "no_progress")
        assert "output.csv" in result.outcome.missing
        kept = RowsReport.model_validate_json(open_store().read_bytes(f"agent-tasks/{result.task_id}/report.json"))
        assert (kept.rows, kept.failed, kept.outcome) == (1, 1, "incomplete, given up: no progress")
        assert result.session_id in kept.names
        with pytest.raises(Incomplete):
            await agent_task(GOAL, checks=ROWS, must_be_done=True)
        assert len(fake.runs) == 3


async def test_a_server_that_is_away_ends_it_and_the_same_call_goes_on(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perform.reach_step, "retry_delay_seconds", [0, 0])
    port = free_port()
    serve(f"http://127.0.0.1:{port}")
    with pytest.raises(EngineUnavailable):
        await agent_task(GOAL, checks=ROWS)
    async with iiagent_server("happy", port=port):
        assert (await agent_task(GOAL, checks=ROWS)).done


async def test_which_of_several_servers_is_asked(serve: Serve) -> None:
    serve("http://127.0.0.1:1", "http://127.0.0.1:2")
    with pytest.raises(BadInput, match="several"):
        await agent_task(GOAL)
    with pytest.raises(NotFound):
        await agent_task(GOAL, server="nowhere")


async def test_files_of_a_conversation_are_brought_without_a_model(serve: Serve, tmp_path: Path) -> None:
    async with iiagent_server("happy") as fake, iiagent_server("happy") as other:
        serve(fake.url, other.url)
        done = await agent_task(GOAL, server="other")
        found = await download_workspace(done.session_id, into=str(tmp_path / "brought"))
        again = await download_workspace(done.session_id, ["output.csv", "absent.csv"], into=str(tmp_path / "brought"))
        assert len(other.runs) == 1
        assert not fake.runs
        told = await page(f"session-files-{done.session_id}")
    assert found.server == "other"
    assert [file.name for file in found.files.files] == ["output.csv"]
    assert (tmp_path / "brought" / "files" / "output.csv").is_file()
    assert (tmp_path / "brought" / "manifest.json").is_file()
    assert [one.name for one in again.files.refused] == ["absent.csv"]
    assert found.files.files[0].sha256 in told


def packing(run: Run) -> list[Step]:
    """It packs a good archive, one with a link, one whose names lead out, and a bomb."""
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    return [
        Write("made/good.zip", packed(("out/báo cáo.md", b"x"))),
        Write("link.zip", packed((link, b"/etc/passwd"), ("beside.txt", b"y"))),
        Write("climbing.zip", climbing_zip()),
        Write("bomb.zip", bomb()),
        Write("plain.txt", "z"),
        Write("files.json", '["made/good.zip", "link.zip", "climbing.zip", "bomb.zip"]'),
        Done(),
    ]


@pytest.mark.parametrize("into", ["brought", None])
async def test_archives_of_a_conversation_are_unpacked_on_demand(
    serve: Serve, tmp_path: Path, into: str | None
) -> None:
    async with iiagent_server(packing) as fake:
        serve(fake.url)
        done = await agent_task("Pack them.", server="fake")
        assert done.files is not None
        assert not done.files.unpacked
        place = None if into is None else str(tmp_path / into)
        assert not (await download_workspace(done.session_id, manifest="files.json", into=place)).files.unpacked
        found = await download_workspace(done.session_id, manifest="files.json", into=place, unpack=True)
        tight = {"unpack": {"file_bytes": 1, "total_bytes": 2}}
        again = await download_workspace(
            done.session_id, manifest="files.json", into=place, unpack=True, download=tight
        )
        told = await page(f"session-files-{done.session_id}")
    archives = {one.archive: one for one in found.files.unpacked}
    assert {name: one.files for name, one in archives.items()} == {
        "bomb.zip": (),
        "climbing.zip": ("good.txt",),
        "link.zip": ("beside.txt",),
        "made/good.zip": ("out/báo cáo.md",),
    }
    bombed = archives["bomb.zip"].failed
    assert bombed is not None
    assert bombed.reason == "large"
    assert len(found.files.files) == 6  # the rest of the download
    root = tmp_path / into if into else tmp_path / "store" / "sessions" / done.session_id
    unpacked = {str(one.relative_to(root)) for one in (root / "unpacked").rglob("*") if one.is_file()}
    if into:  # the store keeps what it was given before
        assert unpacked == {"unpacked/made/good/out/báo cáo.md"}
    assert "unpacked/made/good/out/báo cáo.md" in unpacked
    assert (root / "unpacked.json").is_file()
    assert not list(tmp_path.rglob("climbed.txt")) and not list(tmp_path.rglob("rooted.txt"))
    assert not list(tmp_path.rglob("bomb.bin"))
    assert [one.archive for one in again.files.unpacked if one.failed] == ["bomb.zip", "climbing.zip", "link.zip"]
    assert "climbing.zip" in told


async def test_a_tasks_archives_are_unpacked_on_demand(serve: Serve, tmp_path: Path) -> None:
    async with iiagent_server(packing) as fake:
        serve(fake.url)
        done = await agent_task("Pack them.", into=str(tmp_path / "files"), unpack=True, manifest="files.json")
    assert done.files is not None
    assert len(done.files.unpacked) == 4
    assert (tmp_path / "files" / "unpacked" / "link" / "beside.txt").read_text() == "y"


async def test_a_conversation_that_no_server_has_is_told(serve: Serve) -> None:
    async with iiagent_server("happy") as fake:
        serve(fake.url)
        with pytest.raises(NotFound):
            await download_workspace("01234567-89ab-cdef-0123-456789abcdef")


async def test_files_of_one_conversation_go_to_another(serve: Serve, tmp_path: Path) -> None:
    def made(run: Run) -> list[Step]:
        return [Write("a/x.csv", "1\n"), Write("b/x.csv", "2\n"), Write("y.csv", "3\n"), Done()]

    async with iiagent_server(made) as fake, iiagent_server("read_uploads") as other:
        serve(fake.url, other.url)
        source = await agent_task("Make three files.", server="fake")
        result = await combined(source.session_id, GOAL, checks=ROWS, server="other", into=str(tmp_path / "files"))
        assert sorted(name for _, name, _ in other.uploads) == ["a_x.csv", "b_x.csv", "y.csv"]
        assert len(fake.runs) == 1
    assert result.done
    assert result.server == "other"


async def paused_run() -> FlowRun:
    """The flow run that waits for people, once it does."""
    async with asyncio.timeout(60), get_client() as client:
        while True:
            runs = await client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)
            if runs and (paused_by(runs[0]) or "").startswith("question-"):
                return runs[0]
            await asyncio.sleep(0.05)


async def test_people_answer_a_question_in_the_prefect_ui(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_questions, "POLL_S", 0.05)
    async with iiagent_server("needs_input_then_done") as fake:
        serve(fake.url)
        doing = asyncio.create_task(agent_task(GOAL, checks=ROWS, on_question="pause"))
        async with get_client() as client:
            await client.resume_flow_run((await paused_run()).id, run_input={"answer": " "})  # counts for nothing
            await client.resume_flow_run((await paused_run()).id, run_input={"answer": "In English."})
        assert (await doing).done
        assert "In English." in fake.runs[1].text
        assert len(fake.runs) == 2


async def test_a_question_that_nobody_answers_ends_the_task(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_questions, "POLL_S", 0.05)
    async with iiagent_server("needs_input_then_done") as fake:
        serve(fake.url)
        result = await agent_task(GOAL, checks=ROWS, on_question="pause", answer_within_s=0.3)
        assert result.outcome.kind == "needs_input"
        assert len(fake.runs) == 1


def killed_twice(run: Run) -> list[Step]:
    """Its process is killed in the first turn and in the one that goes on with it.

    The server hears of that somewhere in the many turns after.
    """
    return [
        [LOOK, Wait("first"), *[LOOK] * 150],
        [Write("output.csv", "id,text\n1,một\n"), Say("One row."), Done()],
        [LOOK, Wait("second"), *[LOOK] * 150],
        [Append("output.csv", "2,hai\n3,ba\n"), Say("All rows."), Done()],
    ][run.number]


async def test_killed_in_any_turn_the_same_call_completes_once(serve: Serve, tmp_path: Path) -> None:
    async with iiagent_server(killed_twice) as fake, runner() as run:
        serve(fake.url, limits=PATIENT)
        asked = {"prompt": GOAL, "checks": ROWS, "into": str(tmp_path / "files")}
        for gate in ("first", "second"):
            pid = await run.start("agent_task", **asked)
            await fake.reached(gate)
            await run.kill(pid)
            fake.open(gate)
        result = await run.run("agent_task", **asked)
        assert result["outcome"]["kind"] == "done"
        assert result["answer"] == "All rows."
        assert result["counters"]["turns"] == 2
        assert [one.outcome for one in fake.runs] == ["interrupted", "done", "interrupted", "done"]
        assert len({one.session.id for one in fake.runs}) == 1
        assert fake.peak_agents == 1
        # And once more: it is told, and nothing is asked.
        assert (await run.run("agent_task", **asked))["outcome"]["kind"] == "done"
        assert len(fake.runs) == 4


@pytest.mark.soak
@pytest.mark.parametrize("scenario", OUTCOMES)
async def test_every_scenario_ends_in_its_outcome(scenario: str, serve: Serve, tmp_path: Path) -> None:
    comes, given = OUTCOMES[scenario], tmp_path / "given.csv"
    given.write_text("a,b\n1,2\n")
    async with iiagent_server(scenario) as fake:
        serve(fake.url, sandbox="docker" if scenario == "docker_mode" else "local")
        result = await agent_task(GOAL, [str(given)], comes.checks, answer="In English.", into=str(tmp_path / "files"))
        assert (result.outcome.kind, result.stopped_by) == (comes.outcome, comes.stopped_by), result
        told = result.counters.model_dump()
        assert {name: told[name] for name in comes.counters} == comes.counters
        assert fake.peak_agents == 1
    settings.cache_clear()
