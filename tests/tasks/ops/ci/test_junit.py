"""JUnit files as different runners write them."""

import subprocess
import sys
from pathlib import Path

import pytest

from blocks.errors import BadInput, NotFound
from tasks.ops.ci.junit import attempts_in, read_junit
from tests.tasks.ops.ci.junit_files import ASSERTION, junit


def test_what_pytest_writes_is_read(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(
        "import pytest\n"
        "def test_ok(): pass\n"
        "def test_bad(): assert 1 == 2\n"
        "def test_lost(nothing): pass\n"
        "def test_skipped(): pytest.skip('not here')\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junit-xml=j.xml", "test_a.py"]
    subprocess.run(command, cwd=tmp_path, check=False, capture_output=True)
    found = read_junit([tmp_path / "j.xml"])
    assert {test: [one.outcome for one in attempts] for test, attempts in found.items()} == {
        "test_a.test_ok": ["passed"],
        "test_a.test_bad": ["failed"],
        "test_a.test_lost": ["error"],
        "test_a.test_skipped": ["skipped"],
    }
    assert "fixture 'nothing' not found" in found["test_a.test_lost"][0].text


def test_retries_in_other_files_are_attempts_at_the_same_test(tmp_path: Path) -> None:
    first = junit(tmp_path / "1.xml", one=ASSERTION, two=None)
    second = junit(tmp_path / "2.xml", one=None)
    found = read_junit([first, second])
    assert [one.outcome for one in found["tests.test_a.one"]] == ["failed", "passed"]


def test_surefire_tells_of_flaky_failures_within_a_case() -> None:
    content = (
        b'<testsuite><testcase classname="A" name="b"><flakyFailure message="no" type="X">'
        b"<stackTrace>at A.b(A.java:3)</stackTrace></flakyFailure></testcase></testsuite>"
    )
    assert [(one.outcome, one.kind) for one in attempts_in(content, "s.xml")] == [("failed", "X"), ("passed", "")]


@pytest.mark.parametrize(
    "content",
    [
        b"no xml",
        b"<html/>",
        b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><testsuite><testcase name="&a;"/></testsuite>',
        b'<!DOCTYPE x [<!ENTITY a "aaaa">]><testsuite/>',
    ],
    ids=["text", "html", "external entity", "entity"],
)
def test_what_is_no_plain_junit_file_is_refused(content: bytes) -> None:
    with pytest.raises(BadInput) as caught:
        list(attempts_in(content, "x.xml"))
    assert caught.value.details["field"] == "junit"


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_junit([tmp_path / "none.xml"])
