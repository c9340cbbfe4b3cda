"""Triage as a flow: a report in the store, a history that counts each build once."""

from pathlib import Path

import pytest

from blocks.errors import BadInput
from blocks.settings import settings
from blocks.store import open_store
from flows.ci import triage_ci
from tasks.ops.ci.build import Build
from tasks.ops.ci.history import read_history
from tasks.ops.ci.result import TriageReport
from tasks.ops.options import OperationsOptions
from tests.fakes.llm.agent_model import agent_model
from tests.tasks.ops.ci.junit_files import ASSERTION, junit

OPTIONS = OperationsOptions(user="ann", attended=False)
TEST = "tests.test_a.one"


def build(path: Path, **facts: str) -> Build:
    return Build(junit=(str(junit(path / "j.xml", one=ASSERTION, two=None)),), project="shop", **facts)  # type: ignore[arg-type]


async def test_a_build_is_triaged_kept_and_counted_once(prefect_api: str, tmp_path: Path) -> None:
    first = await triage_ci(build(tmp_path, commit="abc"), OPTIONS)
    again = await triage_ci(build(tmp_path, commit="abc"), OPTIONS)
    assert (first.failed, first.written_by, first.build) == (1, "rules", again.build)
    assert len(read_history(open_store(), "shop").tests[TEST]) == 1
    kept = open_store().read_bytes(f"operations/ci/shop/reports/{first.run_id}.json")
    assert TriageReport.model_validate_json(kept) == first


async def test_a_dry_run_keeps_nothing(prefect_api: str, tmp_path: Path) -> None:
    report = await triage_ci(build(tmp_path), OPTIONS.model_copy(update={"dry_run": True}))
    assert (report.failed, report.dry_run) == (1, True)
    assert list(open_store().list("operations/ci/")) == []


async def test_secrets_in_a_build_are_not_in_its_report(prefect_api: str, tmp_path: Path) -> None:
    token = "ghp_" + "a1B2" * 9
    file = junit(tmp_path / "j.xml", one=(f"AssertionError: got {token}", f"E  assert '{token}'"))
    report = await triage_ci(Build(junit=(str(file),), project="shop"), OPTIONS)
    assert token not in report.model_dump_json()
    assert "REDACTED" in report.findings[0].message


async def test_nothing_to_look_at_is_refused(prefect_api: str) -> None:
    with pytest.raises(BadInput) as caught:
        await triage_ci(Build(), OPTIONS)
    assert caught.value.details["field"] == "junit"


async def test_a_model_words_the_summary_and_the_report_says_so(prefect_api: str, tmp_path: Path) -> None:
    with agent_model(settings().accounts_file, '{"summary": "One assertion failed."}'):
        report = await triage_ci(build(tmp_path), OPTIONS)
    assert (report.summary, report.written_by) == ("One assertion failed.", "scripted")


async def test_a_model_that_answers_nonsense_leaves_the_words_of_the_rules(prefect_api: str, tmp_path: Path) -> None:
    with agent_model(settings().accounts_file, "no idea", "none at all"):
        report = await triage_ci(build(tmp_path), OPTIONS)
    assert report.written_by == "rules"
    assert "1 real" in report.summary
