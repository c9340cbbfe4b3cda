"""A batch at work in this process: chunks in flight, each asked until every row has all that is wanted of it."""

import asyncio
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from blocks.accounts.traffic import Traffic
from blocks.errors import (
    BadInput,
    C500Error,
    EngineFailed,
    EngineUnavailable,
    LimitReached,
    TimedOut,
    TooLarge,
)
from blocks.progress import in_thread
from blocks.settings import settings
from tasks.batch_prompts.chunk import Chunk, prompt_of
from tasks.batch_prompts.coverage import Coverage
from tasks.batch_prompts.engine import Answered, Engine
from tasks.batch_prompts.ledger import Ledger, Spent
from tasks.batch_prompts.plan import Plan

MOST_TURNS = 4
"""Questions about one chunk before it is divided: the first, one repair, and more while each brings something."""

TRIES = 3
"""Questions in a row about a single row that bring nothing, before it is given up."""

STREAK = 10
"""So many questions that no account understood, and none answered meanwhile: it is not the rows."""

GRACE_S, OUTAGE_GRACE_S = 60.0, 2.0
"""Questions in flight may end within this when nothing more is asked: they are paid for. In an outage hardly any is."""


class NotNow(C500Error):
    """A chunk that no account answers for the moment; its rows are left as they were."""

    code: ClassVar[str] = EngineUnavailable.code
    transient: ClassVar[bool] = True


@dataclass
class Tally:
    """How far a run is.

    Attributes:
        due: Rows to do in this run.
        answered: Rows that got all their output rows.
        given_up: Rows for people to look at.
        chunks: Chunks that were begun.
        asked: Questions that were answered, well or not.
        repairs: Of these, those that asked for what was missing.
        cost_usd: Of all questions.
        prompt_tokens: Sent.
        completion_tokens: Answered.
        latency_s: Of all questions together.
        by_account: Questions by the account that answered.
        streak: Questions that no account understood since the last answer.
    """

    due: int = 0
    answered: int = 0
    given_up: int = 0
    chunks: int = 0
    asked: int = 0
    repairs: int = 0
    cost_usd: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_s: float = 0.0
    by_account: dict[str, int] = field(default_factory=dict[str, int])
    streak: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def share(self) -> float:
        """Share of the rows that ended."""
        return (self.answered + self.given_up) / self.due if self.due else 1.0

    @property
    def elapsed_s(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began

    def count(self, answered: Answered, chunk: Chunk, latency_s: float) -> None:
        """Count a question."""
        self.asked += 1
        self.repairs += bool(chunk.problems)
        self.cost_usd += answered.cost_usd or 0.0
        self.prompt_tokens += answered.prompt_tokens
        self.completion_tokens += answered.completion_tokens
        self.latency_s += latency_s
        who = answered.account or answered.session or "?"
        self.by_account[who] = self.by_account.get(who, 0) + 1
        self.streak = 0


class BatchRun:
    """One run of a plan.

    Args:
        plan: What to do.
        engine: Who answers.
        ledger: What is done; open.
        traffic: Of the pool: it tells when no account answers.
    """

    def __init__(self, plan: Plan, engine: Engine, ledger: Ledger, traffic: Traffic | None = None) -> None:
        self.plan, self.ledger, self.tally = plan, ledger, Tally()
        self.halted: C500Error | None = None
        self._engine, self._coverage = engine, Coverage(plan)
        self._traffic = traffic or Traffic()
        self._slots = asyncio.Semaphore(plan.file.concurrency)
        self._begun: set[asyncio.Task[None]] = set()

    def halt(self, error: C500Error, grace_s: float = GRACE_S) -> None:
        """Ask nothing more; the first reason is the one that is told.

        Args:
            error: Why.
            grace_s: What is in flight may end within so many seconds.
        """
        if self.halted is None:
            self.halted = error
            asyncio.get_running_loop().call_later(grace_s, self._cancel)

    def _cancel(self) -> None:
        for chunk in self._begun:
            chunk.cancel()

    def watch(self) -> None:
        """Halt it when no account has answered for SWARM_OUTAGE_S; to be asked about once a second."""
        if self.halted is None and self._traffic.outage_s >= settings().swarm_outage_s:
            told = f"no account answers for {self._traffic.outage_s:.0f} s: {self._traffic.told}"
            error = EngineUnavailable(told, fix="see c500 accounts check", accounts=self._traffic.accounts)
            self.halt(error, OUTAGE_GRACE_S)

    async def work(self, group: str, numbers: Sequence[int]) -> None:
        """Do rows of a group, several chunks at once.

        Raises:
            NotNow: some chunks found no account that answers; the same again goes on with these.
            C500Error: the ledger cannot be written.
        """
        later: list[NotNow] = []
        cut = _cut(numbers, await in_thread(self.ledger.begun, group), self.plan.file.chunk_size)
        async with asyncio.TaskGroup() as chunks:
            for some in cut:
                await self._slots.acquire()
                if self.halted is not None:
                    self._slots.release()
                    break
                begun = chunks.create_task(self._in_slot(group, some, later))
                self._begun.add(begun)
                begun.add_done_callback(self._ended)
        if later and self.halted is None:
            raise later[0]

    def _ended(self, chunk: "asyncio.Task[None]") -> None:
        self._begun.discard(chunk)
        self._slots.release()

    async def _in_slot(self, group: str, numbers: Sequence[int], later: list[NotNow]) -> None:
        self.tally.chunks += 1
        try:
            await self._settle(await in_thread(self._chunk, group, numbers))
        except NotNow as error:
            later.append(error)
        except C500Error as error:
            self.halt(error)

    def _chunk(self, group: str, numbers: Sequence[int]) -> Chunk:
        items = tuple(self.ledger.items(numbers))
        wanted = {item.number: self.ledger.wanted(item) for item in items}
        return Chunk(group=group, items=items, wanted=wanted, asked=self.ledger.asked(items))

    async def _settle(self, chunk: Chunk, turns: int = 2) -> None:
        """Ask until nothing is missing, then in halves, and give up a row that even by itself is not answered.

        Args:
            chunk: What is wanted.
            turns: Questions in a row that bring nothing before it is divided.
        """
        turn, fruitless, is_too_large = 0, 0, False
        while chunk.items and not is_too_large:
            if self.halted is not None:
                return
            alone = len(chunk.items) == 1
            if fruitless >= (TRIES if alone else turns) or (turn >= MOST_TURNS and not alone):
                break
            before = chunk.units
            chunk, is_too_large = await self._ask(chunk)
            turn, fruitless = turn + 1, 0 if chunk.units < before else fruitless + 1
        if len(chunk.items) > 1:
            for half in chunk.halves():
                await self._settle(half, turns=1)
        elif chunk.items:
            await self._give_up(chunk)

    async def _ask(self, chunk: Chunk) -> tuple[Chunk, bool]:
        """Ask once: what is still wanted then, and whether the question was too large."""
        began = time.monotonic()
        try:
            answered = await self._engine.answer(chunk, prompt_of(self.plan, chunk))
        except (EngineFailed, BadInput, LimitReached, EngineUnavailable, TimedOut) as error:
            self._judge(error)
            answered = Answered(problems=(error.message[:500],), cost_usd=error.details.get("cost_usd", 0.0))
            self.tally.cost_usd += answered.cost_usd or 0.0
            is_too_large = isinstance(error, TooLarge | LimitReached)
        else:
            self.tally.count(answered, chunk, time.monotonic() - began)
            is_too_large = False
        covered = self._coverage.check(chunk, answered.rows)
        spent = Spent(answered.cost_usd, answered.session, answered.model)
        done = await in_thread(self.ledger.save, chunk.items, covered.found, spent)
        self.tally.answered += len(done)
        rest = chunk.less({number: tuple(units) for number, units in covered.found.items()})
        problems = (*answered.problems, *covered.problems)
        return replace(rest, problems=problems, session=answered.session or chunk.session), is_too_large

    def _judge(self, error: C500Error) -> None:
        """Whether an error is only this chunk's; raises it, or that it is to be asked later, where it is not."""
        if isinstance(error, EngineFailed | TooLarge):
            return
        if isinstance(error, LimitReached) and "limits" in error.details:
            if error.details.get("retry_after_s") is None:
                return  # the question itself is larger than a limit: a smaller one may fit
            raise error
        if isinstance(error, BadInput):
            self.tally.streak += 1
            if self.tally.streak >= STREAK:
                raise error
            return
        raise NotNow(error.message, fix=error.fix, **error.details) from error

    async def _give_up(self, chunk: Chunk) -> None:
        reason = "; ".join(chunk.problems[:5])
        if not self.tally.answered and self.tally.streak:
            # Nobody was answered, and this row was not understood: it may be the accounts and not the row.
            raise BadInput(reason, fix="see c500 accounts check")
        await in_thread(self.ledger.give_up, chunk.items[0], reason)
        self.tally.given_up += 1


def _cut(numbers: Sequence[int], begun: Container[int], size: int) -> list[list[int]]:
    """Rows in chunks, those that were asked before apart from the others.

    What a chunk has left over would else move all that follow, and an agent's session is found again by its rows.
    """
    parts = ([one for one in numbers if one not in begun], [one for one in numbers if one in begun])
    return [part[first : first + size] for part in parts for first in range(0, len(part), size)]
