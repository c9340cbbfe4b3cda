"""Migrations are carried out phase by phase, verified, undone in reverse order, and gone on with."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blocks.approvals import ApprovalDecision, ApprovalRequest
from blocks.errors import Conflict, EngineFailed, NotAllowed, Stopped
from blocks.manifests import Fenced
from blocks.resource_locks import ResourceLocks
from blocks.settings import settings
from blocks.store import open_store
from blocks.switches import FOLDER, Switch, open_switches
from tasks.ops.migration.carry_out import Work, carry_out, go_on, rehearse
from tasks.ops.migration.checks import watched
from tasks.ops.migration.kept import open_migrations
from tasks.ops.migration.kinds import AgentWork
from tasks.ops.migration.locks import keeping
from tasks.ops.migration.places import Places
from tasks.ops.migration.plan import MigrationPlan
from tasks.ops.migration.states import MigrationState, first_state
from tasks.ops.performer import Performer
from tests.fakes.sshd import running_sshd
from tests.processes import eventually
from tests.tasks.ops.conftest import MakePerformer
from tests.tasks.ops.migration.plans import phase, plan

FAILS: dict[str, Any] = {"name": "fails", "kind": "command", "argv": ["false"]}
OWNER = "move-0"


async def no_agent(work: AgentWork, run_id: str) -> str:
    raise AssertionError("no plan here has an agent")


async def carried(
    performer: Performer, made: MigrationPlan, *, roll_back: bool = False, run_agent: Any = no_agent
) -> MigrationState:
    """Carry a migration out, or go on with it, as the flow does."""
    with open_migrations().held("move", first_state("move", "0", made)) as held:
        async with keeping(ResourceLocks(open_store()), OWNER, made) as keeper:
            places = Places(plan=made, run_agent=run_agent)
            work = Work(held=held, performer=performer, keeper=keeper, places=places)
            await go_on(work, made, roll_back=roll_back)
            return await carry_out(work)


def done(folder: Path) -> list[str]:
    path = folder / "done.txt"
    return path.read_text().split() if path.exists() else []


def states(state: MigrationState) -> list[str]:
    return [one.state for one in state.phases]


async def test_phases_are_done_in_order_and_verified(tmp_path: Path, make_performer: MakePerformer) -> None:
    state = await carried(make_performer(), plan(tmp_path, phase("a"), phase("b")))
    assert (state.status, states(state), done(tmp_path)) == ("done", ["done", "done"], ["a", "b"])
    assert state.phases[0].checks[0].passed
    again = await carried(make_performer(), plan(tmp_path, phase("a"), phase("b")))
    assert (again.status, done(tmp_path)) == ("done", ["a", "b"])


async def test_what_fails_is_undone_in_reverse_order(tmp_path: Path, make_performer: MakePerformer) -> None:
    made = plan(tmp_path, phase("a"), phase("b", compensation="nothing"), phase("c", checks=[FAILS]), phase("d"))
    state = await carried(make_performer(), made)
    assert state.status == "rolled_back"
    assert states(state) == ["rolled_back", "rolled_back", "rolled_back", "blocked"]
    assert done(tmp_path) == ["a", "b", "c", "undo-c", "undo-a"]


async def test_what_depends_on_a_phase_waits_for_its_checks_and_not_for_its_word(
    tmp_path: Path, make_performer: MakePerformer
) -> None:
    state = await carried(make_performer(), plan(tmp_path, phase("a", checks=[FAILS], on_failure="pause"), phase("b")))
    assert (state.status, states(state), done(tmp_path)) == ("waiting", ["failed", "blocked"], ["a"])
    mended = plan(tmp_path, phase("a"), phase("b"))
    state = await carried(make_performer(), mended)
    assert (state.status, done(tmp_path)) == ("done", ["a", "a", "b"])


async def test_a_person_can_undo_what_is_done(tmp_path: Path, make_performer: MakePerformer) -> None:
    made = plan(tmp_path, phase("a"), phase("b"))
    await carried(make_performer(), made)
    state = await carried(make_performer(), made, roll_back=True)
    assert (state.status, done(tmp_path)) == ("rolled_back", ["a", "b", "undo-b", "undo-a"])


async def test_there_is_no_way_back_from_a_point_of_no_return(tmp_path: Path, make_performer: MakePerformer) -> None:
    made = plan(tmp_path, phase("a"), phase("b", compensation="impossible"), phase("c", checks=[FAILS]))
    state = await carried(make_performer(), made)
    assert (state.status, states(state)) == ("waiting", ["done", "done", "failed"])
    assert "b cannot be undone" in state.waits
    with pytest.raises(NotAllowed, match="b cannot be undone"):
        await carried(make_performer(), made, roll_back=True)
    assert done(tmp_path) == ["a", "b", "c"]


async def test_a_command_whose_connection_breaks_is_in_doubt_and_not_run_again(
    tmp_path: Path, make_performer: MakePerformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder := tmp_path / "sshd").mkdir()
    with running_sshd(folder) as server:
        inventory = tmp_path / "inventory.yaml"
        inventory.write_text("hosts:\n" + server.entry("web-1"))
        monkeypatch.setenv("INVENTORY_FILE", str(inventory))
        settings.cache_clear()
        breaks = f"echo x >> {tmp_path}/marks; kill -9 $(ps -o ppid= -p $PPID); sleep 60"
        made = plan(tmp_path, phase("a", action={"kind": "command", "host": "web-1", "argv": ["sh", "-c", breaks]}))
        for _ in range(2):
            state = await carried(make_performer(), made)
            assert (state.status, states(state)) == ("waiting", ["running"])
            assert "broke" in state.waits or "not known" in state.waits
    assert (tmp_path / "marks").read_text() == "x\n"


async def test_an_undoing_that_fails_waits_and_goes_on(tmp_path: Path, make_performer: MakePerformer) -> None:
    undo = {"action": {"kind": "command", "argv": ["test", "-e", str(tmp_path / "mended")]}}
    made = plan(tmp_path, phase("a", compensation=undo), phase("b", checks=[FAILS]))
    state = await carried(make_performer(), made)
    assert (state.status, states(state)) == ("waiting", ["rolling_back", "rolled_back"])
    (tmp_path / "mended").touch()
    assert (await carried(make_performer(), made)).status == "rolled_back"


async def test_what_nobody_agreed_to_is_not_done_and_asked_again(tmp_path: Path, make_performer: MakePerformer) -> None:
    asked: list[str] = []

    async def agree(request: ApprovalRequest) -> ApprovalDecision:
        asked.append(request.reason)
        return ApprovalDecision(approved=True, arguments=request.arguments, by=("bob",), at=datetime.now(UTC))

    made = plan(tmp_path, phase("a"), phase("b", consent="one"))
    state = await carried(make_performer(), made)
    assert (state.status, states(state), done(tmp_path)) == ("waiting", ["done", "failed"], ["a"])
    state = await carried(make_performer(ask=agree), made)
    assert (state.status, done(tmp_path), len(asked)) == ("done", ["a", "b"], 1)
    assert state.record("b").approvers == ("bob",)


async def test_what_nobody_agreed_to_leaves_the_way_back_open(tmp_path: Path, make_performer: MakePerformer) -> None:
    made = plan(tmp_path, phase("a"), phase("b", consent="one", compensation="impossible"))
    state = await carried(make_performer(), made)
    assert (state.status, states(state)) == ("waiting", ["done", "failed"])
    assert "cannot be undone" not in state.waits
    state = await carried(make_performer(), made, roll_back=True)
    assert (state.status, done(tmp_path)) == ("rolled_back", ["a", "undo-a"])
    assert state.record("b").said == "nothing of it ran"


async def test_a_question_without_an_answer_leaves_the_way_back_open(
    tmp_path: Path, make_performer: MakePerformer
) -> None:
    asked = asyncio.Event()

    async def thinks(_: ApprovalRequest) -> ApprovalDecision:
        asked.set()
        return await asyncio.Future[ApprovalDecision]()

    made = plan(tmp_path, phase("a"), phase("b", consent="one", compensation="impossible"))
    running = asyncio.ensure_future(carried(make_performer(ask=thinks), made))
    await asyncio.wait_for(asked.wait(), 30)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    state = await carried(make_performer(), made, roll_back=True)
    assert (state.status, done(tmp_path)) == ("rolled_back", ["a", "undo-a"])


async def test_a_point_of_no_return_of_which_a_part_ran_has_no_way_back(
    tmp_path: Path, make_performer: MakePerformer
) -> None:
    half = {"kind": "command", "argv": ["sh", "-c", "echo half >> done.txt; false"]}
    made = plan(tmp_path, phase("a"), phase("b", action=half, compensation="impossible"))
    assert (await carried(make_performer(), made)).status == "waiting"
    with pytest.raises(NotAllowed, match="b cannot be undone"):
        await carried(make_performer(), made, roll_back=True)
    assert done(tmp_path) == ["a", "half"]


async def test_a_command_that_was_cut_off_waits_for_a_person(tmp_path: Path, make_performer: MakePerformer) -> None:
    made = plan(tmp_path, phase("a", action={"kind": "command", "argv": ["sh", "-c", "echo a >> done.txt; sleep 60"]}))
    running = asyncio.ensure_future(carried(make_performer(), made))
    await eventually(lambda: done(tmp_path))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    state = await carried(make_performer(), made)
    assert (state.status, states(state), done(tmp_path)) == ("waiting", ["running"], ["a"])
    assert "c500 effects settle" in state.waits


async def test_commands_get_tokens_that_grow_with_each_run(tmp_path: Path, make_performer: MakePerformer) -> None:
    say = {"kind": "command", "argv": ["sh", "-c", "env | grep ^C500 | sort | tr '\\n' ' '; echo $(id)"]}
    said_by = phase("b", action=say, locks=["shop/db"], checks=[FAILS], on_failure="pause")
    made = plan(tmp_path, phase("a", locks=["shop/db"]), said_by)
    first = await carried(make_performer(), made)
    assert first.status == "waiting"
    second = await carried(make_performer(), made)
    tokens = [one.record("b").tokens["shop/db"] for one in (first, second)]
    assert tokens[1] > tokens[0]
    said = [one.said for one in second.history if one.phase == "b" and one.state == "verifying"]
    assert f"C500_TOKEN_SHOP_DB={tokens[1]}" in said[1] and "C500_PHASE=b" in said[1]


async def test_resources_of_others_are_waited_for_and_kept_until_the_end(
    tmp_path: Path, make_performer: MakePerformer
) -> None:
    locks = ResourceLocks(open_store())
    theirs = locks.take("shop/db", "another", term_s=600)
    made = plan(tmp_path, phase("a"), phase("b", locks=["shop/db"]), lock_wait_s=0.1, on_failure="pause")
    state = await carried(make_performer(), made)
    assert (state.status, states(state)) == ("waiting", ["done", "blocked"])
    assert "held by another" in state.waits
    locks.release(theirs)
    checked = plan(tmp_path, phase("a"), phase("b", locks=["shop/db"], checks=[FAILS]), on_failure="pause")
    assert (await carried(make_performer(), checked)).status == "waiting"
    with pytest.raises(Conflict, match=OWNER):  # it pauses, and keeps what it has
        locks.take("shop/db", "another", term_s=1)
    assert (await carried(make_performer(), made)).status == "done"
    locks.take("shop/db", "another", term_s=1)


async def test_work_ends_when_a_resource_is_lost(tmp_path: Path, make_performer: MakePerformer) -> None:
    locks, store = ResourceLocks(open_store()), open_store()
    sleeps = {"kind": "command", "argv": ["sh", "-c", "echo a >> done.txt; sleep 60"]}
    made = plan(tmp_path, phase("a", action=sleeps, locks=["shop/db"]), lock_term_s=3)
    running = asyncio.ensure_future(carried(make_performer(), made))
    await eventually(lambda: done(tmp_path))
    # As if our term had been over, and another had come: the clock is not to be waited for.
    key = "operations/locks/shop/db.json"
    content, version = store.read_version(key) or (b"", "")
    gone = json.loads(content) | {"until": (datetime.now(UTC) - timedelta(days=1)).isoformat()}
    store.put_if(key, json.dumps(gone).encode(), version)
    locks.take("shop/db", "another", term_s=600)
    with pytest.raises(Fenced, match="shop/db"):
        async with asyncio.timeout(30):
            await running


async def test_a_phase_begins_within_its_windows_only(tmp_path: Path, make_performer: MakePerformer) -> None:
    past = {"zone": "UTC", "last": "2020-01-01"}
    state = await carried(make_performer(), plan(tmp_path, phase("a", windows=[past])))
    assert (state.status, states(state)) == ("waiting", ["blocked"])
    state = await carried(make_performer(), plan(tmp_path, phase("a", windows=[past, {"zone": "UTC"}])))
    assert state.status == "done"


async def test_a_dry_run_changes_nothing(tmp_path: Path, make_performer: MakePerformer) -> None:
    performer, made = make_performer(dry_run=True), plan(tmp_path, phase("a", locks=["x"]), phase("b", consent="one"))
    await rehearse(performer, Places(plan=made, run_agent=no_agent), first_state("move", "0", made))
    assert [one.status for one in performer.outcomes] == ["planned", "planned"]
    assert "would ask" in performer.outcomes[1].why
    assert not done(tmp_path) and not [*open_migrations().names()] and not [*open_store().list("operations/")]


async def test_a_stop_switch_stops_it_and_it_goes_on(tmp_path: Path, make_performer: MakePerformer) -> None:
    switches = open_switches("", settings().agents_home / FOLDER)
    switches.set(Switch(scope="agent", name="test-flow", by="ann"))
    made = plan(tmp_path, phase("a"))
    with pytest.raises(Stopped):
        await carried(make_performer(), made)
    switches.clear("agent", "test-flow")
    assert (await carried(make_performer(), made)).status == "done"


async def test_of_an_agent_only_the_checks_count(tmp_path: Path, make_performer: MakePerformer) -> None:
    runs: list[str] = []

    async def says_so(work: AgentWork, run_id: str) -> str:
        runs.append(run_id)
        if len(runs) == 1:
            raise EngineFailed("it did not get there", fix="again")
        return "all is done"

    work = {"kind": "agent", "goal": "Provision it.", "tries": 2, "every_s": 0}
    made = plan(tmp_path, phase("a", action=work, checks=[FAILS], compensation="nothing"))
    state = await carried(make_performer(), made, run_agent=says_so)
    assert (state.status, len({*runs})) == ("rolled_back", 2)


async def test_a_check_is_looked_at_until_it_holds_and_for_as_long_as_it_must() -> None:
    async def after(given: list[bool], steady_s: float = 0.05) -> tuple[bool, int, str]:
        left, looks = [*given], 0

        async def look() -> tuple[bool, str]:
            nonlocal looks
            looks += 1
            return left.pop(0) if len(left) > 1 else left[0], "seen"

        holds, said = await watched(look, tries=3, every_s=0.01, steady_s=steady_s)
        return holds, looks, said

    assert (await after([False, False, True]))[0]
    assert (await after([False, False, False, True]))[:2] == (False, 3)
    holds, looks, said = await after([True, True, False], steady_s=60)
    assert (holds, looks) == (False, 3) and "no more before" in said
