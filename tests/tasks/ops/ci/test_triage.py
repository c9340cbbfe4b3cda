"""Flaky or real, with earlier builds in mind."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from blocks.errors import StoreFailed
from blocks.store import LocalFiles
from tasks.ops.ci.history import History, added, read_history, record_build, record_of
from tasks.ops.ci.junit import read_junit
from tasks.ops.ci.mining import mined
from tasks.ops.ci.report import triage_markdown
from tasks.ops.ci.result import TriageReport
from tasks.ops.ci.triage import triage
from tests.tasks.ops.ci.junit_files import ASSERTION, REFUSED, junit

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEST = "tests.test_a.one"


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "store")


def seen(history: History, path: Path, build: str, commit: str, *failures: tuple[str, str] | None) -> History:
    """A history with a build in which the test was tried so often."""
    paths = [junit(path / f"{build}-{number}.xml", one=one) for number, one in enumerate(failures)]
    return added(history, read_junit(paths), build=build, commit=commit, at=NOW)


def judged(path: Path, history: History, build: str, commit: str, *failures: tuple[str, str] | None) -> TriageReport:
    paths = [junit(path / f"{build}-{number}.xml", one=one) for number, one in enumerate(failures)]
    tests = read_junit(paths)
    history = added(history, tests, build=build, commit=commit, at=NOW)
    return triage(tests, [], history, project="p", build=build, commit=commit)


def test_a_test_that_passed_when_tried_again_is_flaky(tmp_path: Path) -> None:
    (finding,) = judged(tmp_path, History(), "1", "a", ASSERTION, None).findings
    assert (finding.verdict, finding.verdict_confidence) == ("flaky", 0.95)
    assert finding.judged.cause == "assertion"
    assert finding.suggestion.text.startswith("run it again")


def test_a_test_that_passed_on_the_same_commit_in_another_build_is_flaky(tmp_path: Path) -> None:
    history = seen(History(), tmp_path, "0", "z", ASSERTION)
    history = seen(history, tmp_path, "1", "a", None)
    (finding,) = judged(tmp_path, history, "2", "a", ASSERTION).findings
    assert (finding.verdict, finding.verdict_confidence) == ("flaky", 0.9)


def test_a_test_that_failed_all_attempts_or_many_builds_is_real(tmp_path: Path) -> None:
    (first,) = judged(tmp_path, History(), "1", "a", REFUSED, REFUSED).findings
    assert (first.verdict, first.verdict_confidence) == ("real", 0.8)
    history = seen(seen(History(), tmp_path, "1", "a", ASSERTION), tmp_path, "2", "b", None)
    history = seen(seen(history, tmp_path, "3", "c", REFUSED), tmp_path, "4", "d", REFUSED)
    (long,) = judged(tmp_path, history, "5", "e", REFUSED).findings
    assert (long.verdict, long.record.failing_since, long.record.last_passed) == ("real", "c", "b")
    assert long.record.failing_builds == 3


def test_a_first_failure_is_judged_by_its_cause(tmp_path: Path) -> None:
    (network,) = judged(tmp_path, History(), "1", "a", REFUSED).findings
    assert network.verdict == "flaky"
    (assertion,) = judged(tmp_path, History(), "2", "a", ASSERTION).findings
    assert assertion.verdict == "real"
    (unknown,) = judged(tmp_path, History(), "3", "a", ("odd", "odd")).findings
    assert (unknown.verdict, unknown.judged.cause) == ("unsure", "unknown")


def test_the_flake_rate_counts_commits_with_both_outcomes(tmp_path: Path) -> None:
    history = History()
    for number in range(10):
        outcomes = (ASSERTION, None) if number in (0, 4) else (None,)
        history = seen(history, tmp_path, str(number), f"commit{number}", *outcomes)
    assert record_of(history, TEST, "commit9").flake_rate == 0.2
    (finding,) = judged(tmp_path, history, "x", "new", ASSERTION).findings
    assert (finding.verdict, finding.verdict_confidence) == ("flaky", pytest.approx(0.5 + 2 / 11 / 2, abs=0.001))


def test_a_build_counts_once_however_often_it_is_told(files: LocalFiles, tmp_path: Path) -> None:
    tests = read_junit([junit(tmp_path / "j.xml", one=ASSERTION, two=None)])
    for _ in range(3):
        record_build(files, "p", tests, build="1", commit="a", at=NOW)
    history = read_history(files, "p")
    assert list(history.tests) == [TEST]
    assert len(history.tests[TEST]) == 1


def test_builds_told_at_the_same_time_are_all_kept(files: LocalFiles, tmp_path: Path) -> None:
    tests = read_junit([junit(tmp_path / "j.xml", one=ASSERTION)])

    def tell(number: int) -> None:
        record_build(files, "p", tests, build=str(number), commit="a", at=NOW)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(tell, range(12)))
    assert len(read_history(files, "p").tests[TEST]) == 12


def test_a_history_that_is_damaged_is_told(files: LocalFiles) -> None:
    files.put_bytes("operations/ci/p/history.json", b"{")
    with pytest.raises(StoreFailed, match="history of p"):
        read_history(files, "p")


def test_failures_of_one_kind_are_one_finding(tmp_path: Path) -> None:
    cases = {f"t{number}": (f"AssertionError: assert {number} == 3", "E   assert") for number in range(80)}
    tests = read_junit([junit(tmp_path / "j.xml", **cases, other=REFUSED)])
    report = triage(tests, [], History(), project="p", build="1", commit="a")
    assert [(one.judged.cause, one.count) for one in report.findings] == [("assertion", 80), ("network", 1)]
    assert len(report.findings[0].tests) == 50


def test_a_job_that_died_without_a_failed_test_is_told_by_its_log(tmp_path: Path) -> None:
    tests = read_junit([junit(tmp_path / "j.xml", one=None)])
    log = mined(["building", "OSError: [Errno 28] No space left on device"], "job.log")
    report = triage(tests, [log], History(), project="p", build="1", commit="a")
    assert [one.cause for one in report.job] == ["disk_full"]
    assert report.has_real
    assert "disk_full" in report.summary


def test_a_test_that_says_nothing_is_judged_by_the_log(tmp_path: Path) -> None:
    tests = read_junit([junit(tmp_path / "j.xml", one=("", "worker gone"))])
    log = mined(["Out of memory: Killed process 9"], "job.log")
    (finding,) = triage(tests, [log], History(), project="p", build="1", commit="a").findings
    assert (finding.judged.cause, finding.judged.evidence[0].source) == ("out_of_memory", "job.log")


def test_what_tests_say_is_no_markdown(tmp_path: Path) -> None:
    hostile = "AssertionError: ![x](http://evil/p.png) <script>`</script>\n```\n# owned\n$(reboot)"
    tests = read_junit([junit(tmp_path / "j.xml", one=(hostile, hostile))])
    text = triage_markdown(triage(tests, [], History(), project="p", build="1", commit="a"))
    outside, fence = [], ""
    for line in text.split("\n"):
        if line.startswith("```") and not fence:
            fence = line.removesuffix("text")
        elif line == fence:
            fence = ""
        elif not fence:
            outside.append(line)
    assert not any(line.startswith("# owned") for line in outside)
    assert all("![x]" not in line or "``" in line for line in outside)


@pytest.mark.parametrize(("builds", "told"), [(1, "known from 1 build:"), (2, "known from 2 builds:")])
def test_builds_are_counted_in_words_that_fit(builds: int, told: str, tmp_path: Path) -> None:
    tests = read_junit([junit(tmp_path / "j.xml", one=("AssertionError", "x"))])
    report = triage(tests, [], History(), project="p", build="1", commit="a")
    (finding,) = report.findings
    known = finding.model_copy(update={"record": finding.record.model_copy(update={"builds": builds})})
    assert told in triage_markdown(report.model_copy(update={"findings": (known,)}))


def test_a_suggestion_says_once_to_run_it_again(tmp_path: Path) -> None:
    (finding,) = judged(tmp_path, History(), "1", "a", REFUSED, None).findings
    assert (finding.verdict, finding.judged.cause) == ("flaky", "network")
    assert finding.suggestion.text.count("run it again") == 1
