"""Whose job it is: a job is there for the key that submitted it, and for nobody else but an administrator."""

from typing import Annotated, TypeAlias
from uuid import UUID

from litestar.params import PathParameter
from prefect.client.orchestration import PrefectClient

from blocks.errors import NotFound
from blocks.keys import ApiKey
from blocks.runs import JobRun, read_run

TaskId: TypeAlias = Annotated[str, PathParameter(description="The task's id, as the submission answered it (a UUID).")]


class TaskNotFound(NotFound):
    """There is no such task, or not for this key, or not any more."""

    code = "TASK_NOT_FOUND"


async def own_run(prefect: PrefectClient, key: ApiKey, task_id: str) -> JobRun:
    """The run of a task that this key may see.

    Raises:
        TaskNotFound: there is none, or another key submitted it; the answer does not tell which.
    """
    try:
        run = await read_run(prefect, UUID(task_id))
    except (ValueError, NotFound):
        raise unknown(task_id) from None
    if run.owner != key.key_id and not key.may("admin"):
        raise unknown(task_id)
    return run


def unknown(task_id: str) -> TaskNotFound:
    """That there is no such task for this key."""
    shown = task_id if len(task_id) <= 64 else f"{task_id[:64]}…"
    return TaskNotFound(f"there is no task {shown}", fix="check the id and the key, or submit the job again")


def expired(run: JobRun) -> TaskNotFound:
    """That the job's files are gone."""
    return TaskNotFound(
        f"the result of task {run.run_id} has expired",
        fix="submit the job again; RESULT_TTL says how long results are kept",
        task_id=str(run.run_id),
    )
