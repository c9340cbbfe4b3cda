"""What a migration needs before it begins: variables that are set, databases that let it in, hosts that are known."""

from collections.abc import Iterable, Iterator

from blocks.hosts import read_inventory
from tasks.ops.migration.kinds import Action, AgentWork, Check, Command, CommandCheck
from tasks.ops.migration.places import Places
from tasks.ops.migration.plan import Compensation, Phase
from tasks.ops.migration.states import UNTOUCHED, MigrationState


async def check_ready(places: Places, state: MigrationState, *, roll_back: bool) -> None:
    """Make sure that all is there that a migration needs, before it takes or begins anything.

    Args:
        places: Where it works.
        state: Where it is: of phases that are done only what undoes them is needed.
        roll_back: Whether it is to be undone.

    Raises:
        NotFound, BadInput, Unsupported: a variable, an address or a host is not there, or is none.
        EngineUnavailable: a database does not answer.
    """
    works = [*_works(state, roll_back=roll_back or state.back)]
    read_inventory().chosen(sorted({one.host for one in works if isinstance(one, Command | CommandCheck)}))
    later = {*places.plan.made_later}
    for name in sorted({one.database for one in works if not isinstance(one, AgentWork) and one.database} - later):
        await places.check_database(name)
    for one in works:
        if isinstance(one, Command | CommandCheck) and one.database not in later:
            await places.variables(one)


def _works(state: MigrationState, *, roll_back: bool) -> Iterator[Action | Check]:
    for record in state.phases:
        phase = state.plan.phase(record.name)
        if roll_back:
            yield from () if record.state in UNTOUCHED or record.untouched else _undoing(phase)
            continue
        if record.state != "done":
            yield phase.action
            yield from phase.checks
        yield from _undoing(phase)


def _undoing(phase: Phase) -> Iterable[Action | Check]:
    undo = phase.compensation
    return (undo.action, *undo.checks) if isinstance(undo, Compensation) else ()
