"""Giving up a job that kills its process each time: it fails, and people are told."""

from uuid import NAMESPACE_URL, uuid5

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.objects import FlowRun
from prefect.events import emit_event
from prefect.states import Failed

from blocks.runs.record import CRASHED, ERROR, SOURCE_NAME, RunError

DEAD_LETTER = "c500.job.dead-letter"
"""Event that a job was given up; an automation may send a notification."""

FIX = "look at the run's log and at the memory of the machine; then retry the run in the Prefect UI"


async def give_up(client: PrefectClient, run: FlowRun, why: str, times: int) -> None:
    """Make a lost run fail for good.

    The failure comes last, so that a process that dies on the way leaves a crashed run, which is given up again.
    """
    error = RunError(code=CRASHED, message=why, fix=FIX)
    await client.update_flow_run_labels(run.id, {ERROR: error.model_dump_json()})
    await client.create_artifact(
        ArtifactCreate(
            key=f"dead-letter-{run.id}",
            type="markdown",
            description=run.name,
            data=dead_letter_markdown(run, error),
            flow_run_id=run.id,
        )
    )
    emit_event(
        event=DEAD_LETTER,
        resource={"prefect.resource.id": f"prefect.flow-run.{run.id}", "prefect.resource.name": run.name},
        payload={"name": run.name, "times": times, "message": error.message, "fix": error.fix},
        id=uuid5(NAMESPACE_URL, f"{DEAD_LETTER}:{run.state_id}"),  # telling twice is one event
    )
    await client.set_flow_run_state(run.id, Failed(message=f"Given up: {error.message}."))


def dead_letter_markdown(run: FlowRun, error: RunError) -> str:
    """What a person should know about a job that was given up."""
    source = run.labels.get(SOURCE_NAME, run.name)
    why = (run.state and run.state.message) or "nothing"
    return "\n".join(
        [
            f"# Given up: {source}",
            "",
            f"- **What happened**: {error.message}; each time it went on from the steps that were finished.",
            f"- **Last said**: {why}",
            f"- **What to do**: {error.fix}.",
            "- **Usual causes**: not enough memory (the kernel kills the process), a fault in a model's library, "
            "a worker that is stopped again and again.",
            f"- **Run**: `{run.id}`",
        ]
    )
