"""A migration: phases that are verified, undone in reverse order when one fails, gone on with after any crash."""

from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow
from prefect.runtime import flow_run

from blocks.board import board
from blocks.errors import Conflict, EngineFailed
from blocks.progress import in_thread
from blocks.redact import default_redactor
from blocks.resource_locks import ResourceLocks
from blocks.store import open_store
from flows.names import plain
from flows.operating import operating, show_markdown
from tasks.ops.migration.report import MigrationReport, migration_markdown, report_of
from tasks.ops.options import DEFAULTS, OperationsOptions

if TYPE_CHECKING:
    from tasks.ops.migration.kinds import AgentWork
    from tasks.ops.migration.places import Places, RunAgent
    from tasks.ops.migration.states import MigrationState
    from tasks.ops.performer import Performer


def run_name() -> str:
    """The migration's id, or its plan."""
    given = flow_run.parameters
    return plain(f"{'undo ' if given.get('roll_back') else ''}{given.get('migration') or given.get('plan') or ''}")


@flow(name="migrate", flow_run_name=run_name, persist_result=False)
async def migrate(
    plan: str = "", migration: str = "", roll_back: bool = False, options: OperationsOptions = DEFAULTS
) -> MigrationReport:
    """Carry a migration out, go on with it, or undo it.

    All that is known of it stands in its manifest: a run that was killed at any moment, or that waits, goes on when
    the same is asked for again. Only one run at a time has a migration in its hands.

    Args:
        plan: File of the plan; empty for the one that the migration was begun with.
        migration: Its id; empty for the plan's name, or for `options.run_id`.
        roll_back: Whether it is to be undone, in reverse order.
        options: How it is run.

    Returns:
        What came of it: `done`, `rolled_back`, or `waiting`, and for what.

    Raises:
        BadInput, NotFound: the plan cannot be used, or there is no such migration.
        Conflict: another run has it in hand, or a phase that has begun was changed in the plan.
        NotAllowed: it is to be undone, and cannot be.
        EngineUnavailable: a database of the plan does not answer; then nothing was begun.
        Stopped: a switch stopped it.
        Fenced: another run took it over.
    """
    from tasks.ops.migration.kept import known
    from tasks.ops.migration.ready import check_ready

    found = await in_thread(
        known, plan, migration or options.run_id or "", roll_back=roll_back, run_id=options.run_id or ""
    )
    async with operating("migrate", options.model_copy(update={"run_id": found.run_id}), found.migration) as performer:
        is_over = found.status == "rolled_back" or (found.status == "done" and not roll_back)
        if not is_over:
            await check_ready(places_of(performer, found), found, roll_back=roll_back)
        if performer.dry_run:
            return report_of(found) if is_over else await _rehearsed(performer, found, roll_back=roll_back)
        after = found if is_over else await _carried_out(performer, found, roll_back=roll_back)
        report = report_of(after)
        await performer.tell(f"migration {report.migration}: {report.status}", report.waits)
        await show_markdown(f"migration-{after.run_id}", migration_markdown(after), after.migration)
        return report


async def _carried_out(performer: "Performer", known: "MigrationState", *, roll_back: bool) -> "MigrationState":
    from tasks.ops.migration.carry_out import Work, carry_out, go_on
    from tasks.ops.migration.kept import open_migrations
    from tasks.ops.migration.locks import keeping

    with open_migrations().held(known.migration, known) as held:
        if held.state.serial != known.serial or len(held.state.history) != len(known.history):
            raise Conflict(f"another run has just begun {known.migration}", fix="try again")
        async with keeping(ResourceLocks(open_store()), known.run_id, known.plan) as keeper:
            work = Work(held=held, performer=performer, keeper=keeper, places=places_of(performer, known))
            await go_on(work, known.plan, roll_back=roll_back)
            async with board(f"migration-board-{known.run_id}", lambda: shown(work.state)):
                return await carry_out(work)


async def _rehearsed(performer: "Performer", known: "MigrationState", *, roll_back: bool) -> MigrationReport:
    from tasks.ops.migration.carry_out import rehearse

    await rehearse(performer, places_of(performer, known), known, roll_back=roll_back)
    return report_of(known, tuple(performer.outcomes))


def places_of(performer: "Performer", known: "MigrationState") -> "Places":
    """Where a migration works."""
    from tasks.ops.migration.places import Places

    return Places(plan=known.plan, run_agent=run_agent_of(performer, known.plan.folder))


def shown(state: "MigrationState") -> str:
    """A migration as the board shows it."""
    return default_redactor().text(migration_markdown(state))


def run_agent_of(performer: "Performer", folder: str) -> "RunAgent":
    """Runs agents as flows below this one; their workspaces are told from the plan's folder."""

    async def run(work: "AgentWork", run_id: str) -> str:
        from flows.agent import run_agent
        from tasks.agents.result import AgentOptions

        options = AgentOptions(
            profile=work.profile,
            workspace=str(Path(folder) / work.workspace) if work.workspace else None,
            user=performer.user,
            attended=performer.attended,
            approval_s=performer.approval_s,
            budget_usd=work.budget_usd,
        )
        result = await run_agent(goal=work.goal, agent=work.agent, options=options, run_id=run_id)
        if result.status != "done":
            why = result.trouble.message if result.trouble else result.status
            raise EngineFailed(
                f"the agent {work.agent} did not get there: {why}", fix="look: c500 audit why", run=run_id
            )
        return result.output

    return run
