"""What others than agents count into the same file: rows of swarms and batches of prompts, while they go on."""

from contextlib import suppress
from typing import Literal

from blocks.agent_metrics.store import AgentMetrics, Change
from blocks.settings import settings

ROWS = "c500_swarm_rows_total"
FOLDER = "metrics"
"""Of all that, in AGENTS_HOME."""


def shared_metrics() -> AgentMetrics:
    """The metrics that all runs of AGENTS_HOME count into."""
    home = settings().agents_home.expanduser()
    with suppress(OSError):  # what counts says so itself
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return AgentMetrics(home / FOLDER)


class RowCount:
    """Counts the rows of one run as they end.

    Args:
        kind: Whose rows.
    """

    def __init__(self, kind: Literal["swarm", "batch_prompts"]) -> None:
        self._kind = kind
        self._told = {"answered": 0, "failed": 0}

    def tell(self, answered: int, failed: int) -> None:
        """Count what has ended since the last time. Blocks for a moment; a file that cannot be written stops nothing.

        Args:
            answered: Rows answered so far.
            failed: Rows that failed so far.
        """
        now = {"answered": answered, "failed": failed}
        changes = [
            Change(ROWS, {"kind": self._kind, "outcome": outcome}, count - self._told[outcome])
            for outcome, count in now.items()
            if count > self._told[outcome]
        ]
        self._told = now
        if changes:
            metrics = shared_metrics()
            try:
                metrics.add(changes)
            finally:
                metrics.close()
