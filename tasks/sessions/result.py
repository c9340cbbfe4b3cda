"""What came of a task, for programs."""

from collections import Counter
from datetime import UTC, datetime

from pydantic import Field

from blocks.iiagent.downloaded import Record, Refusal
from blocks.iiagent.unpacked import Unpacked
from blocks.model import Frozen
from blocks.rows.report import RowsReport
from tasks.sessions.outcome import Incomplete, Outcome
from tasks.sessions.record import StoppedBy, TaskRecord


class Counters(Frozen):
    """What a task took, in all its turns and processes.

    Attributes:
        turns: Prompts that were given.
        continues: Those after the first one.
        silent_stops: Turns without any call of a tool.
        reconnects: Sockets that were lost and made up for.
        rotations: Changes to another model key.
        retries: Runs that ended with an error of the server and were gone on with.
        compactions: Conversations that were made shorter.
        tool_calls: Calls of tools, by tool.
        frames: Frames that came.
        bytes: Their bytes.
        seconds: Of all turns.
    """

    turns: int = 0
    continues: int = 0
    silent_stops: int = 0
    reconnects: int = 0
    rotations: int = 0
    retries: int = 0
    compactions: int = 0
    tool_calls: dict[str, int] = Field(default_factory=dict)
    frames: int = 0
    bytes: int = 0
    seconds: float = 0.0


class Collected(Frozen):
    """Files of a session that were brought here.

    Attributes:
        place: The folder, or the address in the store; `manifest.json` in it lists all, `files` has them.
        files: All that lie there, with their hashes.
        refused: What is not there, and why.
        refused_more: So many more are not.
        total_bytes: Of the files.
        unpacked: The archives among them that were asked to be unpacked, into `unpacked`.
    """

    place: str
    files: tuple[Record, ...] = ()
    refused: tuple[Refusal, ...] = ()
    refused_more: int = 0
    total_bytes: int = 0
    unpacked: tuple[Unpacked, ...] = ()


class AgentResult(Frozen):
    """What came of a task.

    Attributes:
        task_id: The same for the same task on the same server.
        server: Where it was done.
        session_id: Its conversation.
        ui_url: Where people see that.
        outcome: What its last turn came to.
        stopped_by: What it was given up for; empty where the outcome says all.
        answer: The last thing that the agent said.
        files: What was collected; None where nothing was.
        counters: What it took.
    """

    task_id: str
    server: str
    session_id: str
    ui_url: str | None = None
    outcome: Outcome
    stopped_by: StoppedBy = ""
    answer: str = ""
    files: Collected | None = None
    counters: Counters = Counters()

    @property
    def done(self) -> bool:
        """Whether it is done."""
        return self.outcome.kind == "done"

    @property
    def told(self) -> str:
        """How it ended, in a few words."""
        return (
            f"{self.outcome.told} (given up: {self.stopped_by.replace('_', ' ')})"
            if self.stopped_by
            else self.outcome.told
        )

    def check(self) -> "AgentResult":
        """The result itself. Raises `Incomplete` where the task is not done."""
        if self.done:
            return self
        raise Incomplete(
            f"the agent has not done its task: {self.told[:1000]}",
            fix="look at its session; the same call with again goes on, with a new allowance",
            session_id=self.session_id,
            outcome=self.outcome.kind,
            stopped_by=self.stopped_by,
        )


def rows_of(result: AgentResult, flow_run_id: str) -> RowsReport:
    """The same in the few figures that the store keeps, as a row of its own; nobody knows what it cost."""
    given_up = f", given up: {result.stopped_by}" if result.stopped_by else ""
    return RowsReport(
        kind="agent task",
        report_id=result.task_id,
        names=(result.session_id, flow_run_id),
        rows=1,
        out=int(result.done),
        failed=int(not result.done),
        outcome=f"{result.outcome.kind}{given_up}".replace("_", " "),
        seconds=result.counters.seconds,
        finished_at=datetime.now(UTC),
    )


def counters_of(record: TaskRecord) -> Counters:
    """What a task has taken so far."""
    turns = [step.turn for step in record.steps]
    calls: Counter[str] = Counter()
    for turn in turns:
        calls.update(turn.tool_calls)
    return Counters(
        turns=len(turns),
        continues=max(0, len(turns) - 1),
        silent_stops=sum(step.outcome.kind == "silent_stop" for step in record.steps),
        reconnects=sum(turn.reconnects for turn in turns),
        rotations=sum(turn.rotations for turn in turns),
        retries=sum(turn.retries for turn in turns),
        compactions=sum(turn.compactions for turn in turns),
        tool_calls=dict(sorted(calls.items())),
        frames=sum(turn.frames for turn in turns),
        bytes=sum(turn.bytes for turn in turns),
        seconds=round(sum(turn.seconds for turn in turns), 3),
    )
