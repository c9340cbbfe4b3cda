"""Causes of failures, by the signs they leave: a table; a new cause is a row.

How sure a cause is: of its signs that were found, each counts once, with its weight (half of it in a log of the whole
job), as `p = 1 - (1 - w1)(1 - w2)…`. The confidence is `p * p / (sum of p over all causes)`, at most 0.95: what other
causes were found takes away from it.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from blocks.model import Frozen

Cause = Literal[
    "assertion",
    "import_error",
    "missing_dependency",
    "syntax",
    "fixture",
    "timeout",
    "network",
    "disk_full",
    "out_of_memory",
    "port_in_use",
    "permission",
    "out_of_time",
    "unknown",
]

HIGHEST, LOG_SHARE = 0.95, 0.5
LINE_CHARS, MOST_EVIDENCE = 300, 6


class Evidence(Frozen):
    """A line that speaks for a cause.

    Attributes:
        source: Where it stands: the test, or the log.
        line: Its number there, from 1.
        text: What it says; a thing from outside.
        weight: How much it speaks for it, 0 to 1.
    """

    source: str
    line: int
    text: str
    weight: float


class Judged(Frozen):
    """A cause and how sure it is.

    Attributes:
        cause: Which.
        confidence: 0 to 0.95, as documented above.
        evidence: The lines it rests on, strongest first.
        named: What its signs name, as a module, a port, a host.
    """

    cause: Cause
    confidence: float
    evidence: tuple[Evidence, ...] = ()
    named: str = ""


@dataclass(frozen=True)
class Row:
    """A cause in the table.

    Attributes:
        cause: Which.
        signs: Patterns with weights; a group `named` says what it is about.
        lasting: How likely it is that it fails again on the same commit: 1 is certain.
        suggestion: What to do, with `{named}`.
    """

    cause: Cause
    signs: tuple[tuple[re.Pattern[str], float], ...]
    lasting: float
    suggestion: str


def _row(cause: Cause, lasting: float, suggestion: str, *signs: tuple[str, float]) -> Row:
    return Row(cause, tuple((re.compile(pattern), weight) for pattern, weight in signs), lasting, suggestion)


# Patterns have no nested repeats: lines come from outside, and must not take quadratic time.
TABLE: tuple[Row, ...] = (
    _row(
        "syntax",
        0.95,
        "correct the syntax; the file cannot be read as it is",
        (r"\b(SyntaxError|IndentationError|TabError)\b", 0.9),
        (r"error: expected .{1,40} before|Unexpected token|syntax error near", 0.7),
    ),
    _row(
        "import_error",
        0.9,
        "correct the import of {named}: it was moved, renamed or removed",
        (r"ImportError: cannot import name '(?P<named>[^']{1,120})'", 0.9),
        (r"ModuleNotFoundError: No module named '(?P<own>[^']{1,120})'", 0.85),
        (r"AttributeError: module '[^']{1,120}' has no attribute '(?P<named>[^']{1,120})'", 0.7),
        (r"\bNoClassDefFoundError: (?P<named>\S{1,120})", 0.8),
    ),
    _row(
        "missing_dependency",
        0.85,
        "install {named} where the tests run, or declare it among the dependencies",
        (r"ModuleNotFoundError: No module named '(?P<foreign>[^']{1,120})'", 0.85),
        (r"Cannot find module '(?P<named>[^']{1,120})'", 0.85),
        (r"(?P<named>[\w.+-]{1,60}): (command )?not found\b", 0.6),
        (r"error while loading shared libraries: (?P<named>[^:\s]{1,120})", 0.9),
        (r"No matching distribution found for (?P<named>\S{1,120})", 0.9),
    ),
    _row(
        "fixture",
        0.85,
        "put the set-up right: {named}",
        (r"fixture '(?P<named>[^']{1,120})' not found", 0.95),
        (r"ERROR at setup of (?P<named>\S{1,120})|failed on setup with", 0.5),
        (r"(beforeAll|beforeEach|setUpClass|setUpModule)\b.{0,80}(fail|error|hook)", 0.7),
    ),
    _row(
        "assertion",
        0.7,
        "compare what is asserted with the change: either the code or the expected value is wrong",
        (r"^E +assert |\bAssertionError\b|AssertionFailedError|ComparisonFailure", 0.7),
        (r"Expected:? .{1,200}(Received|but was|Actual)", 0.6),
        (r"\bDID NOT RAISE\b|panicked at .{0,80}assertion", 0.8),
    ),
    _row(
        "timeout",
        0.4,
        "see what it waits for; wait for the event itself, with a longer limit, and not for a time",
        (r"\b(TimeoutError|TimeoutException|ReadTimeout|ConnectTimeout|DeadlineExceeded)\b", 0.8),
        (r"(?i)\bFailed: Timeout\b|timed out after|exceeded (the )?timeout of|context deadline exceeded", 0.85),
    ),
    _row(
        "network",
        0.2,
        "run it again; have the test not reach for {named}, or serve it within the test",
        (r"(?i)connection (refused|reset by peer|aborted)|ECONNREFUSED|ECONNRESET", 0.75),
        (r"(?i)temporary failure in name resolution|could not resolve host:? ?(?P<named>[\w.-]{0,120})", 0.9),
        (r"(?i)name or service not known|getaddrinfo|(?-i:\bENOTFOUND\b)|network is unreachable", 0.8),
        (r"(?i)\b(502 bad gateway|503 service unavailable|504 gateway time-?out|too many requests)\b", 0.6),
        (r"(?i)SSL: CERTIFICATE_VERIFY_FAILED|TLS handshake timeout", 0.7),
    ),
    _row(
        "disk_full",
        0.3,
        "free the runner's disk, or give it a larger one",
        (r"(?i)no space left on device|ENOSPC|disk quota exceeded|database or disk is full", 0.95),
    ),
    _row(
        "out_of_memory",
        0.4,
        "give the runner more memory, or run fewer tests side by side",
        (r"\b(MemoryError|OutOfMemoryError|bad_alloc)\b|heap out of memory", 0.85),
        (r"(?i)out of memory: killed process|oom-?kill|OOMKilled|cannot allocate memory", 0.9),
        (r"(?i)exit(ed with)? (code|status) 137\b|worker .{0,20}crashed|signal 9\b|SIGKILL", 0.6),
    ),
    _row(
        "port_in_use",
        0.2,
        "have the test take a free port (bind port 0) instead of {named}",
        (r"(?i)address already in use(?P<named>.{0,60})|EADDRINUSE:?(?P<where>.{0,60})", 0.9),
        (r"(?i)port (?P<named>\d{2,5}) is (already )?(in use|allocated)", 0.9),
    ),
    _row(
        "permission",
        0.7,
        "give the runner's user the right to {named}, or have the test use a folder of its own",
        (r"PermissionError: \[Errno (1|13)\] .{0,40}: '(?P<named>[^']{1,200})'", 0.9),
        (r"(?i)permission denied|operation not permitted|(?-i:\b(EACCES|EPERM)\b)", 0.6),
    ),
    _row(
        "out_of_time",
        0.4,
        "give the job more time, or share its tests out among several",
        (r"(?i)the job .{0,60}exceeded the maximum execution time|job.{0,20}execution took longer than", 0.95),
        (r"(?i)execution expired|the operation was canceled|terminated due to (a )?timeout|build timed out", 0.8),
    ),
)

HINTS = (
    *(
        "error",
        "fail",
        "fatal",
        "critical",
        "panic",
        "exception",
        "traceback",
        "caused by",
        "e  ",
        "assert",
        "expected",
    ),
    *("not found", "unexpected token", "cannot find", "no matching", "hook", "did not raise", "timeout", "timed out"),
    *("deadline", "connection ", "econn", "resolution", "resolve", "name or service", "getaddrinfo", "enotfound"),
    *("unreachable", "gateway", "unavailable", "too many", "ssl:", "tls ", "no space", "enospc", "exceeded", "is full"),
    *("memory", "bad_alloc", "oom", "137", "crashed", "signal 9", "sigkill", "in use", "eaddrinuse", "allocated"),
    *("permission", "permitted", "eacces", "eperm", "took longer", "expired", "cancel", "terminated"),
)
"""In small letters: a line that has none of these has no sign, so it is passed over (ten times as fast, measured)."""

ROWS = {row.cause: row for row in TABLE}
UNTOLD = Judged(cause="unknown", confidence=0.0)


@dataclass(frozen=True)
class Text:
    """Something in which signs are looked for.

    Attributes:
        source: What it is called.
        lines: Its lines with their numbers.
        share: Of a sign's weight that counts.
    """

    source: str
    lines: tuple[tuple[int, str], ...]
    share: float = 1.0


def text_of(source: str, *texts: str, share: float = 1.0) -> Text:
    """Texts, one after the other, as lines."""
    lines = "\n".join(text for text in texts if text).split("\n")
    return Text(source, tuple((number, line[:LINE_CHARS]) for number, line in enumerate(lines, start=1)), share)


def causes_of(texts: Iterable[Text], own: Collection[str] = ()) -> tuple[Judged, ...]:
    """The causes whose signs are found, likeliest first; none where there are none.

    Args:
        texts: Where to look.
        own: Names of the project's own packages: a module of these is no dependency.
    """
    found: dict[Cause, dict[int, tuple[Evidence, str]]] = {row.cause: _evidence(row, texts, own) for row in TABLE}
    likely: dict[Cause, float] = {cause: _together(signs.values()) for cause, signs in found.items() if signs}
    total = sum(likely.values())
    judged = [
        Judged(
            cause=cause,
            confidence=round(min(HIGHEST, share * share / total), 3),
            evidence=_strongest(one for one, _ in found[cause].values()),
            named=next((named for _, named in found[cause].values() if named), ""),
        )
        for cause, share in likely.items()
    ]
    return tuple(sorted(judged, key=lambda one: -one.confidence))


def suggestion(judged: Judged) -> str:
    """What to do about a cause; what it names is a thing from outside."""
    row = ROWS.get(judged.cause)
    if row is None:
        return "look at the log: no known sign was found"
    return row.suggestion.replace("{named}", judged.named or "it")


def may_tell(line: str) -> bool:
    """Whether a line may have a sign, or tell of an error."""
    small = line.lower()
    return any(hint in small for hint in HINTS)


def is_sign(line: str) -> bool:
    """Whether a line speaks for any cause."""
    return any(pattern.search(line) for row in TABLE for pattern, _ in row.signs)


def _evidence(row: Row, texts: Iterable[Text], own: Collection[str]) -> dict[int, tuple[Evidence, str]]:
    """For each sign of the cause the strongest line, and what it names."""
    best: dict[int, tuple[Evidence, str]] = {}
    for text in texts:
        for place, line in text.lines:
            for number, (pattern, weight) in enumerate(row.signs):
                counts = weight * text.share
                if number in best and best[number][0].weight >= counts:
                    continue
                if (match := pattern.search(line)) and (named := _named(match, own)) is not None:
                    seen = Evidence(source=text.source, line=place, text=line.strip(), weight=counts)
                    best[number] = (seen, named)
    return best


def _named(match: re.Match[str], own: Collection[str]) -> str | None:
    """What a sign names; None where it is of the other kind: a foreign module, or one of our own."""
    groups = match.groupdict()
    for group, wanted in (("own", True), ("foreign", False)):
        if group in groups:
            name = groups[group] or ""
            return name if (name.split(".")[0] in own) is wanted else None
    return (groups.get("named") or "").strip(" :'\"()[]")


def _strongest(evidence: Iterable[Evidence]) -> tuple[Evidence, ...]:
    return tuple(sorted(evidence, key=lambda one: -one.weight))[:MOST_EVIDENCE]


def _together(signs: Iterable[tuple[Evidence, str]]) -> float:
    missed = 1.0
    for evidence, _ in signs:
        missed *= 1 - evidence.weight
    return 1 - missed
