"""What the Prefect server does by itself when a run goes silent, crashes or is given up."""

from datetime import timedelta
from typing import Any

from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, RunDeployment, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound
from pydantic import SecretStr

from blocks.errors import NotFound
from blocks.runs.lost import HEARTBEAT, JOB_FLOWS
from blocks.settings import HEARTBEAT_S, settings
from tasks.jobs.dead_letter import DEAD_LETTER

SILENT, CRASHED, GIVEN_UP = "c500: silent runs are crashed", "c500: crashed jobs run again", "c500: tell of lost jobs"

RETRY = "retry-crashed/retry-crashed"
RECOVERY_FLOWS = ("retry-crashed", "recover-runs", "sweep-uploads")

MISSED = 11
"""Heartbeats a run may miss before it counts as crashed. 330 s: more than a run waits for a server that is away
(`deployments.service.environment`), so that none is run a second time while it only waits."""

SIGNS = {
    f"prefect.flow-run.{state}"
    for state in (
        *("Completed", "Failed", "Cancelled", "Crashed"),
        *("Suspended", "Paused", "AwaitingRetry", "Scheduled"),  # it has no process, and says nothing
    )
}

ANY_RUN = {"prefect.resource.id": ["prefect.flow-run.*"]}
JOBS_ONLY = {"prefect.resource.role": "flow", "prefect.resource.name": list(JOB_FLOWS)}
OURS_ONLY = {"prefect.resource.role": "flow", "prefect.resource.name": [*JOB_FLOWS, *RECOVERY_FLOWS]}
"""Others may use the same Prefect server."""

WEBHOOK = "c500-dead-letters"
"""Name of the notification block."""


async def apply_automations(client: PrefectClient) -> None:
    """Make the automations, or bring them up to date; one that somebody paused stays paused.

    Raises:
        NotFound: the deployment that runs crashed jobs again does not exist yet.
    """
    wanted = [
        silent_runs_crash(timedelta(seconds=MISSED * HEARTBEAT_S)),
        await _crashed_jobs_run_again(client),
    ]
    if (url := settings().notify_webhook_url) is not None:
        wanted.append(await _tell_of_lost_jobs(client, url))
    else:
        await _remove(client, GIVEN_UP)
    for automation in wanted:
        await _apply(client, automation)


def silent_runs_crash(within: timedelta) -> AutomationCore:
    """A run of ours that sent a heartbeat, then neither another one nor an end or pause of any kind, is crashed."""
    return AutomationCore(
        name=SILENT,
        description="The process of a run that gives no sign of life is gone, with its machine or by force.",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            match=_specification(ANY_RUN),
            match_related=_specification(OURS_ONLY),
            for_each={"prefect.resource.id"},
            after={HEARTBEAT},
            expect={HEARTBEAT} | SIGNS,
            threshold=1,
            within=within,
        ),
        actions=[
            ChangeFlowRunState(state=StateType.CRASHED, name=None, message="It gave no sign of life.", force=False)
        ],
    )


async def _crashed_jobs_run_again(client: PrefectClient) -> AutomationCore:
    try:
        deployment = await client.read_deployment_by_name(RETRY)
    except ObjectNotFound as error:
        raise NotFound(f"there is no deployment {RETRY}", fix="apply the deployments first") from error
    return AutomationCore(
        name=CRASHED,
        description="A job whose process died goes on where it stopped.",
        trigger=EventTrigger(
            posture=Posture.Reactive,
            match=_specification(ANY_RUN),
            match_related=_specification(JOBS_ONLY),
            for_each={"prefect.resource.id"},
            expect={"prefect.flow-run.Crashed"},
            threshold=1,
            within=timedelta(0),
        ),
        actions=[
            RunDeployment(
                source="selected",
                deployment_id=deployment.id,
                parameters={"flow_run_id": {"__prefect_kind": "jinja", "template": "{{ flow_run.id }}"}},
                job_variables=None,
            )
        ],
    )


async def _tell_of_lost_jobs(client: PrefectClient, url: SecretStr) -> AutomationCore:
    """Posts `{"subject", "body"}` to the URL, which is kept as a secret: such URLs carry a key."""
    block = CustomWebhookNotificationBlock(
        name=WEBHOOK,
        url="{{ webhook_url }}",
        json_data={"subject": "{{subject}}", "body": "{{body}}"},
        secrets={"webhook_url": url.get_secret_value()},  # type: ignore[arg-type] - pydantic makes it secret
    )
    await block.asave(WEBHOOK, overwrite=True, client=client)
    document = await client.read_block_document_by_name(WEBHOOK, block.get_block_type_slug())
    return AutomationCore(
        name=GIVEN_UP,
        description="Says that a job was given up.",
        trigger=EventTrigger(
            posture=Posture.Reactive, expect={DEAD_LETTER}, threshold=1, within=timedelta(0), match=_specification({})
        ),
        actions=[
            SendNotification(
                block_document_id=document.id,
                subject="C500 gave up {{ event.payload.name }}",
                body="{{ event.payload.message }}. {{ event.payload.fix }} ({{ event.resource.id }})",
            )
        ],
    )


async def _apply(client: PrefectClient, wanted: AutomationCore) -> None:
    existing = await client.read_automations_by_name(wanted.name)
    if not existing:
        await client.create_automation(wanted)
        return
    kept, *doubled = existing
    changed = wanted.model_copy(update={"enabled": kept.enabled})
    # An update makes the server forget which runs it watches, so only when there is something to change.
    if kept.model_dump(include=set(AutomationCore.model_fields)) != changed.model_dump():
        await client.update_automation(kept.id, changed)
    for one in doubled:
        await client.delete_automation(one.id)


async def _remove(client: PrefectClient, name: str) -> None:
    for one in await client.read_automations_by_name(name):
        await client.delete_automation(one.id)


def _specification(labels: dict[str, Any]) -> Any:
    from prefect.events.schemas.events import ResourceSpecification

    return ResourceSpecification.model_validate(labels)
