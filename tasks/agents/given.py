"""What a run of an agent or a team is given, checked before it begins."""

import re
from pathlib import Path

from blocks.errors import BadInput, TooLarge
from blocks.settings import Settings

WORKSPACES = "workspaces"
"""Folder of AGENTS_HOME for the workspaces of runs that were given none."""

RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def checked_id(run_id: str) -> str:
    """The id, if a run may have it: it names files, folders and effects. Raises `BadInput`."""
    if RUN_ID.fullmatch(run_id):
        return run_id
    raise BadInput(
        f"a run cannot have the id {run_id[:80]!r}",
        fix="use lower-case letters, digits and `-`, at most 63",
        field="run_id",
    )


def checked_goal(goal: str, whose: str, most_chars: int) -> str:
    """The goal, if there is one and it is not too long.

    Args:
        goal: What is to be reached.
        whose: Who is to reach it, as `the agent`.
        most_chars: Characters it may have.

    Raises:
        BadInput: there is no goal.
        TooLarge: it is too long.
    """
    if not goal.strip():
        raise BadInput(f"{whose} has no goal", fix="say what it is to reach", field="goal")
    if len(goal) > most_chars:
        raise TooLarge(
            f"the goal has {len(goal)} characters, and may have {most_chars}",
            fix="put the material into a file of the workspace, and name it in the goal",
            field="goal",
        )
    return goal


def workspace_of(chosen: Settings, name: str, workspace: str | None) -> Path:
    """The folder that a run works in; one of its own is not made here.

    Args:
        chosen: The settings.
        name: Of the run or its session, for a folder of its own.
        workspace: The folder that was asked for; None for one of its own.

    Raises:
        BadInput: there is no such folder.
    """
    if workspace is None:
        return chosen.agents_home.expanduser() / WORKSPACES / name
    folder = Path(workspace).expanduser().absolute()
    if not folder.is_dir():
        raise BadInput(f"there is no folder {folder}", fix="name one that exists, or make it", field="workspace")
    return folder


def smaller(*budgets: float | None) -> float | None:
    """The smallest of these, in dollars; None is no limit."""
    return min((one for one in budgets if one is not None), default=None)
