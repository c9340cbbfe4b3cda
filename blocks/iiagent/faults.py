"""What an II-Agent server calls an error, what that is, and what is done about it."""

import re
from dataclasses import dataclass
from typing import Literal

from blocks.errors import (
    C500Error,
    EngineFailed,
    EngineUnavailable,
    LimitReached,
    NotAllowed,
    TimedOut,
    TooLarge,
)

ServerFault = Literal["key", "rate", "server", "context", "request", "busy", "not_initialized", "protocol", "fatal"]
"""What a server's error is."""

ErrorKind = Literal[ServerFault, "lost", "idle", "time", "size"]
"""How a turn may fail: by an error of the server, or as the client gave up."""

Cure = Literal["rotate", "pause", "compact", "once", "cancel", "init", "none"]
"""What is done: the next model key; a pause, then on on the same socket; /compact once, then on; on once; cancel, wait
for the end, ask again; init again, ask again; nothing."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A kind of failure.

    Attributes:
        cure: What is done about it.
        error: What a caller is told when that was in vain.
        fix: How to put it right.
    """

    cure: Cure
    error: type[C500Error]
    fix: str


FAULTS: dict[ErrorKind, Fault] = {
    "key": Fault(
        cure="rotate",
        error=NotAllowed,
        fix="renew the key or its credit in the server's settings, or give the server more model_keys",
    ),
    "rate": Fault(cure="pause", error=LimitReached, fix="run fewer sessions at once, or wait"),
    "server": Fault(cure="pause", error=EngineUnavailable, fix="look at the log of the agent server and its provider"),
    "context": Fault(cure="compact", error=EngineFailed, fix="give the task in smaller parts, or begin a new session"),
    "request": Fault(cure="once", error=EngineFailed, fix="look at the model's name and settings on the agent server"),
    "busy": Fault(cure="cancel", error=EngineUnavailable, fix="wait until the session's other run has ended"),
    "not_initialized": Fault(cure="init", error=EngineFailed, fix="look at the log of the agent server"),
    "protocol": Fault(cure="none", error=EngineFailed, fix="the agent server is of another version; see its log"),
    "fatal": Fault(cure="none", error=EngineFailed, fix="look at the log of the agent server"),
    "lost": Fault(cure="none", error=EngineUnavailable, fix="look at the agent server and the way to it"),
    "idle": Fault(
        cure="none", error=TimedOut, fix="raise limits.idle_s of the server, or see what its agent waits for"
    ),
    "time": Fault(cure="none", error=TimedOut, fix="give the task in smaller parts, or raise the server's limits"),
    "size": Fault(cure="none", error=TooLarge, fix="have the agent write less at once, or raise the server's limits"),
}
"""One row for every kind."""

PATTERNS: tuple[tuple[str, ServerFault], ...] = (
    # What the server says itself, and no provider that it quotes.
    (r"already being processed", "busy"),
    (r"agent not initialized|no active agent", "not_initialized"),
    (r"llm config not found", "key"),
    (r"^(invalid (\w+ )?(content|message format|json)|unknown message type|unknown command)", "protocol"),
    (r"context.{0,30}limit exceeded", "context"),
    # Before the codes: providers refuse a call for want of money with 400, 402, 403 or 429.
    (r"credit|insufficient_quota|billing|payment required|(key|spend\w*|usage|budget) limit exceeded", "key"),
    (r"(exceeded|over) your (current )?quota|limit exceeded", "key"),
    (r"error code: 40[123]\b|invalid.api.key|incorrect api key|unauthorized|permission.denied", "key"),
    (r"error code: 429\b|rate.?limit|too many requests|resource.?exhausted", "rate"),
    (r"context.?(length|window)|maximum context|prompt is too long|too many (input )?tokens", "context"),
    (r"error code: 413\b|input length|token limit", "context"),
    (r"error code: (408|409|5\d\d)\b|overloaded|timed? ?out|connection|unavailable|internal server", "server"),
    (r"error code: 4\d\d\b", "request"),
    (r"error running agent", "server"),
)
"""The first that is found in an error's text says what it is; else it is fatal."""

RATE_FIRST = re.compile(
    r"(rate|requests?|tokens?).{0,40}limit exceeded|(per|/).?min|retry.?(in|after|delay)\b", re.IGNORECASE
)
"""A limit by the minute is none of the key's."""


def fault_of(message: str) -> ServerFault:
    """What an error of the server is, by its text."""
    for pattern, kind in PATTERNS:
        if re.search(pattern, message, re.IGNORECASE):
            return "rate" if kind == "key" and RATE_FIRST.search(message) else kind
    return "fatal"


def error_of(kind: ErrorKind, message: str) -> C500Error:
    """The error for a caller; `details["kind"]` names the kind."""
    fault = FAULTS[kind]
    return fault.error(message, fix=fault.fix, kind=kind)
