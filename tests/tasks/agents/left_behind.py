"""A home of agents with runs of some age, and what these have left behind."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from blocks.settings import Settings
from blocks.store import LocalFiles
from tasks.agents.begin import begin
from tasks.agents.definition import AgentDefinition, read_agent
from tasks.agents.result import AgentOptions, AgentResult, AgentTrouble, Status
from tasks.agents.runs import Begun, Conversation, RunStore
from tasks.agents.sweep import discard_workspaces, remove_folders, retire_runs

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
DAY_S = 86_400.0
KEPT_S, BEGUN_S = 30 * DAY_S, 90 * DAY_S


@cache
def operator() -> AgentDefinition:
    """The agent that is shipped."""
    return read_agent("operator", None)


def aged(folder: Path, lived: datetime) -> None:
    """Have a folder, or a link, seem to be written last at a time."""
    os.utime(folder, (lived.timestamp(), lived.timestamp()), follow_symlinks=False)


class Dated(RunStore):
    """Begins runs at another time."""

    def __init__(self, files: LocalFiles, started_at: datetime) -> None:
        super().__init__(files)
        self._started_at = started_at

    def begin(self, begun: Begun, before: Conversation) -> Begun:
        """Keep a run as begun then."""
        return super().begin(begun.model_copy(update={"started_at": self._started_at}), before)


@dataclass
class LeftBehind:
    """What runs have left.

    Attributes:
        home: AGENTS_HOME.
        files: The store.
        now: The time.
    """

    home: Path
    files: LocalFiles
    now: datetime = NOW

    @classmethod
    def at(cls, folder: Path) -> "LeftBehind":
        """In a folder."""
        (folder / "agents").mkdir()
        return cls((folder / "agents").resolve(), LocalFiles(folder / "store"))

    def ago(self, days: float) -> datetime:
        """So many days before now."""
        return self.now - timedelta(days=days)

    @property
    def store(self) -> RunStore:
        """The records of runs."""
        return RunStore(self.files)

    def run(
        self, run_id: str, *, begun: float, ended: float | None = None, lived: float | None = None, **facts: Any
    ) -> str:
        """A run with its folders and workspace, begun and ended so many days ago; its last sign of life as its end."""
        status, code = facts.pop("status", "done"), facts.pop("code", None)
        if workspace := facts.get("workspace"):
            Path(workspace).mkdir(parents=True, exist_ok=True)
            facts["workspace"] = str(workspace)
        chosen = Settings(agents_home=self.home)
        made = begin(Dated(self.files, self.ago(begun)), chosen, run_id, "g", "operator", AgentOptions(**facts))
        (Path(made.workspace) / "made.txt").write_text("work")
        if ended is not None:
            self.store.end(_result(run_id, status, code, self.ago(ended)), [])
        self._folders(run_id, self.ago(begun if lived is None and ended is None else lived or ended or 0))
        return run_id

    def _folders(self, run_id: str, lived: datetime) -> None:
        for name in ("results", "runs"):
            folder = self.home / name / run_id
            folder.mkdir(parents=True)
            (folder / "one").write_bytes(b"12345")
            (folder / "two").write_bytes(b"12345")
            aged(folder, lived)

    def sweep(self) -> dict[str, Any]:
        """The parts that are about runs, in their order."""
        return {
            "retired": retire_runs(self.home, self.files, KEPT_S, BEGUN_S, self.now),
            "results": remove_folders(self.home, self.files, "results"),
            "runs": remove_folders(self.home, self.files, "runs"),
            "workspaces": discard_workspaces(self.home, self.files, KEPT_S, BEGUN_S, self.now),
        }

    def has(self, name: str) -> set[str]:
        """What there is in a folder of the home."""
        folder = self.home / name
        return {path.name for path in folder.iterdir()} if folder.exists() else set()


def _result(run_id: str, status: Status, code: str | None, ended_at: datetime) -> AgentResult:
    trouble = AgentTrouble(code=code, message="m", fix="f") if code else None
    return AgentResult(
        run_id=run_id, agent="operator", goal="g", status=status, profile="development", trouble=trouble,
        ended_at=ended_at,
    )  # fmt: skip
