"""A job as a flow run of Prefect shows it."""

from datetime import UTC, datetime
from typing import Literal, get_args
from uuid import UUID

from prefect.client.schemas.objects import Artifact, FlowRun, StateType, TaskRun
from pydantic import ValidationError

from blocks.model import Frozen

PROCESS_FLOWS = ("process-audio", "process-text", "process-batch")
"""Flows that make folders of jobs in the store."""

JOB_TAG = "c500-job"
"""Tag of every run that a client of the service asked for."""

OWNER_TAG = "key:"
"""What the tag with the key's id begins with."""

OWNER, UPLOAD, SOURCE_NAME, FLOW = "c500.owner", "c500.upload", "c500.source_name", "c500.flow"
"""Labels a run is submitted with: id of the key, store key of its upload, file name as the client gave it, its flow."""

SUBMISSION = "c500.submission"
"""Label that tells the run of one submission from that of an earlier one with the same idempotency key."""

JOB_ID, ERROR = "c500.job_id", "c500.error"
"""Labels a run gives itself: id of the job, and why it failed (`RunError` as JSON)."""

CANCELLED, CRASHED, INTERNAL_ERROR = "CANCELLED", "CRASHED", "INTERNAL_ERROR"
"""Codes of failures that no C500Error tells: a person ended it; its process died too often; a fault of ours."""

SEE_LOG = "see the log of the flow run, and report it"

RunStatus = Literal["PENDING", "PREPROCESSING", "PROCESSING_ASR", "PROCESSING_LLM", "COMPLETE", "FAILED"]
Stage = Literal["preprocessing", "asr", "llm"]

STAGE_OF_STEP: dict[str, Stage] = {
    "find-recordings": "preprocessing",
    "ingest": "preprocessing",
    "ingest-text": "preprocessing",
    "read-text": "preprocessing",
    "find-result": "preprocessing",
    "decode": "preprocessing",
    "detect-speech": "preprocessing",
    "transcribe": "asr",
    "diarise": "asr",
    "filter": "asr",
    "enhance": "llm",
    "summarise": "llm",
    "export": "llm",
    "export-text": "llm",
    "draw-timing": "llm",
    "publish": "llm",
    "publish-batch": "llm",
}
"""Where in its way a job is, by the step in hand."""

STATUS_OF_STAGE: dict[Stage, RunStatus] = {
    "preprocessing": "PREPROCESSING",
    "asr": "PROCESSING_ASR",
    "llm": "PROCESSING_LLM",
}

FINISHED: dict[StateType, RunStatus] = {
    StateType.COMPLETED: "COMPLETE",
    StateType.FAILED: "FAILED",
    StateType.CANCELLED: "FAILED",
}
"""A crashed run is not among them: it runs again, or is made to fail; see `flows.recovery`."""

IN_HAND = (StateType.RUNNING, StateType.CANCELLING)
WAITING = (StateType.SCHEDULED, StateType.PENDING)


class RunError(Frozen):
    """Why a run failed.

    Attributes:
        code: Code of the C500Error, `CANCELLED`, `CRASHED` or `INTERNAL_ERROR`.
        message: What is wrong.
        fix: How to put it right.
        stage: Where it happened, None when that is not known.
    """

    code: str
    message: str
    fix: str
    stage: Stage | None = None


class JobRun(Frozen):
    """A job from the outside: a flow run, its place in the queue of states, and what it says of itself.

    Attributes:
        run_id: Prefect's flow run; the id of the task in the REST API.
        name: Name of the run.
        owner: Id of the key that submitted it.
        source_name: File name as the client gave it.
        status: How far it is; a run that crashed and will run again is PENDING.
        step: The step in hand, None when it does not run.
        share: Share of that step done, 0 to 1, None when it tells none.
        job_id: The job in the store, known once the input has been read.
        error: Why it failed.
        attempts: How often it began to run.
        submitted_at, started_at, completed_at: When; None for what has not happened.
        upload: Store key of its upload.
        flow: Name of its flow.
        cancelling: Whether it was cancelled and its process is still to end.
    """

    run_id: UUID
    name: str
    owner: str | None = None
    source_name: str | None = None
    status: RunStatus
    step: str | None = None
    share: float | None = None
    job_id: str | None = None
    error: RunError | None = None
    attempts: int = 0
    submitted_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    upload: str | None = None
    flow: str | None = None
    cancelling: bool = False

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in FINISHED.values()


def job_run(run: FlowRun, tasks: list[TaskRun], artifacts: list[Artifact]) -> JobRun:
    """A flow run as a job, with what its latest task runs and artifacts (newest first) tell."""
    state = run.state_type
    steps = [_step(task) for task in tasks if task.flow_run_id == run.id and task.flow_run_run_count == run.run_count]
    step = steps[0] if steps else None
    status = FINISHED.get(state) if state else None
    if state in IN_HAND:
        status = _furthest(steps)
    finished = state in FINISHED
    return JobRun(
        run_id=run.id,
        name=run.name,
        owner=label(run, OWNER),
        source_name=label(run, SOURCE_NAME),
        status=status or "PENDING",
        step=step,
        share=_share(run, step, artifacts),
        job_id=label(run, JOB_ID),
        error=_error(run) if status == "FAILED" else None,
        attempts=run.run_count,
        submitted_at=run.created or datetime.now(UTC),
        started_at=run.start_time,
        completed_at=run.end_time if finished else None,
        upload=label(run, UPLOAD),
        flow=label(run, FLOW),
        cancelling=state == StateType.CANCELLING,
    )


def _step(task: TaskRun) -> str:
    """The name of the task; Prefect adds a dash and the beginning of a key to that of its run."""
    return task.name.rpartition("-")[0]


def _furthest(steps: list[str]) -> RunStatus:
    order: tuple[Stage, ...] = get_args(Stage)
    reached = [order.index(STAGE_OF_STEP[step]) for step in steps if step in STAGE_OF_STEP]
    return STATUS_OF_STAGE[order[max(reached, default=0)]]


def _share(run: FlowRun, step: str | None, artifacts: list[Artifact]) -> float | None:
    for artifact in artifacts:
        if artifact.flow_run_id == run.id and artifact.key == f"progress-{step}":
            return round(float(str(artifact.data)) / 100, 4)  # Prefect tells per cent
    return None


def _error(run: FlowRun) -> RunError:
    """What the run said of its failure, else what Prefect says."""
    if run.state_type == StateType.CANCELLED:
        return RunError(code=CANCELLED, message="the job was cancelled", fix="submit it again if it is still wanted")
    try:
        return RunError.model_validate_json(label(run, ERROR) or "")
    except ValidationError:
        said = (run.state.message if run.state else None) or "the run failed"
        return RunError(code=INTERNAL_ERROR, message=said, fix=SEE_LOG)


def label(run: FlowRun, name: str) -> str | None:
    """The value of one of the run's labels."""
    value = run.labels.get(name)
    return None if value is None else str(value)
