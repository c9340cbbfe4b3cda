"""What is kept of a task beside its session: turn by turn what came of it, so that any process can go on with it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from blocks.errors import StoreFailed
from blocks.iiagent.turn import MESSAGE_TOOL, Turn
from blocks.model import Frozen
from blocks.whole_file import write_whole
from tasks.sessions.outcome import Outcome

FOLDER = "tasks"
TALK = frozenset({MESSAGE_TOOL, "return_control_to_user"})
"""Tools with which an agent talks, and does nothing."""

StepKind = Literal["goal", "continue", "answer"]
StoppedBy = Literal["", "max_continues", "max_silent", "no_progress", "wall_clock", "tool_calls"]


class Step(Frozen):
    """A turn of a task.

    Attributes:
        kind: With what it began.
        turn: What the client saw.
        outcome: What came of it.
        fingerprint: Equal for two turns between which nothing was done.
    """

    kind: StepKind
    turn: Turn
    outcome: Outcome
    fingerprint: str = ""


class TaskRecord(Frozen):
    """A task, as far as it has come.

    Attributes:
        task_id: Which.
        steps: Its turns, all that there ever were.
        since: The first step that counts for its allowance.
        stopped_by: What it was given up for; empty where its last outcome says all.
        updated_at: When this was written.
    """

    task_id: str
    steps: tuple[Step, ...] = ()
    since: int = Field(default=0, ge=0)
    stopped_by: StoppedBy = ""
    updated_at: datetime = datetime.fromtimestamp(0, UTC)

    @property
    def last(self) -> Step | None:
        """The last turn."""
        return self.steps[-1] if self.steps else None

    @property
    def counted(self) -> tuple[Step, ...]:
        """The turns that count for the allowance."""
        return self.steps[self.since :]

    @property
    def key(self) -> str:
        """Name of the next turn within the session."""
        return f"{self.task_id}-{len(self.steps)}"

    @property
    def worked(self) -> bool:
        """Whether any tool was called."""
        return any(not step.turn.silent for step in self.steps)

    @property
    def work_calls(self) -> int:
        """Calls of tools that do something, in all turns."""
        return sum(work_calls(step.turn) for step in self.steps)

    @property
    def files(self) -> tuple[str, ...]:
        """Files that its turns named, as the server did, each once."""
        return tuple(dict.fromkeys(name for step in self.steps for name in step.turn.files))


def work_calls(turn: Turn) -> int:
    """Calls of tools in a turn that do something."""
    return sum(count for tool, count in turn.tool_calls.items() if tool not in TALK)


def all_calls(turn: Turn) -> int:
    """Calls of tools in a turn."""
    return sum(turn.tool_calls.values())


def record_path(folder: Path, task_id: str) -> Path:
    """Where the record of a task lies in the folder of its session."""
    return folder / FOLDER / f"{task_id}.json"


def read_record(folder: Path, task_id: str) -> TaskRecord:
    """The record of a task; an empty one where there is none. Raises `StoreFailed`."""
    path = record_path(folder, task_id)
    try:
        return TaskRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return TaskRecord(task_id=task_id)
    except OSError as error:
        raise StoreFailed(f"{path} cannot be read: {error.strerror}", fix="look at the disk") from error
    except ValidationError:
        pass
    # Without pydantic's error, which quotes what the agent said.
    raise StoreFailed(f"{path} is no record of a task", fix="move it away: the task then begins again")


def write_record(folder: Path, record: TaskRecord) -> TaskRecord:
    """Keep a record; returns it as it was written. Raises `StoreFailed`."""
    record = record.model_copy(update={"updated_at": datetime.now(UTC)})
    path = record_path(folder, record.task_id)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(path, record.model_dump_json().encode())
    except OSError as error:
        told = f"the record of a task cannot be written to {path.parent}: {error.strerror}"
        raise StoreFailed(told, fix="look at the disk") from error
    return record


def records_in(folder: Path) -> list[TaskRecord]:
    """The records of all tasks of a session, oldest first. Raises `StoreFailed`."""
    paths = sorted((folder / FOLDER).glob("*.json"))
    return sorted((read_record(folder, path.stem) for path in paths), key=lambda record: record.updated_at)
