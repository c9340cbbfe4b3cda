"""The rules that the settings name."""

from pathlib import Path

from blocks.policy.policy import Policy
from blocks.settings import settings


def open_policy(*, workspace: Path | None = None) -> Policy:
    """The shipped rules with those of POLICY_FILE, and the profiles that are in force in AGENTS_HOME.

    Args:
        workspace: Folder of the agent's files; without one, no rule that needs it allows anything.

    Raises:
        NotFound, BadInput: the file is not there, or is wrong; `details["problems"]` has every fault with its line.
    """
    file = settings().policy_file
    return Policy.read(None if file is None else file.expanduser()).placed(workspace=workspace, state=policy_state())


def policy_state() -> Path:
    """The folder where it is written which expiring profile is in force."""
    return settings().agents_home.expanduser() / "policy"
