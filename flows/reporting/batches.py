"""Swarms, batches, fleets and sessions of agents: by the reports that they left in the store and in Prefect.

A swarm and a batch of prompts write beside their output, wherever that is; what all have in common is the report that
they show in Prefect. Its first lines are read here, as `report_markdown` of each writes them.
"""

import re
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError

from blocks.errors import NotFound
from blocks.store.files import Files
from tasks.quality.report.facts import Batch

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import Artifact

BATCHES = "batches/"
MOST_PAGES = 20

COUNT = r"([\d,]+)"
SWARM = re.compile(rf"^- {COUNT} answered and {COUNT} failed in ", re.MULTILINE)
PROMPTS = re.compile(rf"^- {COUNT} of {COUNT} rows are answered", re.MULTILINE)
PROMPTS_GROUP = re.compile(r"^\|.*\| (\d+) \| \d+ \| \d+ \| (\d+) \| (\d+) \| \d+ \| \d+ \| \d+ \| ", re.MULTILINE)
FLEET = re.compile(rf"^- {COUNT} of {COUNT} jobs done \({COUNT} of them before\), {COUNT} not", re.MULTILINE)
TASK = re.compile(r"^- \*\*([a-z ]+)\*\*(?:, given up: ([a-z ]+))?$", re.MULTILINE)
TITLE = re.compile(r"^# (.*)$", re.MULTILINE)

Read = Callable[[str], "tuple[int, int, str] | None"]
"""Takes a report; gives its rows, how many of them failed, and how it ended. None: it is a rehearsal."""


def read_recordings(files: Files, since: datetime) -> tuple[Batch, ...]:
    """Batches of recordings that ended since then. Raises `StoreFailed`."""
    from blocks.batch import BatchReport

    found = list[Batch]()
    for key in files.list(BATCHES):
        try:
            if not key.endswith("/report.json") or files.modified(key) < since:
                continue
            report = BatchReport.model_validate_json(files.read_bytes(key))
        except (NotFound, ValidationError):
            continue
        at = report.finished_at
        failed = report.count("failed")
        found.append(
            Batch(
                kind="batch of recordings",
                name=report.batch_id,
                rows=len(report.items),
                failed=failed,
                outcome="complete" if not failed else "with failures",
                ended_at=at if at.tzinfo else at.replace(tzinfo=UTC),
            )
        )
    return tuple(found)


async def read_artifacts(since: datetime) -> tuple[Batch, ...]:
    """Reports that were shown in Prefect since then.

    Raises:
        httpx.HTTPError, PrefectHTTPStatusError: its server does not answer, or refuses.
    """
    from prefect.client.orchestration import get_client

    found: dict[tuple[str, object], Batch] = {}
    async with get_client() as client:
        for form in FORMS:
            async for one in _artifacts(client, form.prefix, since):
                name = one.key or ""
                if re.fullmatch(rf"{form.prefix}[0-9a-f]+", name) is None or not isinstance(one.data, str):
                    continue
                told = form.read(one.data)
                if told is not None and one.created is not None:
                    rows, failed, outcome = told
                    # The latest of a run: a swarm that was halted and gone on with is two runs.
                    found[name, one.flow_run_id] = Batch(
                        kind=form.kind, name=name, rows=rows, failed=failed, outcome=outcome, ended_at=one.created
                    )
    return tuple(found.values())


async def _artifacts(client: "PrefectClient", prefix: str, since: datetime) -> "AsyncGenerator[Artifact]":
    """Artifacts with such keys, made since then, the latest first."""
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey, ArtifactFilterType
    from prefect.client.schemas.sorting import ArtifactSort

    from blocks.runs.queue import PAGE

    wanted = ArtifactFilter(key=ArtifactFilterKey(like_=f"{prefix}%"), type=ArtifactFilterType(any_=["markdown"]))
    for page in range(MOST_PAGES):
        some = await client.read_artifacts(
            artifact_filter=wanted, sort=ArtifactSort.CREATED_DESC, limit=PAGE, offset=page * PAGE
        )
        for one in some:
            if one.created is None or one.created < since:
                return
            yield one
        if len(some) < PAGE:
            return


def _swarm(text: str) -> tuple[int, int, str] | None:
    found = SWARM.search(text)
    if found is None:
        return None
    answered, failed = map(_number, found.groups())
    return answered + failed, failed, "complete" if "were not done" not in text else "ended early"


def _prompts(text: str) -> tuple[int, int, str] | None:
    found = PROMPTS.search(text)
    title = TITLE.search(text)
    outcome = title[1].rpartition(": ")[2] if title else ""
    if found is None or outcome == "rehearsed":
        return None
    groups = PROMPTS_GROUP.finditer(text)
    return _number(found[2]), sum(int(one[2]) + int(one[3]) for one in groups), outcome


def _fleet(text: str) -> tuple[int, int, str] | None:
    found = FLEET.search(text)
    if found is None:
        return None
    _, jobs, _, failed = map(_number, found.groups())
    return jobs, failed, "complete" if not failed else "with failures"


def _task(text: str) -> tuple[int, int, str] | None:
    found = TASK.search(text)
    if found is None:
        return None
    return 1, int(found[1] != "done"), found[1] + (f", given up: {found[2]}" if found[2] else "")


def _number(text: str) -> int:
    return int(text.replace(",", ""))


@dataclass(frozen=True)
class Form:
    """A kind of report.

    Attributes:
        kind: What it is of.
        prefix: With what its keys begin.
        read: Reads it.
    """

    kind: str
    prefix: str
    read: Read


FORMS = (
    Form("swarm", "swarm-", _swarm),
    Form("batch of prompts", "batch-prompts-", _prompts),
    Form("fleet", "agent-fleet-", _fleet),
    Form("agent session", "agent-task-", _task),
)
"""A new kind is a row here."""
