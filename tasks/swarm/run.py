"""A swarm at work in this process: rows fed from the source, so many in flight, each written down as it ends."""

import asyncio
from collections.abc import Iterator
from itertools import islice

from blocks.accounts.structured import Completes
from blocks.accounts.traffic import Traffic
from blocks.errors import C500Error
from blocks.progress import in_thread
from blocks.rows.prompt import Prompt
from blocks.settings import settings
from tasks.swarm.ask import Asking, Halt, Outcome
from tasks.swarm.index import Item, items
from tasks.swarm.job import SwarmJob
from tasks.swarm.ledger import Ledger
from tasks.swarm.pace import unanswered
from tasks.swarm.survey import Survey
from tasks.swarm.tally import Tally

FEED = 64
"""Rows read at a time, in a thread; so many wait to be asked at most, beside those in flight."""

PATIENCE_S = 3600.0
"""A row waits so long for limits; one that leaves no room within that, as that of a day, ends the swarm."""

GRACE_S = 60.0
"""Rows in flight may end within this when the swarm cannot go on: they are paid for."""

OUTAGE_GRACE_S = 2.0
"""The same when no account answers: hardly any is in flight."""


class SwarmRun:
    """One run of a swarm.

    Args:
        job: What to do.
        pool: Who answers; a `Pool`.
        ledger: What is done; open.
        survey: What there is to do.
        rows: The first and the last row that are its own, counted from 1; None for all.
        traffic: Of the pool: it tells calls in flight from those that wait, and when no account answers.
    """

    def __init__(
        self,
        job: SwarmJob,
        pool: Completes,
        ledger: Ledger,
        survey: Survey,
        rows: tuple[int, int] | None = None,
        traffic: Traffic | None = None,
    ) -> None:
        self.job, self.ledger, self.survey = job, ledger, survey
        is_spread = job.workers > 0 and job.part is None
        self.tally = Tally(due=survey.due, traffic=traffic or Traffic(), is_spread=is_spread)
        self.is_fed = False
        self.halted: C500Error | None = None
        self._halted = asyncio.Event()
        self._grace_s = GRACE_S
        self._doubtful: list[Outcome] = []
        self._prompt = Prompt(job.prompt)
        self._asking = Asking(pool, job, self.tally, PATIENCE_S)
        self._slots = asyncio.Semaphore(job.concurrency)
        self._due = due(job, ledger, rows)

    @property
    def is_halted(self) -> bool:
        """Whether no further row may begin: it was halted, or a fault of ours is about to be raised."""
        return self._halted.is_set()

    def halt(self, error: C500Error) -> None:
        """Begin no further row; the first reason is the one that is told."""
        self.halted = self.halted or error
        self._halted.set()
        self._slots.release()  # whoever waits to begin a row sees that there is none to begin

    def watch(self) -> None:
        """Halt it when no account has answered for SWARM_OUTAGE_S; to be asked about once a second."""
        traffic = self.tally.traffic
        if not self.is_halted and traffic.outage_s >= settings().swarm_outage_s:
            self._grace_s = OUTAGE_GRACE_S
            self.halt(unanswered(traffic))

    def settle(self) -> None:
        """At its end: rows that failed while nobody was answered are left as they were, and halt it."""
        for outcome in self._doubtful:
            self.tally.cost_usd += outcome.record["cost_usd"] or 0.0
            if outcome.doubt is not None:
                self.halt(outcome.doubt)
        self._doubtful.clear()

    async def work(self, rows: int, fed: asyncio.Event) -> int:
        """Do the next rows, several at once.

        Args:
            rows: How many.
            fed: Set when all of them are in flight or done, so that the next shard can begin.

        Returns:
            How many there were.

        Raises:
            C500Error: the output cannot be written.
        """
        begun: set[asyncio.Task[None]] = set()
        taken = 0
        try:
            while taken < rows and not self.is_halted:
                batch = await in_thread(self._take, min(FEED, rows - taken))
                taken += len(batch)
                if not batch:
                    self.is_fed = True
                    break
                for item, prompt in batch:
                    await self._begin(item, prompt, begun)
            fed.set()
            await self._end(begun)
        finally:
            fed.set()
            for one in begun:
                one.cancel()
            await asyncio.gather(*begun, return_exceptions=True)
        return taken

    async def _begin(self, item: Item, prompt: str, begun: "set[asyncio.Task[None]]") -> None:
        await self._slots.acquire()
        if self.is_halted:
            self._slots.release()
            return
        row = asyncio.create_task(self._row(item, prompt))
        begun.add(row)
        row.add_done_callback(lambda done: self._ended(done, begun))

    async def _row(self, item: Item, prompt: str) -> None:
        self.tally.begun += 1
        try:
            self._write(await self._asking.ask(item, prompt))
        except Halt as halt:
            self.tally.cost_usd += halt.cost_usd
            self.halt(halt.error)
        except C500Error as error:  # the output cannot be written
            self.halt(error)
        finally:
            self.tally.begun -= 1

    def _ended(self, row: "asyncio.Task[None]", begun: "set[asyncio.Task[None]]") -> None:
        self._slots.release()
        if row.cancelled() or row.exception() is None:
            begun.discard(row)
        else:
            self._halted.set()  # a fault of ours: it stays in the set, and is raised there

    async def _end(self, begun: "set[asyncio.Task[None]]") -> None:
        """Wait for the rows in flight, and not for long when the swarm cannot go on."""
        halted = asyncio.create_task(self._halted.wait())
        try:
            while begun and not halted.done():
                await asyncio.wait({halted, *begun}, return_when=asyncio.FIRST_COMPLETED)
            if begun:
                await asyncio.wait(begun, timeout=self._grace_s)
            for row in begun:
                if row.done():
                    row.result()
        finally:
            halted.cancel()

    def _write(self, outcome: Outcome) -> None:
        if outcome.doubt is not None and not self.tally.answered and not self.job.retry_failed:
            self._doubtful.append(outcome)  # until somebody is answered, it may be the accounts and not the row
            return
        (self.ledger.answer if outcome.is_answer else self.ledger.fail)(outcome.record)
        self.tally.add(outcome.record, is_answer=outcome.is_answer)
        while self._doubtful and self.tally.answered:
            self._write(self._doubtful.pop(0))

    def _take(self, rows: int) -> list[tuple[Item, str]]:
        return [(item, self._prompt.render(item.row, item.number)) for item in islice(self._due, rows)]


def due(job: SwarmJob, ledger: Ledger, rows: tuple[int, int] | None = None) -> Iterator[Item]:
    """The rows that are to be done, in order.

    Args:
        job: The job.
        ledger: What is done.
        rows: The first and the last that count, from 1; None for all.
    """
    first, last = rows or (1, None)
    wanted = "failed" if job.retry_failed else "new"
    for item in items(job):
        if last is not None and item.number > last:
            return
        if item.number >= first and ledger.state_of(item) == wanted:
            yield item
