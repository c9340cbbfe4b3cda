"""The migrations in the store, and how one begins or goes on."""

import re
from pathlib import Path
from secrets import token_hex

from pydantic import TypeAdapter, ValidationError

from blocks.errors import BadInput, NotFound
from blocks.manifests import Manifests
from blocks.store import open_store
from tasks.ops.migration.kinds import Name
from tasks.ops.migration.plan import read_plan
from tasks.ops.migration.states import MigrationState, first_state, replanned

PREFIX = "operations/migrations"
ID = TypeAdapter(Name)
SERIAL = re.compile(r"[0-9a-f]{12}")


def open_migrations() -> Manifests[MigrationState]:
    """The migrations there are."""
    return Manifests(open_store(), PREFIX, MigrationState, kind="migration")


def known(file: str, migration: str, *, roll_back: bool, run_id: str = "") -> MigrationState:
    """What is known of a migration, with the plan as it is now; a new one where nothing is.

    Args:
        file: Of the plan; empty for the one that it was begun with.
        migration: Its id; empty for the plan's name.
        roll_back: Whether it is to be undone.
        run_id: Under which a new one was told already; empty: it gets one.

    Raises:
        NotFound: there is no such file, or no such migration.
        BadInput: the plan or the id is wrong.
        Conflict: a phase that has begun is another in the plan by now.
    """
    plan = read_plan(Path(file)) if file else None
    name = checked_id(migration or (plan.name if plan else ""))
    found = open_migrations().find(name)
    if found is None:
        if plan is None or roll_back:
            raise _unknown(name)
        told = run_id.removeprefix(f"{name}-")
        return first_state(name, told if SERIAL.fullmatch(told) else token_hex(6), plan)
    return found if plan is None or found.ended or found.back else replanned(found, plan)


def read_migration(name: str) -> MigrationState:
    """A migration's manifest. Raises `NotFound`, `StoreFailed`."""
    if (found := open_migrations().find(name)) is None:
        raise _unknown(name)
    return found


def checked_id(name: str) -> str:
    """An id of a migration. Raises `BadInput`."""
    try:
        return ID.validate_python(name)
    except ValidationError:
        raise BadInput(
            f"{name!r:.80} is no id of a migration",
            fix="give a plan, or an id of lower-case letters, digits and dashes, at most 40",
            field="migration",
        ) from None


def _unknown(name: str) -> NotFound:
    return NotFound(
        f"there is no migration {name}", fix="see `c500 migrate status`, which lists them", field="migration"
    )
