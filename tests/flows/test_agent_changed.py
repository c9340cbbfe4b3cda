"""A run that goes on after something has changed in between: the rules, the conversation, the audit's disk."""

from pathlib import Path
from typing import Any

import pytest

from blocks.audit import AuditLog, Entry
from blocks.errors import Conflict, NotAllowed, Stopped, StoreFailed
from blocks.settings import settings
from blocks.store import open_store
from blocks.switches import Switch, open_switches
from tasks.agents.capabilities import switches_folder
from tasks.agents.kept import Kept
from tasks.agents.permission import Permitted
from tasks.agents.runs import RunStore
from tests.fakes.llm.agent_model import agent_model, calls, results_in
from tests.flows.test_agent import accounts, act, audit, workspace

__all__ = ["accounts", "workspace"]

pytestmark = pytest.mark.usefixtures("prefect_api")

RUN, OTHER = "00000000000000b1", "00000000000000b2"

FROZEN = """
rules:
  - {id: frozen, verdict: forbid, tools: [git_commit], reason: nothing is committed today}
"""
NO_WRITING = """
rules:
  - {id: frozen, verdict: forbid, tools: [write_file], reason: nothing is written today}
"""


def stop() -> None:
    open_switches("", switches_folder(settings())).set(Switch(scope="agent", name="operator", by="ann", reason="r"))


def clear() -> None:
    open_switches("", switches_folder(settings())).clear("agent", "operator")


def rules(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Put other rules in force."""
    (folder / "policy.yaml").write_text(text)
    monkeypatch.setenv("POLICY_FILE", str(folder / "policy.yaml"))
    settings.cache_clear()


def writing(name: str) -> list[tuple[str, dict[str, Any]]]:
    return [("write_file", {"path": name, "content": name})]


class StopsOnce:
    """The model's second turn: the first time, somebody stops the agent while it answers."""

    def __init__(self, *wanted: tuple[str, dict[str, Any]]) -> None:
        self._wanted, self._has_stopped = wanted, False

    def __call__(self, _: Any) -> Any:
        if not self._has_stopped:
            self._has_stopped = True
            stop()
        return calls(*self._wanted)


async def test_other_rules_and_tools_do_not_have_a_run_do_everything_again(
    accounts: Path, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with agent_model(accounts, writing("a.txt"), StopsOnce(*writing("b.txt")), "Done.") as model:
        with pytest.raises(Stopped):
            await act(workspace, run_id=RUN)
        clear()
        rules(tmp_path, monkeypatch, FROZEN)  # a tool of the agent is hidden from the model from now on
        asked_before = len(model.script.asked)
        result = await act(workspace, run_id=RUN)
        asked, offered = model.script.asked[asked_before:], model.script.asked[-1].tools
    assert result.status == "done"
    assert len(asked) <= 2  # what was answered before the stop is not asked again
    assert [one.phase for one in audit(RUN)].count("started") == 2  # each file once
    assert "git_commit" not in str(offered)


async def test_what_was_refused_stays_refused_when_the_rules_would_allow_it_now(
    accounts: Path, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules(tmp_path, monkeypatch, NO_WRITING)
    reading = ("read_file", {"path": "notes.txt"})
    with agent_model(accounts, writing("a.txt"), StopsOnce(reading), "Done."):
        with pytest.raises(Stopped):
            await act(workspace, run_id=RUN)
        clear()
        rules(tmp_path, monkeypatch, "rules: []\n")
        result = await act(workspace, run_id=RUN)
    assert not (workspace / "a.txt").exists()  # the model was told so, and has gone on
    assert [one.partition(":")[0] for one in result.refused] == ["write_file"]


async def test_what_was_allowed_and_not_made_yet_is_decided_by_the_rules_of_now(
    accounts: Path, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = Kept.put

    def keep_and_stop(self: Kept, name: str, record: Any, *, sync: bool = True) -> None:
        keep(self, name, record, sync=sync)
        if isinstance(record, Permitted):
            stop()

    monkeypatch.setattr(Kept, "put", keep_and_stop)
    with agent_model(accounts, writing("a.txt"), "Done."):
        with pytest.raises(Stopped):
            await act(workspace, run_id=RUN)
        monkeypatch.setattr(Kept, "put", keep)
        clear()
        rules(tmp_path, monkeypatch, NO_WRITING)
        result = await act(workspace, run_id=RUN)
    assert not (workspace / "a.txt").exists()
    assert len(result.refused) == 1
    decided = [one for one in audit(RUN) if one.phase == "decided"]
    assert [one.decision for one in decided] == ["allow", "forbid"]
    assert len({one.policy_version for one in decided}) == 2


async def test_a_stopped_run_does_not_take_back_what_others_added_to_its_conversation(
    accounts: Path, workspace: Path
) -> None:
    begins = StopsOnce(("read_file", {"path": "notes.txt"}))
    with agent_model(accounts, lambda asked: "Done." if "second" in asked.prompt else begins(asked), "Done."):
        with pytest.raises(Stopped):
            await act(workspace, "The first.", session="talk", run_id=RUN)
        clear()
        await act(workspace, "The second.", session="talk", run_id=OTHER)
        await act(workspace, "The first.", session="talk", run_id=RUN)
    conversation = RunStore(open_store()).conversation("talk")
    assert conversation.runs == (OTHER, RUN)
    said = [part["content"] for message in conversation.messages for part in message["parts"] if "content" in part]
    assert [text for text in said if text in ("The first.", "The second.")] == ["The second.", "The first."]


async def test_a_run_whose_session_is_taken_is_not_begun(accounts: Path, workspace: Path) -> None:
    store = RunStore(open_store())
    with agent_model(accounts, "Done."):
        with store.in_session("talk"), pytest.raises(Conflict, match="talk"):
            await act(workspace, session="talk", run_id=RUN)
        assert store.begun(RUN) is None  # else it would go on from a conversation of then


async def test_nobody_goes_on_in_the_session_of_somebody_else(accounts: Path, workspace: Path) -> None:
    with agent_model(accounts, "The plan is secret.") as model:
        await act(workspace, session="talk", user="ann")
        with pytest.raises(NotAllowed, match="talk"):
            await act(workspace, session="talk", user="eve", run_id=RUN)
        assert len(model.script.asked) == 1
    assert RunStore(open_store()).begun(RUN) is None


@pytest.mark.parametrize("phase", ["decided", "started", "done", "run_ended"])
async def test_a_record_that_cannot_be_written_ends_the_run_and_is_made_by_the_next_attempt(
    accounts: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    append, failed = AuditLog.append, list[Entry]()

    def fail_once(self: AuditLog, entry: Entry) -> Any:
        if entry.phase == phase and not failed:
            failed.append(entry)
            raise StoreFailed("the disk is full", fix="free space")
        return append(self, entry)

    monkeypatch.setattr(AuditLog, "append", fail_once)
    with agent_model(accounts, writing("a.txt"), [("read_file", {"path": "a.txt"})], "Done.") as model:
        with pytest.raises(StoreFailed):
            await act(workspace, run_id=RUN)
        assert "STORE_FAILED" not in "".join(text for one in model.script.asked for text in results_in(one))
        result = await act(workspace, run_id=RUN)
    assert result.status == "done"
    written = {(one.phase, one.tool) for one in audit(RUN)}
    assert written >= {("decided", "write_file"), ("started", "write_file"), ("done", "write_file")}
    assert written >= {("decided", "read_file"), ("done", "read_file"), ("run_ended", None)}
