"""`c500 maintain` and `c500 operations`: a run is told, listed, and gone on with; none is made up."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from blocks.errors import Conflict, NotFound
from blocks.settings import settings
from deployments.cli import app, load_commands

PLAN = "tasks:\n  - {{name: mark, kind: command, argv: [sh, -c, 'echo x >> {at}/marks']}}\n"


@pytest.fixture
def plan(tmp_path: Path, prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    load_commands()
    (tmp_path / "inventory.yaml").write_text("hosts: {local: {}}\n")
    monkeypatch.setenv("INVENTORY_FILE", str(tmp_path / "inventory.yaml"))
    settings.cache_clear()
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN.format(at=tmp_path))
    return path


def c500(*words: str) -> "tuple[int, str]":
    result = CliRunner().invoke(app, list(words))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_a_run_is_told_listed_and_gone_on_with(plan: Path, tmp_path: Path) -> None:
    code, output = c500("maintain", str(plan), "--profile", "staging")
    run_id = output.split("run ")[1].split()[0]
    assert (code, (tmp_path / "marks").read_text()) == (0, "x\n"), output
    assert run_id in c500("operations")[1] and "completed" in c500("operations")[1]
    code, _ = c500("maintain", str(plan), "--profile", "staging", "--resume", run_id)
    assert (code, (tmp_path / "marks").read_text()) == (0, "x\n")
    other = tmp_path / "other.yaml"
    other.write_text(plan.read_text())
    with pytest.raises(Conflict, match=run_id):
        c500("maintain", str(other), "--profile", "staging", "--resume", run_id)


def test_no_run_is_made_up(plan: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no run"):
        c500("maintain", str(plan), "--profile", "staging", "--resume", "0123456789abcdef")
    assert not (tmp_path / "marks").exists()


def test_a_dry_run_and_a_check_change_nothing(plan: Path, tmp_path: Path) -> None:
    code, output = c500("maintain", str(plan), "--dry-run")
    assert code == 0 and "would ask" in output
    assert c500("maintain", str(plan), "--check") == (0, "mark: local\n")
    assert not (tmp_path / "marks").exists() and "no operation" in c500("operations")[1]
