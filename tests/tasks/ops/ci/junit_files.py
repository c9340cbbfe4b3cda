"""JUnit files for tests."""

from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

ASSERTION = ("AssertionError: assert 2 == 3", "tests/test_a.py:5: AssertionError\nE       assert 2 == 3")
REFUSED = ("ConnectionRefusedError: [Errno 111] Connection refused", "E   Connection refused")


def junit(path: Path, **cases: tuple[str, str] | None) -> Path:
    """A file with these cases: what failed with message and text, None for a passed one."""
    told: list[str] = []
    for name, failure in cases.items():
        inner = "" if failure is None else f"<failure message={quoteattr(failure[0])}>{escape(failure[1])}</failure>"
        told.append(f'<testcase classname="tests.test_a" name="{name}" time="0.1">{inner}</testcase>')
    path.write_text(f'<testsuites><testsuite name="pytest">{"".join(told)}</testsuite></testsuites>')
    return path
