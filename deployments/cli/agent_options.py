"""Options of the commands that have agents work, and what is looked at before a server is started for them."""

from pathlib import Path
from typing import Annotated

import typer

Profile = Annotated[str | None, typer.Option(help="Autonomy profile; by default AGENT_PROFILE.")]
User = Annotated[str | None, typer.Option(help="For whom it works; by default you.")]
ApprovalS = Annotated[float, typer.Option(min=1, help="Seconds a question to a person stands.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only read; say what would be changed.")]
Unattended = Annotated[bool, typer.Option("--unattended", help="Nobody can be asked: what needs a person is refused.")]


def check_rules_and_accounts(profile: str | None) -> None:
    """Refuse a policy, a profile or accounts that cannot be used.

    Args:
        profile: Autonomy profile; None for AGENT_PROFILE.

    Raises:
        NotFound, BadInput: one of them is not there, or is wrong.
    """
    from blocks.accounts.file import read_accounts
    from blocks.policy.open import open_policy
    from blocks.settings import settings

    chosen = settings()
    open_policy().in_force(profile or chosen.agent_profile)
    read_accounts(chosen.accounts_file.expanduser())


def folder_of(workspace: Path | None) -> str | None:
    """A workspace as runs are told of it, whose process may stand in another folder."""
    return None if workspace is None else str(workspace.absolute())
