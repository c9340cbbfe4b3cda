"""JUnit files: what each test came to, with all attempts that were made at it."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from blocks.errors import BadInput, NotFound, TooLarge
from blocks.model import Frozen

Outcome = Literal["passed", "failed", "error", "skipped"]

FILE_BYTES = 64_000_000
TEXT_CHARS = 12_000
NAME_CHARS = 500
FAILED: tuple[Outcome, ...] = ("failed", "error")
OUTCOMES: dict[str, Outcome] = {"Error": "error", "Failure": "failed", "Skipped": "skipped"}


class Attempt(Frozen):
    """A test, run once.

    Attributes:
        test: Which: class and name, as the file has them.
        outcome: What it came to; `error`: it did not come to its own checks.
        kind: The exception's type, where the file says so.
        message: Its message.
        text: What the runner wrote about it; beginning and end where it is long.
        file: Path of the test's source, where the file says so.
        line: In it, from 1.
        time_s: Seconds.
        source: The JUnit file.
    """

    test: str
    outcome: Outcome
    kind: str = ""
    message: str = ""
    text: str = ""
    file: str = ""
    line: int | None = None
    time_s: float = 0.0
    source: str = ""

    @property
    def is_failure(self) -> bool:
        """Whether it failed."""
        return self.outcome in FAILED


def read_junit(paths: Iterable[Path]) -> dict[str, tuple[Attempt, ...]]:
    """The attempts of each test, in the order of the files: those of retries come together.

    Raises:
        NotFound, BadInput, TooLarge: a file is not there, is no JUnit file, declares entities, or is too large.
    """
    found: dict[str, list[Attempt]] = {}
    for path in paths:
        for attempt in attempts_in(_content(path), str(path)):
            found.setdefault(attempt.test, []).append(attempt)
    return {test: tuple(attempts) for test, attempts in found.items()}


def attempts_in(content: bytes, name: str) -> Iterator[Attempt]:
    """The attempts in a JUnit file. Raises `BadInput`."""
    from junitparser import xunit2  # lxml: a tenth of a second

    for element in _root(content, name).iter("testcase"):
        yield from _attempts(xunit2.TestCase.fromelem(element), name)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_size > FILE_BYTES:
                raise TooLarge(f"{path} has more than {FILE_BYTES} bytes", fix="split the build's tests", field="junit")
            return stream.read(FILE_BYTES)
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}", fix="check the path", field="junit") from error
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}", fix="give a JUnit file", field="junit") from error


def _root(content: bytes, name: str) -> Any:
    from lxml import etree  # pyright: ignore[reportAttributeAccessIssue] - it comes without types

    # What tests print lies in these files: no entity is followed, and nothing is fetched.
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise BadInput(f"{name} is no XML: {error.msg}", fix="give a JUnit file", field="junit") from None
    if root.getroottree().docinfo.doctype:
        raise BadInput(f"{name} declares a document type", fix="give a plain JUnit file", field="junit")
    if root.tag not in ("testsuites", "testsuite"):
        raise BadInput(f"{name} is no JUnit file", fix="give one of testsuites", field="junit")
    return root


def _attempts(case: Any, source: str) -> Iterator[Attempt]:
    """Of a case: what Surefire and its like write of earlier attempts, then how it ended."""
    facts: dict[str, Any] = {
        "test": _name(case),
        "file": str(case._elem.get("file") or "")[:NAME_CHARS],
        "line": _number(case._elem.get("line")),
        "time_s": _seconds(case._elem.get("time")),
        "source": source,
    }
    earlier = [*case.flaky_failures(), *case.flaky_errors(), *case.rerun_failures(), *case.rerun_errors()]
    for one in earlier:
        yield Attempt(**facts, outcome="failed", **_told(one))
    results = list(case.result)
    kinds = {type(one).__name__ for one in results}
    worst: list[Outcome] = [outcome for kind, outcome in OUTCOMES.items() if kind in kinds]
    shown = next((one for one in results if type(one).__name__ in ("Error", "Failure")), None)
    yield Attempt(**facts, outcome=worst[0] if worst else "passed", **({} if shown is None else _told(shown)))


def _told(result: Any) -> dict[str, Any]:
    text = result.text or getattr(result, "stack_trace", None) or ""
    return {
        "kind": str(result.type or "")[:NAME_CHARS],
        "message": ends_of(str(result.message or ""), 2000),
        "text": ends_of(str(text), TEXT_CHARS),
    }


def _name(case: Any) -> str:
    name, within = str(case.name or ""), str(case.classname or "")
    return (f"{within}.{name}" if within else name)[:NAME_CHARS] or "unnamed"


def _number(text: str | None) -> int | None:
    return int(text) + 1 if text and text.isascii() and text.isdigit() and len(text) < 8 else None  # pytest: from 0


def _seconds(text: str | None) -> float:
    try:
        seconds = float((text or "0").replace(",", ""))
    except ValueError:
        return 0.0
    return seconds if 0 <= seconds < 1e7 else 0.0


def ends_of(text: str, most: int) -> str:
    """A text, or its beginning and its end."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n… ({len(text) - 2 * half} characters left out)\n{text[-half:]}"
