"""Jobs whose time is over, taken away wholly, in two steps, so that no run at work loses what it has read of them.

First a job is marked, and what steps keep of it for others is forgotten: from then on no run begins to work with its
files. When all runs that had begun before are over, its folder goes.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from pydantic import AwareDatetime

from blocks.errors import NotFound
from blocks.job import job_folder
from blocks.model import Frozen
from blocks.runs.queue import all_runs
from blocks.runs.record import PROCESS_FLOWS
from blocks.steps import RESULTS
from blocks.store.files import Files
from blocks.subjects.subject import Traces
from tasks.ops.cleanup.audio import JOBS, OPEN, RESULT, JobsKnown

MARKS = "operations/cleanup/expiring"

Line = dict[str, Any]


class Mark(Frozen):
    """That a job is about to go.

    Attributes:
        at: Since when; runs that began later cannot work with its files.
        deleting: Whether its files are being deleted: then they go, unless what is left is held.
    """

    at: AwareDatetime
    deleting: bool = False


@dataclass(frozen=True)
class Expiry:
    """What is known when jobs expire.

    Attributes:
        files: The store.
        known: Which jobs are at work, and which failed.
        oldest_run: When the oldest run at work began; None where none is at work.
        before: Jobs that were finished earlier are due.
        now: The time.
        held: What is on hold.
    """

    files: Files
    known: JobsKnown
    oldest_run: datetime | None
    before: datetime
    now: datetime
    held: tuple[Traces, ...]

    def lines(self) -> Iterator[Line]:
        """What is to become of each job: `planned` with `mark` or `delete`, or `kept` with why."""
        marks = self._marks()
        for job_id in sorted({*self._jobs(), *marks}):
            try:
                yield {"path": job_folder(job_id), "status": "planned"} | self._judged(job_id, marks.get(job_id))
            except NotFound:  # it went while we look
                continue

    def perform(self, lines: list[Line], check: Callable[[], None] = lambda: None) -> Iterator[Line]:
        """Do what `lines` say, each looked at again first; lines of what was done."""
        marked: set[str] = set()
        for line in lines:
            check()
            job_id = line["path"].rpartition("/")[2]
            mark = self._marks().get(job_id) if line["why"] != "mark" else None
            with suppress(NotFound):
                again = self._judged(job_id, mark)
                if again["why"] == "mark":
                    self._put(job_id, Mark(at=self.now))
                    marked.add(job_id)
                elif again["why"] == "delete":
                    again = self._deleted(job_id, mark)
                elif mark is not None and not mark.deleting:
                    self.files.delete(_key(job_id))  # it is used again, or held: its time begins anew
                yield {"path": line["path"], "status": "changed"} | again | self._status(again)
        self._forget_steps(marked)

    def _status(self, again: Line) -> Line:
        done = {"mark": "expiring", "delete": "deleted"}.get(again["why"])
        return {"status": done} if done else {}

    def _judged(self, job_id: str, mark: Mark | None) -> Line:
        if self._is_held(job_id):
            return {"status": "kept", "why": "held"}
        if mark is not None and (mark.deleting or not any(self.files.list(f"{job_folder(job_id)}/"))):
            return {"why": "delete"}
        if why := self._why_kept(job_id):
            return {"status": "kept", "why": why}
        if mark is None:
            return {"why": "mark"}
        if self.oldest_run is not None and self.oldest_run <= mark.at:
            return {"status": "kept", "why": "work in hand"}
        return {"why": "delete"}

    def _is_held(self, job_id: str) -> bool:
        return any(job_id in one.ids for one in self.held)

    def _why_kept(self, job_id: str) -> str | None:
        if job_id in self.known.open:
            return "job at work"
        try:
            finished = self.files.modified(f"{job_folder(job_id)}/{RESULT}")
        except NotFound:
            if job_id not in self.known.failed:
                return "job unknown"
            keys = list(self.files.list(f"{job_folder(job_id)}/"))
            finished = max((self.files.modified(key) for key in keys), default=self.before)
        return "young" if finished >= self.before else None

    def _deleted(self, job_id: str, mark: Mark | None) -> Line:
        """Delete a job's files, its result first: without that it is no whole job any more for anybody."""
        with self.files.lock(f"publish/{job_id}", wait=False) as alone:
            if not alone:
                return {"status": "kept", "why": "job at work"}
            self._put(job_id, Mark(at=mark.at if mark else self.now, deleting=True))
            folder = job_folder(job_id)
            self.files.delete(f"{folder}/{RESULT}")
            for key in list(self.files.list(f"{folder}/")):
                self.files.delete(key)
            self.files.delete(_key(job_id))
        return {"why": "delete"}

    def _forget_steps(self, jobs: set[str]) -> None:
        """Delete what steps keep that names files of these jobs, each under the lock of its step."""
        folders = {job_folder(job_id).encode() + b"/" for job_id in jobs}
        for key in list(self.files.list(f"{RESULTS}/")) if folders else ():
            with suppress(NotFound):
                content = self.files.read_bytes(key)
                if any(folder in content for folder in folders):
                    with self.files.lock(key, wait=False) as free:
                        if free:
                            self.files.delete(key)

    def _jobs(self) -> set[str]:
        return {key.split("/")[1] for key in self.files.list(f"{JOBS}/") if key.count("/") > 1}

    def _marks(self) -> dict[str, Mark]:
        found: dict[str, Mark] = {}
        for key in self.files.list(f"{MARKS}/"):
            with suppress(NotFound):
                name = key.rpartition("/")[2].removesuffix(".json")
                found[name] = Mark.model_validate_json(self.files.read_bytes(key))
        return found

    def _put(self, job_id: str, mark: Mark) -> None:
        self.files.put_bytes(_key(job_id), mark.model_dump_json().encode(), "application/json")


async def oldest_run(client: PrefectClient) -> datetime | None:
    """When the oldest run of a job that is not over began; None where none has begun."""
    wanted = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(OPEN))))
    flows = FlowFilter(name=FlowFilterName(any_=list(PROCESS_FLOWS)))
    return min([run.start_time async for run in all_runs(client, wanted, flows) if run.start_time], default=None)


def _key(job_id: str) -> str:
    return f"{MARKS}/{job_id}.json"
