"""Triage: failures of a build, put together by their cause."""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256

from tasks.ops.ci.causes import UNTOLD, Judged, Text, causes_of, suggestion, text_of
from tasks.ops.ci.history import History, came, record_of
from tasks.ops.ci.junit import Attempt
from tasks.ops.ci.mining import Frame, MinedLog, frame_in
from tasks.ops.ci.result import Finding, Suggestion, TriageReport
from tasks.ops.ci.verdict import verdict_of

CHANGING = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{8,40}\b|\d+(\.\d+)?|/tmp/\S+|'[^']{40,}'")
MOST_FINDINGS, MOST_TESTS, MESSAGE_CHARS = 200, 50, 500
ORDER = {"real": 0, "unsure": 1, "flaky": 2}


def triage(
    tests: Mapping[str, Sequence[Attempt]],
    logs: Sequence[MinedLog],
    history: History,
    *,
    project: str,
    build: str,
    commit: str,
) -> TriageReport:
    """What a build's tests and logs say.

    Args:
        tests: The attempts at each test.
        logs: Of the build.
        history: Of the project, this build included.
        project, build, commit: What was built.
    """
    own = own_packages(tests)
    outcomes = {test: came(attempts) for test, attempts in tests.items()}
    troubled = {test: tests[test] for test, outcome in outcomes.items() if outcome in ("failed", "flaky")}
    texts = [log.text() for log in logs]
    grouped: dict[str, list[Finding]] = {}
    for test, attempts in troubled.items():
        finding = _finding(test, attempts, history, commit, texts, own)
        grouped.setdefault(f"{finding.verdict}/{finding.fingerprint}", []).append(finding)
    findings = sorted(
        (_together(group) for group in grouped.values()), key=lambda one: (ORDER[one.verdict], -one.count)
    )
    report = TriageReport(
        project=project,
        build=build,
        commit=commit,
        tests=len(tests),
        failed=sum(outcome == "failed" for outcome in outcomes.values()),
        flaky=sum(outcome == "flaky" for outcome in outcomes.values()),
        skipped=sum(outcome is None for outcome in outcomes.values()),
        findings=tuple(findings[:MOST_FINDINGS]),
        job=() if troubled else causes_of(texts, own),
    )
    return report.model_copy(update={"summary": summary_of(report)})


def own_packages(tests: Mapping[str, Sequence[Attempt]]) -> frozenset[str]:
    """The project's own packages, as far as the names of tests and the sources in their stacks tell."""
    names = {test.split(".")[0] for test in tests}
    for attempts in tests.values():
        for attempt in attempts:
            for frame in frames_of(attempt):
                if not frame.file.startswith("/") and "/" in frame.file:
                    names |= set(frame.file.split("/")[:2])
    return frozenset(names)


def frames_of(attempt: Attempt) -> tuple[Frame, ...]:
    """The stack of a failed attempt."""
    return tuple(frame for line in attempt.text.split("\n") if (frame := frame_in(line.strip())))[-12:]


def summary_of(report: TriageReport) -> str:
    """What a person wants to know first, in a sentence or two."""
    if not report.findings:
        if report.job:
            return f"No test failed, but the logs tell of {report.job[0].cause} ({report.job[0].confidence:.0%} sure)."
        return f"All {report.tests} tests are well."
    counts = {verdict: sum(one.count for one in report.findings if one.verdict == verdict) for verdict in ORDER}
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    first = report.findings[0]
    many = f"; {first.count} tests share it" if first.count > 1 else ""
    return (
        f"{sum(counts.values())} of {report.tests} tests are in trouble: {told}. "
        f"First: {first.judged.cause} ({first.judged.confidence:.0%} sure{many})."
    )


def _finding(
    test: str, attempts: Sequence[Attempt], history: History, commit: str, texts: Sequence[Text], own: frozenset[str]
) -> Finding:
    failure = next(one for one in reversed(attempts) if one.is_failure)
    told = text_of(test, f"{failure.kind}: {failure.message}" if failure.kind else failure.message, failure.text)
    # The log of a whole job says little about one test: it is asked only where the test itself says nothing.
    found = causes_of([told], own) or causes_of(texts, own)
    judged, record = (found[0] if found else UNTOLD), record_of(history, test, commit)
    verdict, sure, why = verdict_of(attempts, record, judged)
    advice = suggestion(judged)
    if verdict == "flaky":
        again = "run it again, "
        rest = advice.removeprefix("run it again; ")
        advice = f"{again}and mark the test as flaky until it is mended; {rest}"
    return Finding(
        fingerprint=_fingerprint(judged, failure),
        tests=(test,),
        count=1,
        verdict=verdict,
        verdict_confidence=sure,
        why=why,
        judged=judged,
        others=found[1:4],
        message=(failure.message or failure.text.strip())[:MESSAGE_CHARS],
        frames=frames_of(failure),
        record=record,
        suggestion=Suggestion(text=advice, confidence=round(min(sure, judged.confidence), 3)),
    )


def _fingerprint(judged: Judged, failure: Attempt) -> str:
    line = (failure.message or failure.text).strip().split("\n")[0]
    return sha256(f"{judged.cause}\n{failure.kind}\n{CHANGING.sub('#', line)}".encode("utf-8", "replace")).hexdigest()[
        :12
    ]


def _together(group: Sequence[Finding]) -> Finding:
    """One finding for all tests that failed in the same way; it is as sure as the surest of them."""
    surest = max(group, key=lambda one: one.verdict_confidence)
    tests = tuple(test for one in group for test in one.tests)
    return surest.model_copy(update={"tests": tests[:MOST_TESTS], "count": len(tests)})
