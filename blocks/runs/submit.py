"""Submit jobs: what is asked for while the server makes a run goes to it together, in its next request."""

import asyncio
import uuid
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from pydantic_core import to_jsonable_python

from blocks.errors import EngineUnavailable
from blocks.runs.record import FLOW, JOB_TAG, OWNER, OWNER_TAG, SOURCE_NAME, SUBMISSION, UPLOAD, JobRun, job_run

MOST_TOGETHER = 20
"""Runs of one request: on SQLite twenty take three fifths of the time that they take one by one (`uploads` in
tests/bench prints it); more would only have the first ones wait."""

ALONE: Any = "/deployments/{id}/create_flow_run"
BULK: Any = f"{ALONE}/bulk"
"""Not among the paths that the types of Prefect's client list."""

Wanted = dict[str, Any]
Made = tuple[FlowRun, bool]
Asked = tuple[Wanted, "asyncio.Future[Made]"]


async def submit_run(
    client: PrefectClient,
    *,
    deployment: str,
    parameters: dict[str, Any],
    name: str,
    owner: str,
    idempotency_key: str,
    source_name: str | None = None,
    upload: str | None = None,
    queue: str | None = None,
) -> tuple[JobRun, bool]:
    """Have a deployment run; the same idempotency key gives the run that exists already.

    Args:
        client: The Prefect server's.
        deployment: `flow/deployment`.
        parameters: Of the flow.
        name: Name of the run, for people.
        owner: Id of the key that submits.
        idempotency_key: Says which submissions are the same.
        source_name: File name as the client gave it.
        upload: Store key of the upload.
        queue: Work queue within the deployment's pool; None for its own.

    Returns:
        The run, and whether it is new.

    Raises:
        EngineUnavailable: there is no such deployment.
    """
    labels = {
        OWNER: owner,
        SOURCE_NAME: source_name,
        UPLOAD: upload,
        FLOW: deployment.split("/")[0],
        SUBMISSION: uuid.uuid4().hex,
    }
    wanted = {
        "parameters": to_jsonable_python(parameters),
        # Half of the server's time for a run (measured), and the flow checks its parameters itself.
        "enforce_parameter_schema": False,
        "name": name,
        "tags": [JOB_TAG, f"{OWNER_TAG}{owner}"],
        "idempotency_key": idempotency_key,
        "work_queue_name": queue,
        "labels": {label: value for label, value in labels.items() if value is not None},
    }
    run, is_new = await _intake(client, deployment).make(client, wanted)
    return job_run(run, [], []), is_new


@dataclass
class _Intake:
    """The submissions of one client to one deployment."""

    deployment: str
    _waiting: list[Asked] = field(default_factory=list[Asked])
    _sending: asyncio.Task[None] | None = None
    _id: UUID | None = None

    async def make(self, client: PrefectClient, wanted: Wanted) -> Made:
        """The run of a submission, and whether it is new."""
        made: asyncio.Future[Made] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, made))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send(client))
        return await made

    async def _send(self, client: PrefectClient) -> None:
        while waiting := [asked for asked in self._waiting if not asked[1].done()]:  # who is done has gone away
            batch, self._waiting = waiting[:MOST_TOGETHER], waiting[MOST_TOGETHER:]
            try:
                found = await self._together(client, [wanted for wanted, _ in batch])
            except asyncio.CancelledError:
                for _, made in [*batch, *self._waiting]:
                    made.cancel()
                raise
            except Exception as error:  # noqa: BLE001 - whoever asked is told
                found = [error] * len(batch)
            for (_, made), result in zip(batch, found, strict=True):
                if made.done():
                    continue
                if isinstance(result, Exception):
                    made.set_exception(result)
                else:
                    made.set_result(result)
        self._waiting = []

    async def _together(self, client: PrefectClient, batch: list[Wanted]) -> list[Made | Exception]:
        if len(batch) == 1:
            return [await self._alone(client, batch[0])]
        answer = await self._ask(client, batch)
        ids = [entry.get("flow_run_id") for entry in answer["results"]]
        wanted_runs = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(one) for one in ids if one]))
        found = {str(run.id): run for run in await client.read_flow_runs(flow_run_filter=wanted_runs)}
        return [
            (found[one], _is_of(found[one], wanted)) if one in found else await self._alone_or_why(client, wanted)
            for one, wanted in zip(ids, batch, strict=True)
        ]

    async def _alone(self, client: PrefectClient, wanted: Wanted) -> Made:
        run = FlowRun.model_validate(await self._ask(client, wanted))
        return run, _is_of(run, wanted)

    async def _alone_or_why(self, client: PrefectClient, wanted: Wanted) -> Made | Exception:
        """The run that the server did not make among others, or why it makes none alone either."""
        try:
            return await self._alone(client, wanted)
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            return error

    async def _ask(self, client: PrefectClient, wanted: Wanted | list[Wanted]) -> Any:
        """Have one run made, or several; the server's answer."""
        for known in (True, False):
            if self._id is None or not known:  # the deployment was deleted, and perhaps made anew
                self._id = await self._look_up(client)
            of_it = {"id": self._id}
            try:
                path = BULK if isinstance(wanted, list) else ALONE
                answer = await client.request("POST", path, path_params=of_it, json=wanted)
                return answer.json()
            except PrefectHTTPStatusError as error:
                if error.response.status_code != HTTPStatus.NOT_FOUND:
                    raise
        raise self._missing()

    async def _look_up(self, client: PrefectClient) -> UUID:
        """The id of the deployment, which stays as long as the deployment exists."""
        try:
            return (await client.read_deployment_by_name(self.deployment)).id
        except ObjectNotFound as error:
            raise self._missing() from error

    def _missing(self) -> EngineUnavailable:
        return EngineUnavailable(
            f"there is no deployment {self.deployment}", fix="run `c500 up`", deployment=self.deployment
        )


def _is_of(run: FlowRun, wanted: Wanted) -> bool:
    """Whether the run was made for this submission, not for an earlier one with its key."""
    return run.labels.get(SUBMISSION) == wanted["labels"][SUBMISSION]


_intakes: WeakKeyDictionary[PrefectClient, dict[str, _Intake]] = WeakKeyDictionary()


def _intake(client: PrefectClient, deployment: str) -> _Intake:
    of_client = _intakes.setdefault(client, {})
    return of_client.setdefault(deployment, _Intake(deployment))
