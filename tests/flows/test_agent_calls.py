"""Calls of tools that go another way than planned: odd models, broken tools, conditions of people and dry runs."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from blocks.effects import EffectLedger
from blocks.errors import Unsupported
from blocks.settings import settings
from blocks.store import open_store
from deployments.simulator.dialects import openai
from tasks.agents import registry, working
from tasks.agents.runs import RUNS
from tests.fakes.llm.agent_model import agent_model, results_in
from tests.flows.test_agent import RISKY, accounts, act, answered, audit, workspace
from tests.flows.test_agent_changed import rules

__all__ = ["accounts", "workspace"]

pytestmark = pytest.mark.usefixtures("prefect_api")

SECRET = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
READ = [("read_file", {"path": "notes.txt"})]
WRITE = [("write_file", {"path": "a.txt", "content": "a"})]

ASK_FOR_READING = """
rules:
  - {id: asked, verdict: ask, tools: [read_file], reason: it is private}
"""
TWO_FOR_CRITICAL = """
rules:
  - id: both
    verdict: ask
    tools: [run_command]
    persons: 2
    reason: it is critical
    commands: [{programs: [touch], words: ["critical*"]}]
"""


async def test_a_dry_run_asks_before_it_reads_what_needs_a_person(
    accounts: Path, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules(tmp_path, monkeypatch, ASK_FOR_READING)
    with agent_model(accounts, READ, "Done.") as model:
        result = await act(workspace, dry_run=True, attended=True, approval_s=1)
        [told] = results_in(model.script.asked[-1])
    assert "71 degrees" not in told
    assert len(result.refused) == 1


async def test_a_dry_run_asks_nobody_about_what_it_does_not_do(accounts: Path, workspace: Path) -> None:
    with agent_model(accounts, RISKY, "Planned.") as model:
        await act(workspace, dry_run=True, attended=True)
        [told] = results_in(model.script.asked[-1])
    assert "dry_run" in told
    assert not (workspace / "made.txt").exists()


async def test_one_person_cannot_change_a_call_into_one_that_needs_two(
    accounts: Path, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules(tmp_path, monkeypatch, TWO_FOR_CRITICAL)
    changed = {"argv": ["touch", "critical.txt"]}
    with agent_model(accounts, RISKY, "Then not."):
        result, _ = await asyncio.gather(act(workspace, attended=True), answered("approve", arguments=changed))
    assert not (workspace / "critical.txt").exists()
    assert "2 persons" in result.refused[0]
    decided = [one for one in audit(result.run_id) if one.phase == "decided"]
    assert [(one.arguments, one.rule) for one in decided] == [(RISKY[0][1], "default"), (changed, "both")]


@pytest.mark.parametrize("name", ["call_0", ""])
async def test_a_server_that_gives_every_call_the_same_id_has_each_made(
    accounts: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    made = openai._calls
    monkeypatch.setattr(openai, "_calls", lambda *given: [one | {"id": name} for one in made(*given)])
    other = [("write_file", {"path": "b.txt", "content": "b"})]
    with agent_model(accounts, WRITE, other, READ, "Done.") as model:
        result = await act(workspace)
        told = results_in(model.script.asked[-1])
    assert [path.name for path in sorted(workspace.glob("?.txt"))] == ["a.txt", "b.txt"]
    assert "71 degrees" in told[2]
    assert result.usage.actions == 3


@pytest.mark.parametrize("arguments", ["[1]", '{"path": "a.txt", "content": NaN}', '{"path": "notes', '"notes.txt"'])
async def test_arguments_that_are_no_object_are_told_to_the_model(
    accounts: Path, workspace: Path, arguments: str
) -> None:
    wrong = {"tool_calls": [{"name": "write_file", "arguments": arguments}], "text": ""}
    with agent_model(accounts, lambda _: wrong, WRITE, "Done."):
        result = await act(workspace)
    assert result.status == "done"
    assert (workspace / "a.txt").exists()


@pytest.mark.parametrize("turn", [READ, WRITE], ids=["reading", "writing"])
async def test_a_tool_that_breaks_ends_no_run_and_tells_no_secret(
    accounts: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch, turn: Any
) -> None:
    async def broken(_arguments: Any, _call: Any) -> Any:
        raise KeyError(SECRET)

    [(name, _)] = turn
    built_in = registry.built_in

    def with_broken(*given: Any) -> Any:
        tools = built_in(*given)
        return tools | {name: replace(tools[name], call=broken)}

    monkeypatch.setattr(registry, "built_in", with_broken)
    with agent_model(accounts, turn, "It broke.") as model:
        result = await act(workspace)
        [told] = results_in(model.script.asked[-1])
    assert result.status == "done"
    assert "KeyError" in told
    assert SECRET not in told
    in_doubt = EffectLedger(settings().agents_home / "effects").begun()
    assert len(in_doubt) == (turn is WRITE)  # whether it happened is for a person to say


async def test_what_nothing_on_the_machine_can_do_is_in_the_result(
    accounts: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(*_: Any, **__: Any) -> Any:
        raise Unsupported("no user namespaces", fix="allow them")

    monkeypatch.setattr(working, "open_sandbox", without)
    with agent_model(accounts, [("search_files", {"pattern": "pump"})], "I could not."):
        result = await act(workspace)
    assert result.refused == ("search_files: no user namespaces",)


async def test_an_answer_that_was_cut_is_not_passed_off_as_whole(
    accounts: Path, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "talker.yaml").write_text("{description: Talks., role: You talk., limits: {output_tokens: 20}}\n")
    monkeypatch.setenv("AGENTS_DIR", str(tmp_path))
    settings.cache_clear()
    with agent_model(accounts, "All is well, except for these: " + "pump, " * 100):
        result = await act(workspace, agent="talker")
    assert result.status == "limited"
    assert result.trouble is not None
    assert "was cut" in result.trouble.message
    assert result.output.startswith("All is well")


async def test_a_secret_that_a_user_told_stays_out_of_what_is_kept_of_the_conversation(
    accounts: Path, workspace: Path
) -> None:
    turns = ([("read_file", {"path": f"{SECRET}.txt"})], f"I tried {SECRET}.")
    with agent_model(accounts, *turns):
        result = await act(workspace, f"Use {SECRET}.", session="talk")
    files = open_store()
    kept = [f"{RUNS}/{result.run_id}/{name}.json" for name in ("messages", "result")]
    for key in (*kept, "agents/sessions/talk.json"):
        assert SECRET.encode() not in files.read_bytes(key)


async def test_what_a_dry_run_would_change_is_in_its_result(accounts: Path, workspace: Path) -> None:
    edit = ("edit_file", {"path": "notes.txt", "old": "71", "new": "72"})
    with agent_model(accounts, [*WRITE, edit], RISKY, "Planned."):
        result = await act(workspace, dry_run=True, attended=True)
    written, edited, run = result.would_change
    assert written.startswith("write_file: ") and "+a" in written
    assert "-The pump is at 71 degrees." in edited
    assert run == "run_command: touch made.txt"
    assert "untrusted" in result.labels  # a preview quotes what lies in the file


async def test_a_dry_run_of_what_could_not_be_done_is_told_to_the_model(accounts: Path, workspace: Path) -> None:
    gone = [("edit_file", {"path": "gone.txt", "old": "a", "new": "b"})]
    with agent_model(accounts, gone, "It is gone.") as model:
        result = await act(workspace, dry_run=True)
        [told] = results_in(model.script.asked[-1])
    assert result.status == "done"
    assert "there is no 'gone.txt'" in told
    assert result.would_change == ()


async def test_a_model_that_calls_an_unknown_tool_is_told_of_none_that_is_hidden(
    accounts: Path, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules(tmp_path, monkeypatch, "rules:\n  - {id: never, verdict: forbid, tools: [http_request], reason: r}\n")
    with agent_model(accounts, [("fly", {})], "Then not.") as model:
        await act(workspace)
        [told] = results_in(model.script.asked[-1])
        offered = {tool["function"]["name"] for tool in model.script.asked[-1].body["tools"]}
    assert "There is no tool 'fly'" in told
    assert "read_file" in told
    assert "http_request" not in offered
    assert "http_request" not in told


async def test_why_a_run_was_limited_is_said_to_the_user_and_not_to_the_model(accounts: Path, workspace: Path) -> None:
    with agent_model(accounts, READ):
        result = await act(workspace)
    assert result.trouble is not None
    assert result.trouble.message.startswith("the agent went round in circles: it called read_file ")
    assert not any("You" in one for one in (result.trouble.message, *result.refused))
