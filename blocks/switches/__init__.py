"""Stop switches: one for all agents, one for each agent, one for each run; looked at before every step."""

from pathlib import Path

from blocks.switches.both import BothSwitches
from blocks.switches.files import FileSwitches
from blocks.switches.switch import SCOPES, Run, Scope, Switch, Switches
from blocks.switches.watch import family, watch

FOLDER = "switches"
"""Of the files, in AGENTS_HOME."""

__all__ = ["FOLDER", "SCOPES", "FileSwitches", "Run", "Scope", "Switch", "Switches", "family", "open_switches", "watch"]


def open_switches(url: str, folder: Path) -> Switches:
    """The switches of these settings.

    Args:
        url: `redis://…`, `rediss://…` or `unix://…` of a store that machines share, beside the files; empty for none.
        folder: Of the files.

    Raises:
        BadInput: the URL is none of these.
        Unsupported: the package redis is not installed.
        StoreFailed: the folder cannot be made.
    """
    files = FileSwitches(folder)
    if not url:
        return files
    from blocks.switches.redis import RedisSwitches

    return BothSwitches(files, RedisSwitches(url))
