"""What has become of which row: the output, the failures beside it, and an index of both.

The output itself is the ledger: a row whose line is in it is answered, a row with a line among the failures and none in
the output has failed, and all others are still to do. Nothing else has to agree with these two files.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from blocks.contracts.broken import broken
from blocks.errors import Conflict
from blocks.store.scratch import locked
from tasks.swarm.index import Index, Item
from tasks.swarm.job import SwarmJob
from tasks.swarm.journal import Journal, Record, line_at, line_of, read_lines, records, writing

State = Literal["new", "answered", "failed"]

ANSWERED = -1
"""In the index, in place of the offset of a failure's line."""

FAILED_ELSEWHERE = -2
"""The same for a failure whose line is in the files of another ledger."""

PAST = "cost_before_usd"
"""Field of a line: what the failures of its row cost that it replaces."""


@dataclass(frozen=True)
class Places:
    """Where a swarm writes.

    Attributes:
        answers: Lines of answered rows.
        failures: Lines of rows that failed.
        lock: Held by the run that writes.
    """

    answers: Path
    failures: Path
    lock: Path


def places_of(job: SwarmJob) -> Places:
    """For a Parquet file the answers are collected in JSON lines beside it; a part has files of its own."""
    output = job.output if job.part is None else f"{job.output}.part-{job.part:03}.jsonl"
    answers = Path(f"{output}.rows.jsonl" if output.lower().endswith(".parquet") else output)
    return Places(answers, Path(f"{output}.failed.jsonl"), Path(f"{output}.lock"))


def parts_of(job: SwarmJob) -> list[Places]:
    """The files of all parts that lie beside the output, those of an earlier run too."""
    output = Path(job.output)
    numbers = {path.name.removeprefix(f"{output.name}.part-")[:3] for path in output.parent.glob("*.part-???.jsonl*")}
    found = [job.model_copy(update={"part": int(number)}) for number in sorted(numbers) if number.isdigit()]
    return [places_of(part) for part in found]


class Sizes(NamedTuple):
    """Bytes of a ledger's files: what is written from then on lies beyond."""

    answers: int
    failures: int


class Ledger:
    """The rows of a swarm that are done, and the files to which more are added.

    Args:
        places: Its files.
        question: What the answers must be answers to.

    Attributes:
        index: Rows by key: answered, or the offset of the line of their failure.
        cost_usd: What all lines say that they cost, with the earlier failures of their rows.
    """

    def __init__(self, places: Places, question: str) -> None:
        self.places, self.question = places, question
        self.index = Index()
        self.cost_usd = 0.0
        self._is_empty = True
        self._journals: tuple[Journal, Journal] | None = None

    @property
    def failed(self) -> int:
        """How many rows have failed and are not answered."""
        return self.index.count_others(ANSWERED)

    def load(self, places: Places, *, repair: bool) -> None:
        """Read files.

        Args:
            places: Its own, or those of another ledger whose rows count as done too.
            repair: Whether to cut off torn ends.

        Raises:
            Conflict: they are answers to another question.
            BadInput: the output was not written by a swarm.
            ContractBroken: it answers a row twice.
        """
        is_own, is_first = places == self.places, self._is_empty
        self._is_empty = False
        twice: list[str] = []
        for _, record in records(places.answers, repair=repair):
            if self._note(record, ANSWERED) == ANSWERED and is_first:
                twice.append(f"row {record.get('row')}, column key: must be there once only, found {record['key']}")
        if twice:
            raise broken(
                "swarm answers", twice, fix="take one of the two lines out of the file", what=str(places.answers)
            )
        for offset, record in records(places.failures, repair=repair):
            self._note(record, offset if is_own else FAILED_ELSEWHERE)

    def open(self) -> None:
        """Begin to write; the files must have been repaired."""
        self._journals = Journal(self.places.answers), Journal(self.places.failures)

    @property
    def sizes(self) -> Sizes:
        """What was written so far."""
        answers, failures = self._opened
        return Sizes(answers.size, failures.size)

    def state_of(self, item: Item) -> State:
        """What has become of a row."""
        known = self.index[item.key]
        return "new" if known is None else "answered" if known == ANSWERED else "failed"

    def answer(self, record: Record) -> None:
        """A row is answered."""
        record = self._with_past(record)
        self._opened[0].append(record)
        self._note(record, ANSWERED)

    def fail(self, record: Record) -> None:
        """A row has failed."""
        record = self._with_past(record)
        self._note(record, self._opened[1].append(record))

    def has(self, record: Record) -> bool:
        """Whether this failure, or an answer to its row, is in it."""
        earlier = self._failure_of(record["key"])
        return self.index[record["key"]] == ANSWERED or (
            earlier is not None and _without_past(earlier) == _without_past(record)
        )

    def sync(self) -> None:
        """Have the disk write what was added. Blocks."""
        for journal in self._opened:
            journal.sync()

    def close(self) -> None:
        """Let go of the files, after the failures of rows that were answered since are taken out."""
        if self._journals is not None:
            for journal in self._journals:
                journal.close()
            self._journals = None
            self._tidy()

    @property
    def _opened(self) -> tuple[Journal, Journal]:
        if self._journals is None:
            raise RuntimeError("the ledger was opened for reading only")
        return self._journals

    def _note(self, record: Record, number: int) -> int | None:
        """Enter a line; returns what the index had for its row."""
        key: str = record["key"]
        if not key.startswith(f"{self.question}."):
            raise Conflict(
                f"{self.places.answers} holds answers to another prompt, schema or model",
                fix="name another output, or move that file away",
                field="output",
            )
        known = self.index[key]
        if number == ANSWERED or known != ANSWERED:
            self.index[key] = number
        if known is None:
            self.cost_usd += record.get(PAST) or 0.0
        if known != ANSWERED:  # else it is the failure of a row whose answer has its money in `PAST`
            self.cost_usd += record.get("cost_usd") or 0.0
        return known

    def _failure_of(self, key: str) -> Record | None:
        """The last line of a row that has failed."""
        offset = self.index[key]
        return None if offset is None or offset < 0 else line_at(self.places.failures, offset)

    def _with_past(self, record: Record) -> Record:
        """A line that replaces the failure of its row, with the money of that."""
        earlier = self._failure_of(record["key"])
        if earlier is None:
            return record
        past_usd: float = (earlier.get("cost_usd") or 0.0) + (earlier.get(PAST) or 0.0)
        return {**record, PAST: round(past_usd, 9)} if past_usd else record

    def _tidy(self) -> None:
        """Write the failures anew: one line for each row that has failed and is not answered."""
        failures = self.places.failures
        fresh = failures.with_name(f"{failures.name}.new")
        with writing(fresh), fresh.open("wb") as file:
            for offset, record in read_lines(failures):
                if record is not None and self.index[record["key"]] == offset:
                    file.write(line_of(record))
            file.flush()
            os.fsync(file.fileno())
        if fresh.stat().st_size:
            fresh.replace(failures)
        else:
            failures.unlink(missing_ok=True)
            fresh.unlink()


def _without_past(record: Record) -> Record:
    return {name: value for name, value in record.items() if name != PAST}


def read_ledger(job: SwarmJob) -> Ledger:
    """What is done of a job, looked at only."""
    ledger = Ledger(places_of(job), job.question)
    ledger.load(ledger.places, repair=False)
    return ledger


@contextmanager
def open_ledger(job: SwarmJob, *, beside: Places | None = None) -> Generator[Ledger]:
    """What is done of a job, for the one run that goes on with it.

    Args:
        job: The job.
        beside: Files of another ledger whose rows count as done too.

    Raises:
        Conflict: another run writes to this output, or it holds answers to another question.
        BadInput: the output was not written by a swarm.
    """
    ledger = Ledger(places_of(job), job.question)
    with locked(ledger.places.lock, wait=False) as alone:
        if not alone:
            raise Conflict(f"another run writes to {job.output}", fix="wait for it, or cancel it", field="output")
        _refuse_foreign_table(job, ledger.places)
        if beside is not None:
            ledger.load(beside, repair=False)
        ledger.load(ledger.places, repair=True)
        ledger.open()
        try:
            yield ledger
        finally:
            ledger.close()


def merge(ledger: Ledger, part: Places) -> None:
    """Take over the rows of a part, and remove it; done once more after a kill, it does no harm.

    Raises:
        Conflict: a run still writes to the part.
    """
    with locked(part.lock, wait=False) as alone:
        if not alone:
            raise Conflict(f"a shard still writes to {part.answers}", fix="wait for it, or cancel it", field="output")
        for path, add in ((part.answers, ledger.answer), (part.failures, ledger.fail)):
            for _, record in records(path, repair=True):
                if not ledger.has(record):
                    add(record)
        ledger.sync()
        part.answers.unlink(missing_ok=True)
        part.failures.unlink(missing_ok=True)


def collect_parts(job: SwarmJob, ledger: Ledger) -> None:
    """Take over what lies in parts, those that a killed run left too. Raises `Conflict`: a shard still writes."""
    for part in parts_of(job):
        merge(ledger, part)


def _refuse_foreign_table(job: SwarmJob, places: Places) -> None:
    output = Path(job.output)
    if job.part is None and places.answers != output and output.exists() and not places.answers.exists():
        raise Conflict(
            f"{output} exists, and {places.answers.name} does not", fix="name another output", field="output"
        )
