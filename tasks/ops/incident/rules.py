"""What facts point to, by rules: a table, so that another rule is a row.

The rules look at what was found; each finding names the facts that it rests on. None is a proof: the briefing says how
sure each is, and why.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from blocks.model import Frozen
from tasks.ops.incident.context import Context, Fact
from tasks.ops.incident.incident import Incident

Confidence = Literal["high", "medium", "low"]
ORDER: tuple[Confidence, ...] = ("high", "medium", "low")

SHORTLY = timedelta(minutes=30)
LATELY = timedelta(hours=6)
AFTER = timedelta(minutes=2)
"""Clocks differ: a change so long after the beginning may still be before it."""

JUMP = 2.0
"""So many times its usual value is a jump; and so is a part of it."""

ALIKE_HIGH, ALIKE = 0.5, 0.3


class Finding(Frozen):
    """Something that the facts point to.

    Attributes:
        rule: By which rule.
        says: What, in a line.
        confidence: How sure.
        evidence: Ids of the facts.
        suggests: What to do about it, in a line.
        lesson: What would keep it from coming again, for postmortems.
    """

    rule: str
    says: str
    confidence: Confidence
    evidence: tuple[str, ...]
    suggests: str = ""
    lesson: str = ""


@dataclass(frozen=True)
class Sign:
    """Words in logs and alerts that tell what is wrong.

    Attributes:
        rule: Names it.
        words: What is looked for.
        says, suggests, lesson: See `Finding`.
    """

    rule: str
    words: str
    says: str
    suggests: str
    lesson: str

    def pattern(self) -> re.Pattern[str]:
        """Of the words."""
        return re.compile(self.words, re.IGNORECASE)


SIGNS = (
    Sign(
        "disk-full",
        r"no space left on device|\benospc\b|disk quota exceeded|disk (is )?full|\bDisk\w*Full\b|out of disk",
        "a disk is full",
        "free space (`c500 disk heal`), then see what fills it",
        "alert on the time until the disk is full, and clean up by schedule",
    ),
    Sign(
        "out-of-memory",
        r"out of memory|\boom[-_ ]?kill|OutOfMemoryError|cannot allocate memory|\bOOMKilled\b|std::bad_alloc",
        "a process ran out of memory",
        "restart what was killed, and look at its memory since the last change",
        "set memory limits with room, and alert before they are reached",
    ),
    Sign(
        "certificate",
        r"certificate (has |is )?expired|certificate verify failed|x509:|certificate_expired|CertificateExpir\w+",
        "a certificate is not accepted, or has expired",
        "look at the certificate's dates (`openssl x509 -enddate`), and renew it",
        "watch certificates' expiry, and renew them by schedule",
    ),
    Sign(
        "name-resolution",
        r"name or service not known|temporary failure in name resolution|no such host|could not resolve host|NXDOMAIN",
        "a name is not resolved",
        "look at the DNS server, and at what was changed in it",
        "cache names, and watch the resolver itself",
    ),
    Sign(
        "connection-refused",
        r"connection refused|\beconnrefused\b|no route to host|connection reset by peer|network is unreachable",
        "something that is needed does not take connections",
        "see whether the service it calls runs, and whether it listens where it should",
        "check dependencies at the start, and degrade without them",
    ),
    Sign(
        "pool-exhausted",
        r"too many connections|connection pool (is )?(exhausted|timed? ?out)|remaining connection slots"
        r"|too many open files|\bemfile\b|pool limit",
        "connections or files ran out",
        "see who holds them, and restart or limit it",
        "bound pools and timeouts, and alert on how full they are",
    ),
    Sign(
        "timeout",
        r"timed? ?out|deadline exceeded|context deadline|gateway time-?out|\betimedout\b|upstream request timeout",
        "calls take too long",
        "look at the latency of what is called, and at its load",
        "set timeouts and retries with limits, and alert on latency before errors",
    ),
    Sign(
        "credentials",
        r"permission denied|password authentication failed|access denied|unauthori[sz]ed|invalid (api )?(key|token)"
        r"|\b(401|403)\b(?= |$)",
        "something is not let in",
        "see which credential was changed or has expired",
        "watch credentials' expiry, and rotate them with an overlap",
    ),
    Sign(
        "rate-limit",
        r"too many requests|rate limit|\b429\b(?= |$)|throttl(ed|ing)|quota exceeded",
        "a limit of calls is reached",
        "lower the load or raise the limit",
        "know the limits of what is called, and stay under them",
    ),
    Sign(
        "deadlock",
        r"deadlock detected|lock wait timeout|could not obtain lock|database is locked",
        "transactions wait for each other",
        "look at who holds locks (`pg_locks`), and end the longest",
        "keep transactions short, and take locks in one order",
    ),
    Sign(
        "crash",
        r"segmentation fault|core dumped|panic:|crashloopbackoff|back-off restarting"
        r"|fatal exception|unhandled exception",
        "a process crashes",
        "look at its first error, and at what was deployed last",
        "roll back automatically when a new version crashes",
    ),
)

Rule = Callable[[Incident, Context], Iterable[Finding]]


def signs(incident: Incident, context: Context) -> Iterable[Finding]:
    """Words in error lines, in last lines, and in what the alerts say."""
    errors, lines = context.of("log_errors"), context.of("log_lines")
    told = " ".join(text for alert in incident.alerts for text in (alert.name, *alert.annotations.values()))[:20_000]
    for sign in SIGNS:
        pattern = sign.pattern()
        in_errors, in_lines = _with(errors, pattern), _with(lines, pattern)
        in_alert = pattern.search(told) is not None
        if not (in_errors or in_lines or in_alert):
            continue
        where = "error lines" if in_errors else "the logs" if in_lines else "the alert"
        yield Finding(
            rule=sign.rule,
            says=f"{sign.says} (said in {where})",
            confidence="high" if in_errors and (in_alert or len(in_errors) > 1) else "medium" if in_errors else "low",
            evidence=tuple(fact.fact_id for fact in in_errors or in_lines),
            suggests=sign.suggests,
            lesson=sign.lesson,
        )


def error_burst(incident: Incident, context: Context) -> Iterable[Finding]:
    """Errors that were not there before."""
    for fact in context.of("log_errors"):
        errors, before = _number(fact, "errors") or 0, _number(fact, "before") or 0
        if errors >= 3 and errors - before > 2 * before:
            yield Finding(
                rule="error-burst",
                says=f"{fact.title}, {before:g} of them from before it began",
                confidence="medium",
                evidence=(fact.fact_id,),
                suggests="read the first of these errors: what comes later often follows from it",
                lesson="alert on the rate of errors in this log",
            )


def recent_change(incident: Incident, context: Context) -> Iterable[Finding]:
    """What was changed shortly before; the latest change first, and what is about something else last."""
    before = [
        fact
        for fact in context.of("commit", "deployment")
        if fact.at is not None and incident.began_at - LATELY <= fact.at <= incident.began_at + AFTER
    ]
    latest = sorted(before, key=lambda fact: (_is_related(fact), fact.at or incident.began_at), reverse=True)
    for number, fact in enumerate(latest[:3]):
        ago = _ago(fact.at, incident.began_at)
        if not _is_related(fact):
            yield Finding(
                rule="other-change",
                says=f"change {ago} before it began, of something else as far as is known: {fact.title}",
                confidence="low",
                evidence=(fact.fact_id,),
            )
            continue
        shortly = fact.at is not None and incident.began_at - fact.at <= SHORTLY
        yield Finding(
            rule="recent-change",
            says=f"{'commit' if fact.kind == 'commit' else 'change'} {ago} before it began: {fact.title}",
            confidence=("high" if fact.kind == "deployment" else "medium") if shortly and number == 0 else "low",
            evidence=(fact.fact_id,),
            suggests="consider to take this change back",
            lesson="roll changes out to a part first, and take them back by themselves on errors",
        )


def metric_beyond(incident: Incident, context: Context) -> Iterable[Finding]:
    """Metrics beyond their thresholds, and jumps."""
    for fact in context.of("metric"):
        last, usual = _number(fact, "last"), _number(fact, "usual")
        above, below = _number(fact, "above"), _number(fact, "below")
        if last is None:
            continue
        if fact.values.get("name") == "up":
            if last < 1:
                yield _metric("target-down", fact, f"the target does not answer Prometheus: {fact.title}", "high")
        elif (above is not None and last > above) or (below is not None and last < below):
            limit = f"above {above:g}" if above is not None and last > above else f"below {below:g}"
            yield _metric("metric-beyond", fact, f"{fact.title}: {limit}", "medium")
        elif usual is not None and usual > 0 and not 1 / JUMP < max(last, 0) / usual < JUMP:
            yield _metric("metric-jump", fact, f"{fact.title}: {last / usual:.1f} times what it was", "low")


def needed_is_broken(incident: Incident, context: Context) -> Iterable[Finding]:
    """A dependency has an incident of its own, or is named in error lines."""
    needed = {str(fact.values["needs"]): fact for fact in context.of("dependency")}
    for fact in context.of("incident"):
        names = str(fact.values.get("service", "")).split(", ")
        if any(name in needed for name in names):
            yield Finding(
                rule="dependency-incident",
                says=f"a service that it needs is broken, too: {fact.title}",
                confidence="high",
                evidence=(fact.fact_id,),
                suggests=f"work with those on {fact.values.get('incident')}: this may only follow from it",
                lesson="degrade where a dependency is away, and group their alerts",
            )
    for name, dependency in needed.items():
        pattern = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])", re.IGNORECASE)
        if found := _with(context.of("log_errors"), pattern):
            yield Finding(
                rule="dependency-named",
                says=f"error lines name {name}, which it needs",
                confidence="medium",
                evidence=(dependency.fact_id, *(fact.fact_id for fact in found)),
                suggests=f"look whether {name} is well",
                lesson=f"alert on calls to {name} that fail",
            )


def seen_before(incident: Incident, context: Context) -> Iterable[Finding]:
    """Cases that are like this."""
    for fact in context.of("case"):
        alike = _number(fact, "similarity") or 0
        if alike < ALIKE:
            continue
        helped = str(fact.values.get("resolution") or "")
        yield Finding(
            rule="seen-before",
            says=f"it was like this before: {fact.title}; cause then: {fact.values.get('cause') or 'not known'}",
            confidence="medium" if alike >= ALIKE_HIGH else "low",
            evidence=(fact.fact_id,),
            suggests=f"what helped then: {helped}" if helped else "",
            lesson="finish the action items of the earlier case",
        )


RULES: tuple[Rule, ...] = (metric_beyond, needed_is_broken, signs, recent_change, error_burst, seen_before)


def findings(incident: Incident, context: Context) -> tuple[Finding, ...]:
    """What the facts point to, surest first."""
    found = [finding for rule in RULES for finding in rule(incident, context)]
    return tuple(sorted(found, key=lambda one: ORDER.index(one.confidence)))


def _metric(rule: str, fact: Fact, says: str, confidence: Confidence) -> Finding:
    down = rule == "target-down"
    return Finding(
        rule=rule,
        says=says,
        confidence=confidence,
        evidence=(fact.fact_id,),
        suggests="see whether the process runs, and whether its machine is reached" if down else "",
        lesson="have it restarted by its supervisor, and run more than one" if down else "",
    )


def _is_related(fact: Fact) -> bool:
    """Whether a change names the incident's service or a host of it; commits are of its own repositories."""
    return bool(fact.values.get("related", True))


def _with(facts: Iterable[Fact], pattern: re.Pattern[str]) -> list[Fact]:
    return [fact for fact in facts if pattern.search(fact.text)]


def _number(fact: Fact, name: str) -> float | None:
    value = fact.values.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _ago(at: datetime | None, began: datetime) -> str:
    minutes = 0 if at is None else max(0, round((began - at).total_seconds() / 60))
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
