"""Options of the commands that have agents work, and what is looked at before a server is started for them."""

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

Profile = Annotated[str | None, typer.Option(help="Autonomy profile; by default AGENT_PROFILE.")]
User = Annotated[str | None, typer.Option(help="For whom it works; by default you.")]
ApprovalS = Annotated[float, typer.Option(min=1, help="Seconds a question to a person stands.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only read; say what would be changed.")]
Unattended = Annotated[bool, typer.Option("--unattended", help="Nobody can be asked: what needs a person is refused.")]


def check_rules_and_accounts(profile: str | None) -> None:
    """Refuse a policy, a profile, accounts or an AGENTS_HOME that cannot be used.

    Args:
        profile: Autonomy profile; None for AGENT_PROFILE.

    Raises:
        NotFound, BadInput: one of them is not there, or is wrong.
        StoreFailed: nothing can be kept in AGENTS_HOME.
    """
    from blocks.accounts.file import read_accounts
    from blocks.policy.open import open_policy
    from blocks.settings import settings
    from tasks.agents.opened import check_home

    chosen = settings()
    check_home(chosen.agents_home)
    open_policy().in_force(profile or chosen.agent_profile)
    read_accounts(chosen.accounts_file.expanduser())


def refuse_beside_resume(context: typer.Context, allowed: Collection[str] = ()) -> None:
    """Refuse what was given beside `--resume`: a run goes on as it was begun, and would not look at it.

    Args:
        context: Of the command, which has a parameter `resume`.
        allowed: Names of parameters that count for a run that goes on, beside `resume` and `as_json`.

    Raises:
        BadInput: something else was given; it is named.
    """
    from blocks.errors import BadInput

    for parameter in context.command.params:
        name = parameter.name or ""
        if name in ("resume", "as_json", *allowed) or not parameter.expose_value:
            continue
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            shown = parameter.opts[0]
            raise BadInput(
                f"{shown} does not go with --resume: a run goes on as it was begun",
                fix=f"leave {shown} out, or begin a new run",
                field=shown,
            )


def warn_of_doubts(run_ids: Collection[str]) -> None:
    """Say which effects of runs that are to go on are in doubt; at a terminal, ask whether to go on all the same.

    Once its agent was told, it goes another way, and what a person finds out comes too late.

    Args:
        run_ids: The runs.

    Raises:
        typer.Abort: the person would rather not.
        StoreFailed: a record of an effect is damaged.
    """
    from blocks.effects import EffectLedger
    from blocks.plain_text import plain
    from blocks.settings import settings
    from blocks.store import open_store
    from tasks.agents.doubts import in_doubt_of, ways_out

    found = in_doubt_of(EffectLedger(settings().agents_home / "effects"), open_store(), run_ids)
    for one in found:
        told = f"warning: nobody knows whether {one.effect_id} happened: {ways_out(one.effect_id)}"
        typer.echo(plain(told), err=True)
    if found and sys.stdin.isatty():
        typer.confirm("Go on all the same? The agent is told that it is not known", abort=True, err=True)


def folder_of(workspace: Path | None) -> str | None:
    """A workspace as runs are told of it, whose process may stand in another folder."""
    return None if workspace is None else str(workspace.absolute())
