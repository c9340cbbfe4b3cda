"""What a measurement found, as a record."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from blocks.model import Frozen
from tasks.fast_response.asked import LoadOptions
from tasks.fast_response.call import Call
from tasks.fast_response.client import ClientCost
from tasks.fast_response.gate import Judged, at_least, at_most, judged
from tasks.fast_response.latencies import Latencies, latencies
from tasks.fast_response.load import Loop
from tasks.fast_response.quality import Quality, quality
from tasks.fast_response.server_metrics import Compared
from tasks.fast_response.turns import Turn

GROWING = 0.9
"""A queue that is as long at its end, of its longest, has not been worked off."""

GREW = ", more and more until the last was sent: it cannot do this rate, and a longer loop would find longer latencies"

SAME_COUNT = 0.02
"""By so much the server's count may differ from ours before others are suspected to have asked it, too."""


class Failed(Frozen):
    """Requests that failed alike: the error's code, how many, and one of their messages."""

    error: str
    count: int
    message: str


class LoopReport(Frozen):
    """What one loop found.

    Attributes:
        loop: Which.
        callers: Of the closed loop.
        rate_per_s: Of the open loop, as it was asked for.
        requests: Sent.
        answered: Those that were.
        seconds: From the begin of the loop to its last answer.
        answered_per_s: Answered / seconds.
        most_in_flight: The most requests under way at once.
        left: Requests under way when the last one was sent, in an open loop.
        ttft: Time to the first token, of those answered.
        total: Time to the last token, of those answered.
        tokens_per_s: Tokens of all replies / seconds.
        reply_tokens: Mean tokens of a reply.
        prompt_tokens: Mean tokens of a prompt.
        cached_share: Share of the prompts' tokens that the server still had.
        has_estimates: Whether a server did not count its tokens.
        failed: Those that failed, by error.
        quality: What the replies are like.
        client: What our own client cost.
        server: What vLLM servers say of themselves.
        verdict: What had to hold, and whether it does.
        notes: What makes the figures doubtful.
    """

    loop: Literal["closed", "open"]
    callers: int | None = None
    rate_per_s: float | None = None
    requests: int
    answered: int
    seconds: float
    answered_per_s: float
    most_in_flight: int
    left: int | None
    ttft: Latencies
    total: Latencies
    tokens_per_s: float
    reply_tokens: float
    prompt_tokens: float
    cached_share: float
    has_estimates: bool
    failed: tuple[Failed, ...]
    quality: Quality
    client: ClientCost
    server: tuple[Compared, ...] = ()
    verdict: tuple[Judged, ...]
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all goals are met."""
        return all(one.ok for one in self.verdict)


class LoadReport(Frozen):
    """A measurement.

    Attributes:
        at: When it ended.
        asked: How it was asked for.
        turns: Different turns that were sent.
        loops: What each loop found.
        ok: Whether all goals are met in all loops.
    """

    at: datetime
    asked: LoadOptions
    turns: int
    loops: tuple[LoopReport, ...]
    ok: bool

    @property
    def missed(self) -> list[str]:
        """The goals that are not met, in words."""
        return [
            f"{loop.loop} loop: {one.goal}, found {one.found}"
            for loop in self.loops
            for one in loop.verdict
            if not one.ok
        ]


def report_of(turns: Sequence[Turn], load: LoadOptions, closed: Loop | None, opened: Loop | None) -> LoadReport:
    """What the loops found."""
    loops: list[LoopReport] = []
    if closed is not None:
        loops.append(_loop_report("closed", closed, len(turns), load))
    if opened is not None:
        loops.append(_loop_report("open", opened, len(turns), load))
    ok = all(one.ok for one in loops)
    return LoadReport(at=datetime.now(UTC), asked=load, turns=len(turns), loops=tuple(loops), ok=ok)


def calls_lines(closed: Loop | None, opened: Loop | None) -> bytes:
    """What became of each request of each loop, a line of JSON each."""
    lines: list[str] = []
    for kind, loop in (("closed", closed), ("open", opened)):
        for call in loop.calls if loop else ():
            lines.append(json.dumps({"loop": kind, **call.model_dump()}, ensure_ascii=False) + "\n")
    return "".join(lines).encode("utf-8", "replace")


def _loop_report(kind: Literal["closed", "open"], loop: Loop, turns: int, load: LoadOptions) -> LoopReport:
    answered = [call for call in loop.calls if call.error is None]
    ttft = latencies(call.ttft_ms for call in answered if call.ttft_ms is not None)
    total = latencies(call.total_ms for call in answered if call.total_ms is not None)
    prompt = sum(call.prompt_tokens for call in answered)
    tokens, count = sum(call.tokens for call in answered), max(1, len(answered))
    found = quality(loop.calls)
    if loop.cost is None:
        raise ValueError("the loop has not ended")
    report = LoopReport(
        loop=kind,
        callers=load.callers if kind == "closed" else None,
        rate_per_s=load.rate_per_s if kind == "open" else None,
        requests=len(loop.calls),
        answered=len(answered),
        seconds=loop.seconds,
        answered_per_s=len(answered) / loop.seconds,
        most_in_flight=loop.most_in_flight,
        left=loop.left,
        ttft=ttft,
        total=total,
        tokens_per_s=tokens / loop.seconds,
        reply_tokens=tokens / count,
        prompt_tokens=prompt / count,
        cached_share=sum(call.cached_tokens for call in answered) / max(1, prompt),
        has_estimates=any(call.is_estimate for call in answered),
        failed=_failed(loop.calls),
        quality=found,
        client=loop.cost,
        server=loop.server.compared(ttft, total) if loop.server else (),
        verdict=_verdict(loop.calls, found, load),
    )
    return report.model_copy(update={"notes": tuple(_notes(report, turns, load))})


def _verdict(calls: Sequence[Call], found: Quality, load: LoadOptions) -> tuple[Judged, ...]:
    failed = sum(call.error is not None for call in calls) / max(1, len(calls))
    verdict = [*judged(calls, load.goals), at_most("failed requests", failed, load.max_error_share)]
    if load.min_usable_share is not None:
        verdict.append(at_least("usable replies", found.whole.usable_share, load.min_usable_share))
    return tuple(verdict)


def _failed(calls: Sequence[Call]) -> tuple[Failed, ...]:
    """By error, the most frequent first."""
    messages: dict[str, list[str]] = {}
    for call in calls:
        if call.error is not None:
            messages.setdefault(call.error, []).append(call.message or "")
    found = [Failed(error=error, count=len(told), message=told[0]) for error, told in messages.items()]
    return tuple(sorted(found, key=lambda one: -one.count))


def _notes(report: LoopReport, turns: int, load: LoadOptions) -> list[str]:
    """What makes the figures doubtful."""
    notes: list[str] = []
    client = report.client
    if turns < report.requests:
        notes.append(
            f"{report.requests} requests of {turns} different turns: a server that keeps prompts answers repeats faster"
        )
    if report.left is not None and report.most_in_flight > load.max_num_seqs:
        notes.append(
            f"up to {report.most_in_flight} requests were under way, and the server works on {load.max_num_seqs} at "
            "once: the others queued" + (GREW if report.left >= GROWING * report.most_in_flight else "")
        )
    if client.is_busy:
        notes.append(f"our own client took {client.cpu_share:.0%} of a core: part of the latency may be ours")
    if client.waited_share > 0:
        notes.append(f"{client.waited_share:.1%} of the requests waited for limits of accounts.yaml")
    if client.retried:
        notes.append(f"{client.retried} requests were sent more than once; the time of all attempts counts")
    if report.has_estimates:
        notes.append("the server did not count tokens: they are estimated")
    counted = [one.count for one in report.server if one.what == "ttft"]
    if counted and abs(counted[0] - report.answered) > SAME_COUNT * report.answered:
        notes.append(f"the server counted {counted[0]} requests, we {report.answered}: others may have asked it, too")
    return notes
