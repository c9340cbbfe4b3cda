"""`c500 report`."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import deployments.cli.report  # noqa: F401 - registers the command
from blocks.errors import BadInput
from blocks.store import open_store
from deployments.cli import app
from tests.tasks.quality.report.planted import keep_results, result


def c500(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["report", *arguments])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--day", "soon"), "'soon' is no day"),
        (("--week", "2026-W99"), "is no week"),
        (("2026-W99",), "is no week"),
        (("--day", "--week"), "several periods"),
        (("2026-11-21", "--since", "2026-11-01"), "several periods"),
        (("--until", "2026-11-01"), "needs a begin"),
        (("--zone", "Mars/Olympus"), "no time zone"),
        (("--out", "report.txt"), "does not say how"),
        (("--day", "9000-01-01"), "has not begun"),
    ],
)
def test_what_is_wrong_is_told_before_anything_starts(arguments: tuple[str, ...], told: str) -> None:
    error = c500(*arguments).exception
    assert isinstance(error, BadInput) and told in error.message


@pytest.mark.usefixtures("prefect_api")
def test_a_report_is_printed_and_written(tmp_path: Path) -> None:
    noon = (datetime.now(UTC) - timedelta(days=1)).replace(hour=12, minute=0)
    keep_results(open_store(), [result("a", noon), result("b", noon, status="partial")])
    day, page = f"{noon:%Y-%m-%d}", tmp_path / "report.html"
    common = ("--day", day, "--zone", "UTC", "--no-model", "--profile", "staging")
    told = json.loads(c500(*common, "--json").stdout)
    (jobs,) = (part for part in told["parts"] if part["name"] == "jobs")
    assert {one["name"]: one["value"] for one in jobs["figures"]}["jobs"] == 2
    written = c500(*common, "--out", str(page))
    assert written.exit_code == 0 and f"kept in file://{tmp_path}/store/reports/day/{day}" in written.stderr
    assert page.read_text().startswith("<!doctype html>") and not written.stdout
    shown = c500(*common, "--form", "markdown", "--dry-run")
    assert "| jobs with a result | 2 | 0 | +2 |" in shown.stdout and "kept in" not in shown.stderr
    unsent = c500(*common, "--send")
    assert "2 jobs" in unsent.stdout and "OPERATIONS_CHANNELS_FILE" in unsent.stderr
    assert unsent.exit_code == 1, "nobody got it"
