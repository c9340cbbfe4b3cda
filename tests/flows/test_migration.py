"""Migrations as flows, on a real PostgreSQL under concurrent writes."""

import asyncio
from pathlib import Path

import pytest

from blocks.audit.places import open_audit
from blocks.errors import BadInput, Conflict, EngineUnavailable, NotAllowed, NotFound
from blocks.resource_locks import ResourceLocks
from blocks.settings import settings
from blocks.store import open_store
from flows.approvals import on_asked
from flows.migration import migrate
from tasks.ops.migration.kept import open_migrations
from tasks.ops.options import OperationsOptions
from tests.databases import new_database
from tests.fakes.llm.agent_model import agent_model
from tests.flows.migrating import check_history, check_rows, failing_plan, ledger
from tests.flows.run_migration import agree
from tests.processes import free_port
from tests.tasks.ops.migration.plans import phase, plan_file
from tests.tasks.ops.migration.shop import PLAN, open_shop, psql, schema, writers

OPTIONS = OperationsOptions(user="ann", profile="staging")
ID = "wide-order-ids"


@pytest.fixture
def shop(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with the orders of the example."""
    dsn = new_database(postgres_url)
    monkeypatch.setenv("SHOP_DSN", dsn)
    open_shop(dsn)
    return dsn


@pytest.fixture
def bob() -> None:
    """Somebody who agrees to whatever is asked."""
    on_asked.set(agree)


@pytest.mark.usefixtures("prefect_api", "bob")
async def test_a_table_is_migrated_while_it_is_written_to(shop: str) -> None:
    rehearsed = await migrate(str(PLAN), options=OPTIONS.model_copy(update={"dry_run": True}))
    assert (rehearsed.status, len(rehearsed.planned)) == ("planned", 5)
    assert psql(shop, "-c", "SELECT to_regnamespace('c500') IS NULL") == "t"
    with writers(shop) as seen:
        report = await asyncio.to_thread(asyncio.run, migrate(str(PLAN), options=OPTIONS))
    assert (report.status, report.waits) == ("done", "")
    assert not seen["failed"]
    state = check_history(ID)
    assert state.record("contract").approvers == ("bob",)
    check_rows(shop)
    assert len(ledger(shop)) == 4
    psql(shop, "-c", "INSERT INTO orders (id, reference, customer, amount_cents) VALUES (3e9, 'far', 'c', 1)")
    assert (await migrate(str(PLAN), options=OPTIONS)).status == "done"
    assert len(check_history(ID).history) == len(state.history)
    audit = open_audit(settings().agents_home).read(state.run_id)
    assert {"decided", "asked", "answered", "started", "done"} <= {one.entry.phase for one in audit}
    assert "correct-horse" not in state.model_dump_json()


@pytest.mark.usefixtures("prefect_api")
async def test_a_migration_that_fails_leaves_the_first_state(shop: str, tmp_path: Path) -> None:
    before = schema(shop)
    with writers(shop) as seen:
        plan = str(failing_plan(tmp_path))
        report = await asyncio.to_thread(asyncio.run, migrate(plan, options=OPTIONS))
    assert (report.status, seen["failed"]) == ("rolled_back", [])
    check_history(ID)
    check_rows(shop)
    assert schema(shop) == before


@pytest.mark.usefixtures("prefect_api")
async def test_what_nobody_agrees_to_waits_until_somebody_does(shop: str) -> None:
    unattended = OPTIONS.model_copy(update={"attended": False})
    report = await migrate(str(PLAN), options=unattended)
    assert (report.status, [one.state for one in report.phases][-2:]) == ("waiting", ["done", "failed"])
    on_asked.set(agree)
    assert (await migrate(migration=ID, options=OPTIONS)).status == "done"


@pytest.mark.usefixtures("prefect_api")
async def test_a_plan_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        await migrate(str(tmp_path / "none.yaml"), options=OPTIONS)
    with pytest.raises(BadInput):
        await migrate(migration="$(id)", options=OPTIONS)
    plan = str(plan_file(tmp_path, phase("a")))
    taken = open_store().lock("operations/migrations/move/manifest.json", wait=False)  # as another process has it
    with taken, pytest.raises(Conflict, match="another process"):
        await migrate(plan, options=OPTIONS)
    assert (await migrate(plan, options=OPTIONS)).status == "done"


@pytest.mark.usefixtures("prefect_api")
async def test_an_agent_does_a_phase_and_a_check_judges_it(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    work = {"kind": "agent", "goal": "Write down where the new database is.", "workspace": "work"}
    there = {"name": "there", "kind": "command", "argv": ["grep", "db-2", "work/address.txt"]}
    facts = {"action": work, "checks": [there], "compensation": "nothing"}
    plan = str(plan_file(tmp_path, phase("provision", **facts)))
    said_only = "It is written."
    with agent_model(tmp_path / "accounts.yaml", said_only):
        lied = await migrate(plan, "first", options=OPTIONS)
    assert (lied.status, lied.phases[0].said) == ("rolled_back", "there is nothing to undo")
    writes = [("write_file", {"path": "address.txt", "content": "db-2"})]
    with agent_model(tmp_path / "accounts.yaml", writes, "It is written."):
        assert (await migrate(plan, "second", options=OPTIONS)).status == "done"


@pytest.mark.usefixtures("prefect_api")
@pytest.mark.parametrize("dry_run", [False, True])
async def test_what_a_migration_needs_is_looked_for_before_it_begins(
    monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    options = OPTIONS.model_copy(update={"dry_run": dry_run})
    monkeypatch.delenv("SHOP_DSN", raising=False)
    with pytest.raises(NotFound, match=r"databases\.shop: the environment variable SHOP_DSN is not set"):
        await migrate(str(PLAN), options=options)
    port = free_port()
    monkeypatch.setenv("SHOP_DSN", f"postgresql://ann:correct-horse@127.0.0.1:{port}/orders")
    with pytest.raises(EngineUnavailable) as caught:
        await migrate(str(PLAN), options=options)
    told = f"{caught.value.message} {caught.value.fix}"
    assert f"127.0.0.1:{port}/orders" in told and "env:SHOP_DSN" in told and "ConnectionRefused" in told
    assert "correct-horse" not in told
    assert not [*open_migrations().names()]
    ResourceLocks(open_store()).take("shop/orders", "another", term_s=60)  # nobody has it


@pytest.mark.usefixtures("prefect_api")
async def test_a_wrong_password_is_told_before_a_migration_begins(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = postgres_url.rpartition("@")[2].rpartition("/")[0]
    monkeypatch.setenv("SHOP_DSN", f"postgresql://nobody:correct-horse@{place}/no_such_database")
    with pytest.raises(EngineUnavailable, match="no_such_database") as caught:
        await migrate(str(PLAN), options=OPTIONS)
    assert "correct-horse" not in f"{caught.value.message} {caught.value.fix} {caught.value.details}"


@pytest.mark.usefixtures("prefect_api")
async def test_a_database_that_a_phase_makes_need_not_be_there_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("NEW_DSN", raising=False)
    fills = {"kind": "sql", "database": "new", "script": "SELECT 1"}
    facts = {"databases": {"new": "env:NEW_DSN"}, "made_later": ["new"]}
    plan = plan_file(tmp_path, phase("make"), phase("fill", action=fills, compensation="nothing"), **facts)
    report = await migrate(str(plan), options=OPTIONS)
    # Its second phase finds no address, and is untouched: nothing of it ran.
    assert report.status == "rolled_back" and report.phases[1].said == "nothing of it ran"
    assert (tmp_path / "done.txt").read_text() == "make\nundo-make\n"


@pytest.mark.usefixtures("prefect_api")
async def test_undoing_is_rehearsed(tmp_path: Path) -> None:
    plan = str(plan_file(tmp_path, phase("a"), phase("b", compensation="nothing"), phase("c")))
    await migrate(plan, options=OPTIONS)
    dry = OPTIONS.model_copy(update={"dry_run": True})
    told = await migrate(migration="move", roll_back=True, options=dry)
    assert told.status == "planned" and [line.split(":")[1] for line in told.planned] == [" c", " a"]
    assert all("undo" in line for line in told.planned)
    assert (tmp_path / "done.txt").read_text() == "a\nb\nc\n" and open_migrations().read("move").status == "done"


@pytest.mark.usefixtures("prefect_api")
async def test_a_migration_that_is_done_and_cannot_be_undone_is_not_to_be_gone_on_with(tmp_path: Path) -> None:
    plan = str(plan_file(tmp_path, phase("a", compensation="impossible")))
    await migrate(plan, options=OPTIONS)
    for dry_run in (True, False):
        with pytest.raises(NotAllowed, match="cannot be undone") as caught:
            await migrate(migration="move", roll_back=True, options=OPTIONS.model_copy(update={"dry_run": dry_run}))
        assert "write another one" in caught.value.fix and "c500 migrate run" not in caught.value.fix
