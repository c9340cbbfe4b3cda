"""Alerts in, and incidents out: what Alertmanager's webhook sends opens or joins one, and people ask about it."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from prefect.client.orchestration import PrefectClient
from pydantic import Field

from blocks.errors import EngineUnavailable
from blocks.keys import ApiKey
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.runs import find_run, submit_run
from blocks.store.files import Files
from deployments.gateway.desk import name_of
from deployments.gateway.intake.destinations import destination
from deployments.gateway.llm import LivePool, NoAccounts
from deployments.gateway.web.auth import needs
from tasks.ops.incident.briefing import Briefing
from tasks.ops.incident.context import Fact
from tasks.ops.incident.incident import Incident, Status
from tasks.ops.incident.notification import MOST_BYTES
from tasks.ops.incident.questions import QUESTION_CHARS, IncidentAnswer

FLOW = "respond-to-incident"
MOST_TRIES = 20
"""Runs of one incident that ended without a briefing, after which no other is begun."""


class AlertsReceived(Frozen):
    """What became of a notification."""

    incident_id: str | None = Field(description="None where it only says that something unknown is over.")
    is_new: bool = Field(description="Whether it opened the incident.")
    status: Status | None


class IncidentSummary(Frozen):
    """An incident in a list."""

    incident_id: str
    status: Status
    severity: str
    title: str
    services: tuple[str, ...]
    began_at: datetime
    opened_at: datetime
    briefed_at: datetime | None


class IncidentList(Frozen):
    """Incidents, latest first."""

    incidents: tuple[IncidentSummary, ...]


class IncidentDetail(Frozen):
    """An incident with its timeline, its briefing, and what was gathered."""

    incident: Incident
    briefing: Briefing | None
    facts: tuple[Fact, ...]


class Question(Frozen):
    """A question about an incident."""

    question: str = Field(min_length=1, max_length=QUESTION_CHARS)


@post(
    "/v1/alerts",
    opt=needs("alert"),
    status_code=202,
    operation_id="receiveAlerts",
    summary="Alerts of Alertmanager",
    tags=["incidents"],
    request_max_body_size=MOST_BYTES,
)
async def receive_alerts(
    data: JSONBody[dict[str, Any]],
    prefect: NamedDependency[PrefectClient],
    files: NamedDependency[Files],
    key: NamedDependency[ApiKey],
) -> AlertsReceived:
    """Take in what Alertmanager's webhook (version 4) sends; it opens an incident or joins one that is open.

    It is kept before this answers, and a run that briefs the operators is begun, once for each incident. Alertmanager
    sends again what was answered with 503: that changes nothing but begins the run.
    """
    got = await in_thread(_received, files, data)
    if got.incident is None:
        return AlertsReceived(incident_id=None, is_new=False, status=None)
    if got.incident.briefed_at is None and got.incident.status != "closed":
        await _begin(prefect, files, got.incident.incident_id, key.key_id)
    return AlertsReceived(incident_id=got.incident.incident_id, is_new=got.is_new, status=got.incident.status)


@get("/v1/incidents", opt=needs("admin"), operation_id="listIncidents", summary="Incidents", tags=["incidents"])
async def list_incidents(
    files: NamedDependency[Files],
    which: Annotated[Literal["open", "all"], QueryParameter(description="`open`: not over.")] = "open",
    most: Annotated[int, QueryParameter(ge=1, le=500, description="How many at most.")] = 100,
) -> IncidentList:
    """List incidents."""
    from tasks.ops.incident.intake import latest

    found = await in_thread(latest, files, most, only_open=which == "open")
    fields = set(IncidentSummary.model_fields)
    return IncidentList(incidents=tuple(IncidentSummary(**one.model_dump(include=fields)) for one in found))


@get(
    "/v1/incidents/{incident_id:str}",
    opt=needs("admin"),
    operation_id="readIncident",
    summary="One incident with its briefing",
    tags=["incidents"],
)
async def read_incident(incident_id: FromPath[str], files: NamedDependency[Files]) -> IncidentDetail:
    """Read its alerts, its timeline, its briefing, and the facts that were gathered."""
    from tasks.ops.incident.respond import all_of

    known, context, briefing = await in_thread(all_of, files, incident_id)
    return IncidentDetail(incident=known, briefing=briefing, facts=context.facts if context else ())


@post(
    "/v1/incidents/{incident_id:str}/questions",
    opt=needs("admin"),
    status_code=200,
    operation_id="askAboutIncident",
    summary="Ask about an incident",
    tags=["incidents"],
    request_max_body_size=20_000,
)
async def ask_about_incident(
    incident_id: FromPath[str],
    data: JSONBody[Question],
    files: NamedDependency[Files],
    key: NamedDependency[ApiKey],
    live_pool: NamedDependency[LivePool],
) -> IncidentAnswer:
    """Answer from what was gathered, with the passages that the answer rests on; the question is on its timeline."""
    from blocks.redact import default_redactor
    from tasks.ops.asking import Model
    from tasks.ops.incident.respond import answered_question
    from tasks.ops.incident.wording import USER

    try:
        pool = await live_pool.pool()
    except NoAccounts:
        pool = None
    model = Model(pool, USER, incident_id, default_redactor())
    return await answered_question(files, incident_id, data.question, model, by=name_of(key))


def _received(files: Files, content: dict[str, Any]) -> Any:
    from blocks.redact import default_redactor
    from blocks.settings import settings
    from tasks.ops.incident.intake import receive
    from tasks.ops.incident.notification import notification_of
    from tasks.ops.incident.services import services_or_why

    told, services = notification_of(content), services_or_why(settings().services_file)[0]
    return receive(files, told, services.of, default_redactor(), now=datetime.now(UTC))


def _is_briefed(files: Files, incident_id: str) -> bool:
    from tasks.ops.incident.intake import incidents

    return incidents(files).read(incident_id).briefed_at is not None


async def _begin(prefect: PrefectClient, files: Files, incident_id: str, owner: str) -> None:
    """Have the incident's run begun, unless it is; where one ended without a briefing, another takes its place."""
    for number in range(MOST_TRIES):
        idempotency_key = f"incident-{incident_id}" + (f"-{number}" if number else "")
        found = await find_run(prefect, FLOW, idempotency_key)
        if found is not None and found.status == "FAILED":
            continue
        if found is not None and found.status == "COMPLETE":
            if await in_thread(_is_briefed, files, incident_id):
                return
            continue  # it left the incident to another process, which may have died since
        if found is None:
            goal = await destination(prefect, FLOW)
            await submit_run(
                prefect,
                deployment=goal.deployment,
                parameters={"incident": incident_id},
                name=incident_id,
                owner=owner,
                idempotency_key=idempotency_key,
            )
        return
    raise EngineUnavailable(
        f"{MOST_TRIES} runs of incident {incident_id} have ended without a briefing",
        fix="see why in the Prefect UI, then `c500 incident respond`",
        retry_after_s=300,
    )


handlers = [receive_alerts, list_incidents, read_incident, ask_about_incident]
