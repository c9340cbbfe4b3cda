"""Which runs of operations there are, so that one that died can be found and gone on with."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal

from pydantic import ValidationError

from blocks.errors import BadInput, Conflict, NotFound
from blocks.model import Frozen
from blocks.store.files import Files, safe_key

PREFIX = "operations/runs"

Ended = Literal["completed", "failed", "stopped"]


class RunRecord(Frozen):
    """A run.

    Attributes:
        run_id: Names it in all its attempts.
        flow: The flow.
        subject: What it is about, as a plan's file.
        user: For whom.
        begun_at: When its first attempt began.
        ended: How its latest attempt ended; None: it is at work, or died.
        ended_at: When.
    """

    run_id: str
    flow: str
    subject: str
    user: str
    begun_at: datetime
    ended: Ended | None = None
    ended_at: datetime | None = None


class RunRecords:
    """The records in a store.

    Args:
        files: The store.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    def begin(self, record: RunRecord, *, same_subject: bool) -> None:
        """Note that an attempt of a run begins.

        Args:
            record: As its first attempt would note it.
            same_subject: Whether a run that goes on must be about the same.

        Raises:
            Conflict: the flow has a run with this id about something else.
        """
        key = _key(record.run_id, record.flow)
        found = self._files.read_version(key)
        if found is None:
            with suppress(Conflict):  # another attempt began at the same moment
                self._files.put_if(key, _bytes(record), None)
            return
        before = RunRecord.model_validate_json(found[0])
        if same_subject:
            _check_same(before, record)
        self._put(before.model_copy(update={"ended": None, "ended_at": None}))

    def check_same(self, record: RunRecord) -> None:
        """Make sure that a run, where there is one with this id, is about the same. Raises `Conflict`."""
        if (found := self._files.read_version(_key(record.run_id, record.flow))) is not None:
            _check_same(RunRecord.model_validate_json(found[0]), record)

    def subject(self, run_id: str | None, flow: str) -> str:
        """What a run was begun about, as a plan's file; empty: there is no such run."""
        with suppress(NotFound):
            return self.read(run_id or "", flow).subject
        return ""

    def end(self, run_id: str, flow: str, how: Ended) -> None:
        """Note how an attempt ended."""
        with suppress(NotFound):
            self._put(self.read(run_id, flow).model_copy(update={"ended": how, "ended_at": datetime.now(UTC)}))

    def read(self, run_id: str, flow: str) -> RunRecord:
        """A run of a flow. Raises `NotFound`."""
        with suppress(BadInput):
            if (found := self._files.read_version(_key(run_id, flow))) is not None:
                return RunRecord.model_validate_json(found[0])
        raise NotFound(f"there is no run {run_id[:80]!r} of {flow}", fix="`c500 operations` lists them", field="run_id")

    def every(self) -> Iterator[RunRecord]:
        """All runs, in no order; what cannot be read is left out."""
        for key in self._files.list(f"{PREFIX}/"):
            with suppress(NotFound, ValidationError):
                yield RunRecord.model_validate_json(self._files.read_bytes(key))

    def _put(self, record: RunRecord) -> None:
        self._files.put_bytes(_key(record.run_id, record.flow), _bytes(record), "application/json")


def _check_same(before: RunRecord, now: RunRecord) -> None:
    if before.subject != now.subject:
        raise Conflict(
            f"run {now.run_id} of {now.flow} is about {before.subject}, and not {now.subject}",
            fix="go on with it as it was begun, or begin a new run",
            field="run_id",
        )


def _key(run_id: str, flow: str) -> str:
    # A flow that runs within another, as a watch within a deployment, has the same id.
    return safe_key(f"{PREFIX}/{run_id}/{flow}.json")


def _bytes(record: RunRecord) -> bytes:
    return record.model_dump_json().encode()
