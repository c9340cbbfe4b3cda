"""The rules that the settings name."""

from pathlib import Path

from blocks.policy.policy import Policy
from blocks.policy.read import read_rules, shipped_for_operations
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


def open_operations_policy() -> Policy:
    """The shipped rules of operations flows with those of OPERATIONS_POLICY_FILE.

    Raises:
        NotFound, BadInput: the file is not there, or is wrong; `details["problems"]` has every fault with its line.
    """
    file, base = settings().operations_policy_file, shipped_for_operations()
    rules = base if file is None else read_rules(file.expanduser(), base)
    return Policy(rules).placed(state=policy_state())


def policy_state() -> Path:
    """The folder where it is written which expiring profile is in force."""
    return settings().agents_home.expanduser() / "policy"
