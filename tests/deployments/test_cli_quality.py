"""`c500 quality`: what its options mean, and what it shows."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from blocks.errors import BadInput, NotFound
from blocks.settings import settings
from blocks.store import open_store
from deployments.cli import app
from deployments.cli.quality import period_of
from tasks.quality.audit.history import PeriodRow, keep_period
from tasks.quality.audit.judged import AuditReport
from tasks.quality.audit.keep import report_key
from tasks.quality.audit.period import named

NONE = {"since": None, "until": None, "day": None, "week": None, "month": None}


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"day": "2026-03-02"}, "2026-03-02"),
        ({"week": "2026-W10"}, "2026-W10"),
        ({"month": "2026-03"}, "2026-03"),
        ({"since": "2026-03-02", "until": "2026-03-03"}, "2026-03-02"),
        ({"since": "2026-03-02T08:00", "until": "2026-03-02T09:00+00:00"}, "20260302T080000Z-20260302T090000Z"),
    ],
)
def test_options_name_a_period(options: dict[str, str], name: str) -> None:
    period = period_of(**NONE | options)
    assert period is not None and period.name == name


def test_without_an_end_it_is_now_and_without_options_the_flow_chooses() -> None:
    since = datetime.now(UTC).replace(hour=0, minute=0).isoformat()
    period = period_of(**NONE | {"since": since})
    assert period is not None and period.until <= datetime.now(UTC)
    assert period_of(**NONE) is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"day": "2026-03-02", "week": "last"}, "the options name no one period"),
        ({"day": "2026-03-02", "since": "2026-03-01"}, "the options name no one period"),
        ({"until": "2026-03-01"}, "the options name no one period"),
        ({"since": "yesterday"}, "--since is 'yesterday', which is no moment"),
        ({"since": "2026-03-02", "until": "2026-03-01"}, "a period ends after it begins"),
        ({"month": "March"}, "'March' is no month"),
    ],
)
def test_options_that_name_none_are_told(options: dict[str, str], told: str) -> None:
    with pytest.raises(BadInput) as error:
        period_of(**NONE | options)
    assert told in error.value.message


def test_show_lists_what_was_audited() -> None:
    assert "no period was audited yet" in CliRunner().invoke(app, ["quality", "show"]).output
    period = named("day", "2026-03-02")
    row = PeriodRow(
        name=period.name,
        since=period.since,
        until=period.until,
        audited_at=period.until,
        jobs=1200,
        verdict="failed",
        failed=("jobs/loops",),
    )
    files = open_store()
    keep_period(files, row)
    report = AuditReport(run_id="r", period=row, suites=(), notes=("A note.",))
    files.put_bytes(report_key(row.name), report.model_dump_json().encode())
    [line] = CliRunner().invoke(app, ["quality", "show"]).output.splitlines()
    assert line.split()[:4] == ["2026-03-02", "failed", "1,200", "jobs"]
    assert line.endswith("jobs/loops")
    assert json.loads(CliRunner().invoke(app, ["quality", "show", "--json"]).output)[0]["jobs"] == 1200
    assert "A note." in CliRunner().invoke(app, ["quality", "show", "2026-03-02"]).output
    with pytest.raises(NotFound, match="was not audited"):
        CliRunner().invoke(app, ["quality", "show", "2026-03-03"], catch_exceptions=False)


def test_suites_are_listed_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.yaml").write_text(
        "suite: jobs\nexpectations:\n  - {id: own, expect: column_max_to_be_between, column: rtf, max_value: 3}\n"
    )
    monkeypatch.setenv("QUALITY_SUITES_DIR", str(tmp_path))
    settings.cache_clear()
    found = CliRunner().invoke(app, ["quality", "suites"]).output
    assert "jobs: Finished jobs (table jobs)" in found
    assert "  own                  critical  column_max_to_be_between" in found
    suites = json.loads(CliRunner().invoke(app, ["quality", "suites", "--json"]).output)
    assert suites[0]["expectations"][-1]["where"] == f"{tmp_path}/own.yaml:3"
    (tmp_path / "own.yaml").write_text("suite: jobs\nexpectations:\n  - {id: own, expect: nonsense}\n")
    with pytest.raises(BadInput, match=r"own\.yaml:3: "):
        CliRunner().invoke(app, ["quality", "suites"], catch_exceptions=False)


def test_columns_are_listed() -> None:
    found = CliRunner().invoke(app, ["quality", "suites", "--columns"]).output
    assert "  repeated_share         share of words in segments that came before" in found
    assert json.loads(CliRunner().invoke(app, ["quality", "suites", "--columns", "--json"]).output)["batches"]
