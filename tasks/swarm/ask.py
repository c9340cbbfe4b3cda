"""One row asked: until it is answered, has failed for good, or shows that the swarm cannot go on."""

import asyncio
import random
import time
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, ClassVar, Literal

import structlog

from blocks.accounts.chat import Answer, Caller, ChatRequest
from blocks.accounts.structured import Completes, Structured, ask
from blocks.errors import (
    BadInput,
    BudgetExceeded,
    C500Error,
    EngineFailed,
    EngineUnavailable,
    LimitReached,
    TimedOut,
    TooLarge,
)
from blocks.runs.record import INTERNAL_ERROR, SEE_LOG
from blocks.settings import settings
from tasks.swarm.index import Item
from tasks.swarm.job import SwarmJob
from tasks.swarm.journal import Record
from tasks.swarm.tally import Tally

TRIES = 3
"""How often a row is asked where another try may help; each has the pool's own attempts and a repair of a wrong answer.

While nobody else is answered it is asked more often: until somebody is, or for SWARM_OUTAGE_S.

With 30 % of calls failing in all ways, 1.3 % of rows fail a try (computed: 4 attempts, and two answers held against the
schema), and 2 of a million all three.
"""

PAUSE_S, LONGEST_PAUSE_S = 1.0, 20.0
STREAK_LEAST = 10

Verdict = Literal["again", "fail", "halt"]

log = structlog.stdlib.get_logger("c500")


class Unforeseen(C500Error):
    """A fault of ours, or of a library, met by one row."""

    code: ClassVar[str] = INTERNAL_ERROR


@dataclass(eq=False)
class Halt(Exception):
    """The swarm cannot go on; the row is left as it was, though its tries may have cost something."""

    error: C500Error
    cost_usd: float


@dataclass(frozen=True)
class Outcome:
    """What came of a row.

    Attributes:
        record: Its line.
        is_answer: Whether it goes into the output, or among the failures.
        doubt: Why it failed, when that would be the accounts' fault or ours, should no other row be answered either.
    """

    record: Record
    is_answer: bool
    doubt: C500Error | None = None


class Meter:
    """The pool for one row; notes what all tries took."""

    def __init__(self, pool: Completes) -> None:
        self._pool = pool
        self.answers: list[Answer] = []
        self.attempts = 0

    async def complete(self, request: ChatRequest, caller: Caller | None = None) -> Answer:
        """See `Pool.complete`."""
        try:
            answer = await self._pool.complete(request, caller)
        except C500Error as error:
            self.attempts += len(error.details.get("failures", ()))
            raise
        self.attempts += answer.attempts
        self.answers.append(answer)
        return answer

    @property
    def cost_usd(self) -> float:
        """Of all answers, useful or not; without those of unknown price."""
        return sum(answer.cost_usd or 0.0 for answer in self.answers)

    def tokens(self, name: str) -> int:
        """Sum of a field of `TokenUsage`."""
        return sum(getattr(answer.reply.usage, name) for answer in self.answers)


class Asking:
    """How a swarm asks its rows.

    Args:
        pool: Who answers.
        job: What is asked.
        tally: Where a row sees how others fare.
        patience_s: The longest one try may take, waiting for limits included.
    """

    def __init__(self, pool: Completes, job: SwarmJob, tally: Tally, patience_s: float) -> None:
        self._pool, self._job, self._tally, self._patience_s = pool, job, tally, patience_s

    async def ask(self, item: Item, prompt: str) -> Outcome:
        """Ask a row.

        Raises:
            Halt: no row can be answered now.
        """
        meter, start = Meter(self._pool), time.monotonic()
        if not prompt:
            return self._failed(item, meter, start, BadInput("its prompt is empty", fix="correct the row"))
        request, answered = self._job.request(prompt), self._tally.answered
        last: C500Error | None = None
        for turn in count(1):
            try:
                return self._answered(item, meter, start, await self._try(request, meter, last))
            except Exception as raised:  # noqa: BLE001 - it becomes the row's failure; no row may end all the others
                last = error = raised if isinstance(raised, C500Error) else _unforeseen(item, raised)
            verdict = self._verdict(error)
            if verdict == "halt":
                raise Halt(error, meter.cost_usd) from error
            # A row is given up only when others were answered meanwhile: else it is the accounts, and not the row.
            alone = answered == self._tally.answered and not isinstance(error, EngineFailed)
            if verdict == "fail" or (turn >= TRIES and not alone):
                return self._given_up(item, meter, start, error)
            if not isinstance(error, EngineFailed):
                pause_s = random.uniform(0, min(LONGEST_PAUSE_S, PAUSE_S * 2 ** min(turn - 1, 5)))  # noqa: S311 - jitter
                await asyncio.sleep(min(pause_s, self._left_s()))
        raise AssertionError("unreachable")  # pragma: no cover

    async def _try(
        self, request: ChatRequest, meter: Meter, last: C500Error | None
    ) -> "Structured[dict[str, Any]] | Answer":
        left_s = min(self._patience_s, self._left_s())
        if left_s <= 0:
            told = f": {last.message}" if last else ""
            raise TimedOut(f"the deadline has passed{told}", fix="run it again with more time: what is done is kept")
        job = self._job
        caller = Caller(user=job.user, job=job.job_name, labels=job.accounts, deadline_s=left_s)
        if job.answer_schema is not None:
            return await ask(meter, request, job.answer_schema, caller)
        answer = await meter.complete(request, caller)
        if answer.reply.refusal or answer.reply.finish_reason == "content_filter":
            told = answer.reply.refusal or "the provider withheld the answer"
            raise EngineFailed(f"the model declined: {told[:300]}", fix="change the row or the prompt")
        if not answer.reply.text.strip():
            raise EngineFailed("the answer is empty", fix="run it again with --retry-failed", problems=["empty"])
        return answer

    def _verdict(self, error: C500Error) -> Verdict:
        """What an error of a try means for its row, and for all."""
        if isinstance(error, LimitReached) and "limits" in error.details:
            # None: the request itself is larger than a limit, so that it never fits.
            return "fail" if error.details.get("retry_after_s") is None else "halt"
        if isinstance(error, EngineFailed):
            return "again" if error.details.get("problems") else "fail"
        if isinstance(error, BudgetExceeded) or (isinstance(error, TimedOut) and self._left_s() <= 0):
            return "halt"
        if isinstance(error, TooLarge):
            return "fail"
        if not isinstance(error, LimitReached | TimedOut | EngineUnavailable | BadInput | Unforeseen):
            return "halt"
        if isinstance(error, BadInput | Unforeseen):
            self._tally.streak += 1
            return "halt" if self._tally.streak >= max(STREAK_LEAST, self._job.concurrency) else "fail"
        self._tally.fault()
        # A provider's outage of a minute or two must not end a run of hours.
        is_over = self._tally.faults >= STREAK_LEAST and self._tally.faulty_s >= settings().swarm_outage_s
        return "halt" if is_over else "again"

    def _left_s(self) -> float:
        return float("inf") if self._job.deadline_s is None else self._job.deadline_s - self._tally.elapsed_s

    def _answered(
        self, item: Item, meter: Meter, start: float, found: "Structured[dict[str, Any]] | Answer"
    ) -> Outcome:
        self._tally.worked()
        said = {"text": found.reply.text} if isinstance(found, Answer) else {"value": found.value}
        reason = meter.answers[-1].reply.finish_reason
        return Outcome({**self._head(item), **said, "source": "model", **_taken(meter, start, reason)}, True)

    def _given_up(self, item: Item, meter: Meter, start: float, error: C500Error) -> Outcome:
        """The caller's own value where there is one and the model gave none, else a failure."""
        fallback = self._job.fallback
        if fallback is not None and error.details.get("problems") and (value := fallback.value_for(item.row)):
            reason = meter.answers[-1].reply.finish_reason
            said = {"value": value, "source": "fallback", "problems": error.details["problems"]}
            return Outcome({**self._head(item), **said, **_taken(meter, start, reason)}, True)
        failed = self._failed(item, meter, start, error)
        is_doubtful = isinstance(error, BadInput | Unforeseen) and not isinstance(error, TooLarge)
        return replace(failed, doubt=error) if is_doubtful else failed

    def _failed(self, item: Item, meter: Meter, start: float, error: C500Error) -> Outcome:
        told = {"code": error.code, "reason": error.message[:2_000], "fix": error.fix, "input": item.row}
        return Outcome({"key": item.key, "row": item.number, **told, **_taken(meter, start, None)}, False)

    def _head(self, item: Item) -> Record:
        head: Record = {"key": item.key, "row": item.number}
        return {**head, "input": {name: item.row.get(name) for name in self._job.keep}} if self._job.keep else head


def _unforeseen(item: Item, raised: Exception) -> Unforeseen:
    log.error("a row failed in a way nobody foresaw", row=item.number, exc_info=raised)
    error = Unforeseen(f"{type(raised).__name__}: {raised}", fix=SEE_LOG)
    error.__cause__ = raised
    return error


def _taken(meter: Meter, start: float, finish_reason: str | None) -> Record:
    """What a row took, over all its tries."""
    last = meter.answers[-1] if meter.answers else None
    unknown = any(answer.cost_usd is None for answer in meter.answers)
    return {
        "account": last and last.account,
        "model": last and last.model,
        "tokens": {
            "prompt": meter.tokens("prompt_tokens"),
            "completion": meter.tokens("completion_tokens"),
            "cached": meter.tokens("cached_tokens"),
        },
        "cost_usd": None if unknown else round(meter.cost_usd, 9),
        "attempts": meter.attempts,
        "latency_s": round(time.monotonic() - start, 3),
        "finish_reason": finish_reason,
    }
