"""Rules about single new lines: a table."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from blocks.redact import Redactor
from tasks.ops.change.config import is_test
from tasks.ops.change.diff import ChangedFile
from tasks.ops.change.looked_at import Change
from tasks.ops.change.result import Finding, Severity

LINE_CHARS = 2000

PYTHON, SCRIPT, GO, RUST, RUBY, PHP = (
    (".py", ".pyi"),
    (".js", ".jsx", ".ts", ".tsx", ".mjs", ".cjs", ".vue"),
    (".go",),
    (".rs",),
    (".rb",),
    (".php",),
)
ANY: tuple[str, ...] = ()
COMMENTED = (*PYTHON, *SCRIPT, *GO, *RUST, *RUBY, *PHP, ".java", ".kt", ".c", ".h", ".cpp", ".cs", ".sh", ".sql", ".tf")


@dataclass(frozen=True)
class LineRule:
    """What a new line should not hold.

    Attributes:
        rule: Its name.
        severity: How bad.
        suffixes: Of the files it is for; empty: all.
        pattern: What is looked for.
        message, suggestion: What is told.
        in_tests: Whether it counts in tests, too.
    """

    rule: str
    severity: Severity
    suffixes: tuple[str, ...]
    pattern: re.Pattern[str]
    message: str
    suggestion: str
    in_tests: bool = True


def _rule(
    rule: str, severity: Severity, suffixes: tuple[str, ...], pattern: str, message: str, suggestion: str
) -> LineRule:
    return LineRule(rule, severity, suffixes, re.compile(pattern), message, suggestion)


DEBUGGER = "a debugger is left in"
TAKE_OUT = "take it out"
LINES: tuple[LineRule, ...] = (
    _rule(
        "conflict-marker",
        "critical",
        ANY,
        r"^(<{7}|>{7}|\|{7})( |$)",
        "a marker of a merge conflict",
        "resolve the conflict",
    ),
    _rule("debugger", "high", PYTHON, r"^\s*(breakpoint\(\)|import i?pdb\b|i?pdb\.set_trace\()", DEBUGGER, TAKE_OUT),
    _rule("debugger", "high", SCRIPT, r"^\s*debugger\s*;?\s*$", DEBUGGER, TAKE_OUT),
    _rule("debugger", "high", RUBY, r"\bbinding\.(pry|irb)\b|^\s*byebug\b", DEBUGGER, TAKE_OUT),
    _rule(
        "debug-output",
        "low",
        SCRIPT,
        r"^\s*console\.(log|debug|trace)\(",
        "debug output is left in",
        "log it, or take it out",
    ),
    _rule("debug-output", "low", RUST, r"\bdbg!\(", "debug output is left in", TAKE_OUT),
    _rule("debug-output", "low", PHP, r"\b(var_dump|print_r|dd)\(", "debug output is left in", TAKE_OUT),
    _rule(
        "focused-test",
        "high",
        SCRIPT,
        r"\b(describe|it|test)\.only\(|^\s*(fit|fdescribe)\(",
        "only this test would run",
        TAKE_OUT,
    ),
    _rule(
        "swallowed-exception",
        "medium",
        (*SCRIPT, ".java", ".kt", ".cs", ".php"),
        r"\bcatch\s*(\([^)]{0,100}\))?\s*\{\s*\}",
        "an error is swallowed",
        "handle it, or let it go on",
    ),
    _rule("swallowed-exception", "medium", GO, r"^\s*_ = err\b", "an error is swallowed", "handle it, or return it"),
    _rule(
        "check-turned-off",
        "low",
        PYTHON,
        r"#\s*(type:\s*ignore|noqa)\s*$",
        "a check is turned off as a whole",
        "name its code",
    ),
    _rule(
        "verification-off",
        "high",
        ANY,
        r"\bverify\s*=\s*False\b|InsecureSkipVerify:\s*true|rejectUnauthorized:\s*false",
        "certificates are not checked",
        "check them; trust a CA of your own where there is one",
    ),
)
"""No pattern has nested repeats: lines come from outside, and must not take quadratic time."""

TODO = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
PRINT = re.compile(r"^\s*print\(")
PRINTS = ("cli", "scripts", "bin", "__main__.py", "manage.py", "setup.py", "examples", "bench", "benchmarks")


def line_findings(change: Change, redactor: Redactor) -> Iterator[Finding]:
    """What is wrong with new lines."""
    issue = re.compile(change.rules.issue)
    for file in change.standing():
        for number, whole in file.added.items():
            line = whole[:LINE_CHARS]
            yield from _of_table(file, number, line)
            yield from _of_words(file, number, line, issue)
        yield from secrets_in(file, redactor)


def secrets_in(file: ChangedFile, redactor: Redactor) -> Iterator[Finding]:
    """Secrets in new lines. The finding has its kind only."""
    for number, line in file.added.items():
        kinds = redactor.found(line[:LINE_CHARS])
        if "-----BEGIN" in line and "PRIVATE KEY" in line:
            kinds = [*kinds, "private key"]
        for kind in dict.fromkeys(kinds):
            yield Finding(
                file=file.path,
                line=number,
                severity="medium" if is_test(file.path) else "critical",
                rule="secret",
                message=f"this looks like a secret: {kind}",
                suggestion="take it out, and change it where it counts: the history keeps it",
            )


def _of_table(file: ChangedFile, number: int, line: str) -> Iterator[Finding]:
    for rule in LINES:
        if (not rule.suffixes or file.suffix in rule.suffixes) and rule.pattern.search(line):
            yield Finding(
                file=file.path,
                line=number,
                severity=rule.severity,
                rule=rule.rule,
                message=rule.message,
                suggestion=rule.suggestion,
            )


def _of_words(file: ChangedFile, number: int, line: str, issue: re.Pattern[str]) -> Iterator[Finding]:
    if file.suffix in COMMENTED and TODO.search(line) and not issue.search(line):
        yield Finding(
            file=file.path,
            line=number,
            severity="low",
            rule="todo-without-issue",
            message="a TODO without an issue",
            suggestion="name the issue beside it, or do it now",
        )
    prints = is_test(file.path) or any(part in PRINTS for part in file.path.split("/"))
    if file.suffix == ".py" and PRINT.match(line) and not prints:
        yield Finding(
            file=file.path,
            line=number,
            severity="low",
            rule="debug-output",
            message="output by print",
            suggestion="log it, or take it out",
        )
