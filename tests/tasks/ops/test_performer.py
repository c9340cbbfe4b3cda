"""Deeds go through rules, people, ledger and audit."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from blocks.approvals import ApprovalDecision, ApprovalRequest
from blocks.errors import EngineFailed, EngineUnavailable, Stopped
from blocks.hosts.local import LocalHost
from blocks.settings import settings
from blocks.switches import FOLDER, Switch, open_switches
from tasks.ops.deed import Deed
from tasks.ops.on_host import result_of, run_on_host
from tests.tasks.ops.conftest import MakePerformer


class Counted:
    """Something done, counted."""

    def __init__(self) -> None:
        self.times = 0

    async def __call__(self) -> Any:
        self.times += 1
        return {"times": self.times}


def deed(**facts: Any) -> Deed:
    return Deed(
        **{"name": "one", "tool": "restart_service", "arguments": {"unit": "web"}, "says": "restart web"} | facts
    )


async def test_what_a_plan_names_is_done_and_written_down(make_performer: MakePerformer) -> None:
    performer, work = make_performer(), Counted()
    outcome = await performer.do(deed(), work)
    assert (outcome.status, outcome.result) == ("done", {"times": 1})
    phases = [record.entry.phase for record in performer.audit.read("run-1")]
    assert phases == ["decided", "started", "done"]


async def test_another_attempt_of_the_run_does_nothing_twice(make_performer: MakePerformer) -> None:
    work = Counted()
    await make_performer().do(deed(), work)
    again = await make_performer().do(deed(), work)
    assert (work.times, again.result) == (1, {"times": 1})
    assert (await make_performer(run_id="run-2").do(deed(), work)).result == {"times": 2}


async def test_other_arguments_are_another_deed(make_performer: MakePerformer) -> None:
    work = Counted()
    await make_performer().do(deed(), work)
    await make_performer().do(deed(arguments={"unit": "db"}), work)
    assert work.times == 2


async def test_an_error_is_an_outcome_that_stays(make_performer: MakePerformer) -> None:
    async def breaks() -> Any:
        raise EngineFailed("no such unit", fix="name one that exists")

    first = await make_performer().do(deed(), breaks)
    again = await make_performer().do(deed(), Counted())
    assert first.status == again.status == "failed"
    assert again.error is not None and again.error.message == "no such unit"
    with pytest.raises(EngineFailed, match="no such unit"):
        again.checked()


async def test_an_effect_that_was_cut_off_is_in_doubt_and_not_done_again(make_performer: MakePerformer) -> None:
    async def dies() -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await make_performer().do(deed(), dies)
    work = Counted()
    assert (await make_performer().do(deed(), work)).status == "in_doubt"
    assert (await make_performer().do(deed(repeatable=True), work)).status == "done"
    assert work.times == 1


async def test_dry_run_changes_nothing_and_says_who_would_be_asked(make_performer: MakePerformer) -> None:
    performer, work = make_performer(dry_run=True, attended=False), Counted()
    assert (await performer.do(deed(), work)).status == "planned"
    asked = await performer.do(deed(name="two", risk="high"), work)
    assert asked.status == "planned" and "would ask" in asked.why
    assert (await performer.do(deed(name="three", read_only=True), work)).status == "done"
    assert work.times == 1


@pytest.mark.parametrize(
    ("facts", "persons"),
    [({"risk": "high"}, 1), ({"risk": "critical"}, 2), ({"consent": "one"}, 1), ({"consent": "two"}, 2)],
)
async def test_a_person_is_asked_for_what_is_risky_or_marked(
    make_performer: MakePerformer, facts: dict[str, Any], persons: int
) -> None:
    asked: list[ApprovalRequest] = []

    async def agree(request: ApprovalRequest) -> ApprovalDecision:
        asked.append(request)
        return ApprovalDecision(approved=True, arguments=request.arguments, by=("bob",), at=datetime.now(UTC))

    work = Counted()
    outcome = await make_performer(ask=agree).do(deed(**facts), work)
    assert (outcome.status, outcome.approvers, asked[0].persons) == ("done", ("bob",), persons)
    refused = await make_performer(run_id="run-2").do(deed(**facts), work)
    assert (refused.status, refused.why, work.times) == ("refused", "nobody agreed", 1)
    unattended = await make_performer(run_id="run-3", attended=False).do(deed(**facts), work)
    assert (unattended.status, work.times) == ("refused", 1)


async def test_what_cannot_be_taken_back_needs_a_person_in_production(make_performer: MakePerformer) -> None:
    work = Counted()
    assert (await make_performer(profile="production").do(deed(), work)).status == "refused"
    assert (await make_performer(profile="production").do(deed(reversible=True, name="two"), work)).status == "done"


async def test_a_stop_switch_stops_before_the_next_deed(make_performer: MakePerformer) -> None:
    switches = open_switches("", settings().agents_home / FOLDER)
    performer, work = make_performer(), Counted()
    await performer.do(deed(), work)
    switches.set(Switch(scope="agent", name="test-flow", by="ann"))
    with pytest.raises(Stopped):
        await performer.do(deed(name="two"), work)
    switches.clear("agent", "test-flow")
    assert (await performer.do(deed(name="two"), work)).status == "done"


async def test_commands_on_hosts_are_deeds(make_performer: MakePerformer) -> None:
    performer, host = make_performer(), LocalHost()
    done = await run_on_host(performer, host, ["echo", "$(id); x"], name="say", read_only=True)
    assert result_of(done).stdout == "$(id); x\n"
    for number, argv in enumerate((["rm", "-rf", "/"], ["rm", "-rf", "/etc"], ["dd", "if=/dev/zero", "of=/dev/sda"])):
        assert (await run_on_host(performer, host, argv, name=f"bad-{number}")).status == "refused"
    assert (await run_on_host(performer, host, ["reboot"], name="reboot")).status == "refused"


async def test_secrets_do_not_come_back(make_performer: MakePerformer) -> None:
    outcome = await run_on_host(
        make_performer(), LocalHost(), ["echo", "password=hunter2-Xy8vB3nQ6mWz"], name="say", read_only=True
    )
    assert "hunter2" not in str(outcome.result)


async def test_a_dry_run_asks_nobody_also_where_it_would_only_look(make_performer: MakePerformer) -> None:
    asked: list[ApprovalRequest] = []

    async def agree(request: ApprovalRequest) -> ApprovalDecision:
        asked.append(request)
        return ApprovalDecision(approved=True, arguments=request.arguments, by=("bob",), at=datetime.now(UTC))

    work = Counted()
    looking = await make_performer(ask=agree, dry_run=True).do(deed(read_only=True, consent="one"), work)
    assert (looking.status, work.times, asked) == ("planned", 0, []) and "would ask" in looking.why


async def test_a_stop_while_a_person_is_asked_leaves_no_doubt(make_performer: MakePerformer) -> None:
    switches = open_switches("", settings().agents_home / FOLDER)

    async def agree(request: ApprovalRequest) -> ApprovalDecision:
        switches.set(Switch(scope="agent", name="test-flow", by="ann"))
        return ApprovalDecision(approved=True, arguments=request.arguments, by=("bob",), at=datetime.now(UTC))

    work = Counted()
    with pytest.raises(Stopped):
        await make_performer(ask=agree).do(deed(consent="one"), work)
    switches.clear("agent", "test-flow")

    async def agree_again(request: ApprovalRequest) -> ApprovalDecision:
        return ApprovalDecision(approved=True, arguments=request.arguments, by=("bob",), at=datetime.now(UTC))

    again = await make_performer(ask=agree_again).do(deed(consent="one"), work)
    assert (again.status, work.times) == ("done", 1)


class Cut:
    """A host whose connection breaks in the middle of a command."""

    name = "web-1"

    async def run(self, *_: Any, **__: Any) -> Any:
        raise EngineUnavailable("the connection broke", fix="look on the host")


async def test_of_a_command_whose_connection_broke_nobody_says_how_it_ended(make_performer: MakePerformer) -> None:
    there: Any = Cut()
    lost = await run_on_host(make_performer(), there, ["touch", "x"], name="one")
    assert (lost.status, lost.why) == ("in_doubt", "the connection broke")
    again = await run_on_host(make_performer(), LocalHost("web-1"), ["touch", "x"], name="one")
    assert again.status == "in_doubt"
    looked = await run_on_host(make_performer(), there, ["ls"], name="look", read_only=True)
    assert looked.status == "failed"
    phases = [(record.entry.phase, record.entry.outcome) for record in make_performer().audit.read("run-1")]
    assert ("failed", "the connection broke") in phases


async def test_what_a_command_reads_and_where_it_runs_are_part_of_the_deed(
    make_performer: MakePerformer, tmp_path: Path
) -> None:
    performer, host = make_performer(), LocalHost()

    async def said(**facts: Any) -> str:
        argv = ["sh", "-c", 'echo "$(cat) $MORE $PWD"']
        return result_of(await run_on_host(performer, host, argv, name="say", **facts)).stdout

    assert await said(stdin=b"one", cwd="/tmp") == "one  /tmp\n"
    assert await said(stdin=b"two", cwd="/tmp") == "two  /tmp\n"
    assert await said(stdin=b"two", cwd="/tmp", env={"MORE": "3"}) == "two 3 /tmp\n"
    assert await said(stdin=b"two", cwd=str(tmp_path)) == f"two  {tmp_path}\n"


async def test_what_is_left_out_of_an_answer_is_said(make_performer: MakePerformer) -> None:
    argv = ["seq", "1", "5000"]
    short = result_of(await run_on_host(make_performer(), LocalHost(), argv, name="short"))
    assert short.truncated and short.stdout.endswith("5000\n") and len(short.stdout) == 4000
    whole = result_of(await run_on_host(make_performer(), LocalHost(), argv, name="whole", shown_chars=100_000))
    assert not whole.truncated and whole.stdout.startswith("1\n2\n")
