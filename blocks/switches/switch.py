"""What a stop switch is: agents that it names do nothing more until it is cleared."""

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Literal, Protocol, get_args

from blocks.errors import BadInput
from blocks.model import Frozen

Scope = Literal["all", "agent", "run"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
"""Agents and runs are named so: as a file and as a part of a Redis key the name means the same."""

Run = tuple[str, str]
"""An agent's name and a run's id."""


class Switch(Frozen):
    """A stop that was set.

    Attributes:
        scope: Whom it stops: all agents, an agent in all its runs, or a run.
        name: The agent's name or the run's id; empty for all.
        by: Who set it, as far as is known.
        at: When, as far as is known.
        reason: Why, as they said.
        paused: Prefect work pools that were paused with it, and go on when it is cleared.
        away: Nobody set it: the store of the switches cannot be read, so none can be told from set.
    """

    scope: Scope
    name: str = ""
    by: str = ""
    at: datetime | None = None
    reason: str = ""
    paused: tuple[str, ...] = ()
    away: bool = False

    def __str__(self) -> str:
        """For people: what is stopped, by whom, and why."""
        what = "all agents" if self.scope == "all" else f"{self.scope} {self.name}"
        by = f" by {self.by}" if self.by else ""
        at = f" at {self.at:%Y-%m-%d %H:%M:%S %Z}".rstrip() if self.at else ""
        reason = f": {self.reason}" if self.reason else ""
        return f"{what} stopped{by}{at}{reason}"


class Switches(Protocol):
    """The switches of a store; what cannot be read counts as set."""

    def set(self, switch: Switch) -> None:
        """Stop whom it names, from their next look on. Raises `BadInput` for the name, `StoreFailed`."""
        ...

    def clear(self, scope: Scope, name: str = "") -> Switch | None:
        """Take a switch away and give it back; None where it was not set. Raises `BadInput`, `StoreFailed`."""
        ...

    def list(self) -> tuple[Switch, ...]:
        """All that are set. Raises `StoreFailed`."""
        ...

    async def look(self, runs: Collection[Run]) -> Mapping[Run, Switch]:
        """Those of the runs that are stopped, with what stops them. Raises `BadInput` for their names."""
        ...

    async def stopped(self, agent: str, run_id: str) -> Switch | None:
        """What stops this run of the agent, if anything does. Raises `BadInput` for their names."""
        ...


def checked(scope: Scope, name: str) -> str:
    """The name, if a switch of that scope may have it. Raises `BadInput`."""
    if (scope == "all" and name == "") or (scope != "all" and NAME.fullmatch(name)):
        return name
    what = "the stop of all agents has no name" if scope == "all" else f"no {scope} can be named {name[:80]!r}"
    raise BadInput(what, fix="use letters, digits, `_`, `.` and `-`, and begin with none of the last two", field=scope)


def spoken_of(runs: Collection[Run]) -> dict[Run, tuple[tuple[Scope, str], ...]]:
    """The switches that each of the runs heeds, the widest first. Raises `BadInput`."""
    return {
        run: (("all", ""), ("agent", checked("agent", run[0])), ("run", checked("run", run[1]))) for run in set(runs)
    }


def read_switch(scope: Scope, name: str, content: bytes, otherwise: Switch) -> Switch:
    """A switch as it lies in a store.

    Args:
        scope: Whom it stops; its place says so, not its content.
        name: Likewise.
        content: JSON as `set` writes it, or anything that somebody put there by hand.
        otherwise: What is known of it beside its content.
    """
    try:
        said = Switch.model_validate_json(content)
    except ValueError:
        return otherwise
    known = {"by": said.by or otherwise.by, "at": said.at or otherwise.at}
    return said.model_copy(update={"scope": scope, "name": name, "away": False, **known})
