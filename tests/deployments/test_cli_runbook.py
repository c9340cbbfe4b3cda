"""`c500 runbook`: what is not there is told."""

from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

import deployments.cli.runbook  # noqa: F401 - registers the commands
from blocks.errors import BadInput, NotFound
from blocks.settings import settings
from deployments.cli import app


@pytest.fixture
def runbooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """RUNBOOKS_DIR, which is not there yet."""
    place = tmp_path / "runbooks"
    monkeypatch.setenv("RUNBOOKS_DIR", str(place))
    settings.cache_clear()
    return place


def c500(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["runbook", *arguments])


@pytest.mark.usefixtures("runbooks")
def test_a_run_that_is_not_there_is_told() -> None:
    resumed = c500("run", "--resume", "nosuch").exception
    assert isinstance(resumed, NotFound) and "there is no run" in resumed.message
    shown = c500("show", "nosuch").exception
    assert isinstance(shown, NotFound) and "no run nosuch" in shown.message and "list --runs" in shown.fix


def test_a_check_of_nothing_is_no_success(runbooks: Path) -> None:
    missing = c500("check").exception
    assert isinstance(missing, BadInput) and missing.exit_code == 2 and "is missing" in missing.message
    runbooks.mkdir()
    empty = c500("check").exception
    assert isinstance(empty, BadInput) and "RUNBOOKS_DIR" in empty.message and "holds none" in empty.message
