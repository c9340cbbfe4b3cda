"""What Prefect's server keeps of flow runs: parameters, states, artifacts, log lines."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.exceptions import ObjectNotFound
from prefect.logging.handlers import APILogHandler

from blocks.errors import StoreFailed
from blocks.subjects.subject import Traces
from tasks.personal_data.holder import Content, Holder, Item, World

PAGE = 200
LOGS_WAIT_S = 30.0
"""The server deletes the log lines of a run a little later than the run."""

LINES_LATE_S = 5.0
"""The process of a run sends its lines each two seconds, also after the end of the run. The server deletes lines only
with their run: one that comes after it was deleted would stay for good."""


def prefect_holder() -> Holder:
    """Flow runs with all that belongs to them; dead letters are artifacts of theirs."""
    return Holder(
        name="prefect",
        place="Prefect's server: flow runs, task runs, artifacts, log lines",
        what="parameters, labels, names, states, artifacts, logs of the runs of a job or a person",
        covers=("prefect:flow_run", "prefect:task_run", "prefect:artifact", "prefect:log"),
        find=_find,
        read=_read,
        erase=_erase,
    )


def _find(world: World, traces: Traces) -> Iterator[Item]:
    client = world.known.client
    for run_id in traces.flow_runs:
        if _exists(client, run_id) or any(_artifacts(client, run_id)) or _logs(client, run_id, 0):
            yield Item(holder="prefect", key=run_id)


def _read(world: World, _traces: Traces, item: Item) -> Iterator[tuple[str, Content]]:
    client, run_id = world.known.client, item.key
    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(run_id)]))
    told: dict[str, Any] = {
        "flow_run": [run.model_dump(mode="json") for run in client.read_flow_runs(flow_run_filter=wanted)],
        "task_runs": _task_runs(client, run_id),
        "artifacts": [one.model_dump(mode="json") for one in _artifacts(client, run_id)],
        "logs": list(_every_log(client, run_id)),
    }
    yield f"{run_id}.json", json.dumps(told, ensure_ascii=False, indent=1).encode()


def _erase(world: World, _traces: Traces, item: Item, _name: str) -> None:
    """The run last: as long as it is there, what is left of it is found by it."""
    client, run_id = world.known.client, item.key
    _wait_for_late_lines(client, run_id)
    for artifact in list(_artifacts(client, run_id)):
        try:
            client.delete_artifact(artifact.id)
        except ObjectNotFound:
            continue
    with suppress(ObjectNotFound):
        client.delete_flow_run(UUID(run_id))
    deadline = time.monotonic() + LOGS_WAIT_S
    while _logs(client, run_id, 0):
        if time.monotonic() > deadline:
            raise StoreFailed(
                f"Prefect's server keeps log lines of run {run_id} still", fix="erase again when it has caught up"
            )
        time.sleep(0.1)


def _wait_for_late_lines(client: SyncPrefectClient, run_id: str) -> None:
    APILogHandler().flush()
    with suppress(ObjectNotFound):
        ended = client.read_flow_run(UUID(run_id)).end_time
        if ended is not None:
            left_s = LINES_LATE_S - (datetime.now(UTC) - ended).total_seconds()
            time.sleep(min(max(0.0, left_s), LINES_LATE_S))  # the server's clock may be another


def _exists(client: SyncPrefectClient, run_id: str) -> bool:
    try:
        client.read_flow_run(UUID(run_id))
    except ObjectNotFound:
        return False
    return True


def _artifacts(client: SyncPrefectClient, run_id: str) -> Iterator[Any]:
    wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(run_id)]))
    offset = 0
    while found := client.read_artifacts(artifact_filter=wanted, limit=PAGE, offset=offset):
        yield from found
        offset += len(found)


def _task_runs(client: SyncPrefectClient, run_id: str) -> list[Any]:
    found: list[Any] = []
    while True:
        wanted = {"flow_runs": {"id": {"any_": [run_id]}}, "limit": PAGE, "offset": len(found)}
        page: list[Any] = client.request("POST", "/task_runs/filter", json=wanted).json()
        found += page
        if len(page) < PAGE:
            return found


def _logs(client: SyncPrefectClient, run_id: str, offset: int) -> list[Any]:
    wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[UUID(run_id)]))
    return list(client.read_logs(log_filter=wanted, limit=PAGE, offset=offset))


def _every_log(client: SyncPrefectClient, run_id: str) -> Iterator[Any]:
    offset = 0
    while found := _logs(client, run_id, offset):
        yield from (one.model_dump(mode="json") for one in found)
        offset += len(found)
