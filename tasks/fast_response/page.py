"""A measurement, or replies, as a page for people."""

from collections.abc import Iterator, Sequence

from blocks.markdown import code
from blocks.plain_text import plain
from tasks.fast_response.latencies import PERCENTS, Latencies, Percentile, least_samples
from tasks.fast_response.quality import Quality
from tasks.fast_response.reply import Replies, Reply
from tasks.fast_response.report import LoadReport, LoopReport

DEFINITION = (
    "Percentiles are nearest-rank (the inverse of the empirical distribution function, Hyndman and Fan 1996, "
    "definition 1), of the requests that were answered, with their 95 % interval; n/a where there are too few ("
    + ", ".join(f"p{percent}: {least_samples(percent)}" for percent in PERCENTS)
    + "). Times are of the monotonic clock, from when a request was due. Goals count a request that failed as one that "
    "took for ever."
)

WORDS = {"ttft": "first token", "total": "last token", "queue": "in the server's queue"}
MET = {True: "ok", False: "**missed**"}
MOST_ROWS = 50


def load_page(report: LoadReport) -> str:
    """A measurement as Markdown."""
    asked = report.asked
    lines = [
        f"# Fast response: {'all goals met' if report.ok else 'goals missed'}",
        "",
        f"{asked.model or 'tier simple'}, history as {asked.form}, {report.turns} different turns, at most "
        f"{asked.max_tokens} tokens a reply; {asked.warmup} requests before to warm up, not counted. {DEFINITION}",
        "",
        *_latency_table(report.loops),
    ]
    for loop in report.loops:
        lines += ["", *_loop(loop)]
    return "\n".join(lines) + "\n"


def replies_page(replies: Replies) -> str:
    """Replies as Markdown: the first of them, and what all are like."""
    whole = replies.quality.whole
    head = f"{whole.usable} of {len(replies.replies)} replies can be spoken; {replies.failed} failed"
    rows = [_reply_row(one) for one in replies.replies[:MOST_ROWS]]
    more = [f"… and {len(replies.replies) - MOST_ROWS} more"] if len(replies.replies) > MOST_ROWS else []
    table = _table(("turn", "intent", "reply", "faults", "first token", "last token"), rows)
    return "\n".join([f"# {head}", "", *table, *more, "", *_quality(replies.quality)]) + "\n"


def _reply_row(one: Reply) -> list[str]:
    wrong = one.error or ", ".join(one.faults)
    return [_cell(one.turn), one.intent or "", _cell(one.reply), wrong, _ms(one.ttft_ms), _ms(one.total_ms)]


def _latency_table(loops: Sequence[LoopReport]) -> list[str]:
    rows = [
        [_load(loop), what, *(_percentile(one) for one in found.percentiles), _ms(found.max_ms), _ms(found.mean_ms)]
        for loop in loops
        for what, found in ((WORDS["ttft"], loop.ttft), (WORDS["total"], loop.total))
    ]
    return _table(("loop", "until", *(f"p{percent}" for percent in PERCENTS), "longest", "mean"), rows)


def _loop(loop: LoopReport) -> list[str]:
    return [
        f"## {_load(loop).capitalize()}: {'goals met' if loop.ok else 'goals missed'}",
        "",
        *_table(("goal", "found", ""), [[one.goal, one.found, MET[one.ok]] for one in loop.verdict]),
        "",
        f"{loop.answered} of {loop.requests} requests answered in {loop.seconds:.1f} s: {loop.answered_per_s:.1f} a "
        f"second, {loop.tokens_per_s:.0f} tokens a second; {loop.reply_tokens:.1f} tokens a reply, "
        f"{loop.prompt_tokens:.0f} a prompt, of which the server still had {loop.cached_share:.0%}; at most "
        f"{loop.most_in_flight} under way at once" + (f", {loop.left} when the last was sent." if loop.left else "."),
        "",
        *(f"- {one.count} failed with {one.error}: {code(plain(one.message))}" for one in loop.failed),
        *_client(loop),
        *(f"- note: {note}" for note in loop.notes),
        *_server(loop),
        "",
        *_quality(loop.quality),
    ]


def _client(loop: LoopReport) -> Iterator[str]:
    cost = loop.client
    late = f", requests sent late p99 {_p99(cost.sent_late)}" if cost.sent_late else ""
    yield (
        f"- our own client: {cost.cpu_ms_per_request:.2f} ms CPU a request, {cost.cpu_share:.0%} of a core; event loop "
        f"late p99 {_p99(cost.lag)}{late}"
    )


def _p99(found: Latencies) -> str:
    return f"{_ms(found.at(99))}, longest {_ms(found.max_ms)}"


def _server(loop: LoopReport) -> list[str]:
    if not loop.server:
        return []
    rows = [
        [
            WORDS[one.what],
            str(one.count),
            _ms(one.mean_ms),
            _ms(one.ours_mean_ms) if one.ours_mean_ms is not None else "",
            f"+{one.added_ms:.1f} ms" if one.added_ms is not None else "",
            f"over {one.low_ms:g} ms" if one.high_ms is None else f"{one.low_ms:g} to {one.high_ms:g} ms",
            _ms(one.ours_p95_ms) if one.ours_mean_ms is not None else "",
        ]
        for one in loop.server
    ]
    head = ("vLLM's own /metrics", "requests", "its mean", "our mean", "added on the way", "its p95", "our p95")
    return ["", *_table(head, rows)]


def _quality(found: Quality) -> list[str]:
    rows = [
        [
            group.intent,
            str(group.replies),
            f"{group.usable_share:.1%}",
            f"{group.words:.1f}",
            "n/a" if group.ascii_share is None else f"{group.ascii_share:.1%}",
            f"{group.cut_off_share:.1%}",
            ", ".join(f"{fault} {count}" for fault, count in group.faults.items()),
        ]
        for group in (found.whole, *found.by_intent)
    ]
    head = ("intent", "replies", "usable", "words", "ASCII letters", "cut off (length)", "faults")
    wrong = [f"- {_cell(one.turn)}: {_cell(one.reply)} ({', '.join(one.faults)})" for one in found.examples]
    return [*_table(head, rows), *(["", "Replies that are not what they should be:", *wrong] if wrong else [])]


def _load(loop: LoopReport) -> str:
    if loop.callers is not None:
        return f"closed, {loop.callers} callers"
    return f"open, {loop.rate_per_s:g} a second"


def _percentile(one: Percentile) -> str:
    if one.value_ms is None:
        return "n/a"
    low, high = ("…" if end is None else f"{end:.0f}" for end in (one.low_ms, one.high_ms))
    return f"{one.value_ms:.1f} ms ({low}–{high})"


def _ms(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.1f} ms"


def _cell(text: str) -> str:
    """A text from outside in a table: nothing in it is Markdown, nor ends the cell."""
    return code(plain(text).replace("|", "¦")) if text else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        "|" + "---|" * len(head),
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
