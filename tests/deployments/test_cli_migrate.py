"""`c500 migrate`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import deployments.cli.migrate  # noqa: F401 - registers the commands
from blocks.errors import BadInput, NotFound
from deployments.cli import app
from tasks.ops.migration.kept import open_migrations
from tests.tasks.ops.migration.plans import phase, plan_file
from tests.tasks.ops.migration.shop import PLAN

FAILS = {"name": "fails", "kind": "command", "argv": ["false"]}


def c500(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["migrate", *arguments])


def test_a_plan_is_shown_in_order() -> None:
    told = c500("plan", str(PLAN))
    assert told.exit_code == 0
    assert "5. contract (sql)" in told.stdout and "undo: impossible" in told.stdout and "flowchart" in told.stdout
    assert json.loads(c500("plan", str(PLAN), "--json").stdout)["phases"][0]["name"] == "expand"


def test_what_is_wrong_is_told_before_anything_starts(tmp_path: Path) -> None:
    assert isinstance(c500("run", str(tmp_path / "none.yaml")).exception, NotFound)
    wrong = plan_file(tmp_path, phase("a", checks=[]))
    assert isinstance(c500("run", str(wrong)).exception, BadInput)
    assert isinstance(c500("run", str(plan_file(tmp_path, phase("a"))), "--id", "A B").exception, BadInput)
    for command in ("status", "history", "rollback"):
        unknown = c500(command, "nothing").exception
        assert isinstance(unknown, NotFound) and "c500 migrate status" in unknown.fix
        assert isinstance(c500(command, "../x").exception, BadInput)


@pytest.mark.usefixtures("prefect_api")
def test_a_migration_from_plan_to_rollback(tmp_path: Path) -> None:
    plan = str(plan_file(tmp_path, phase("a", says="do [a] <b>"), phase("b")))
    rehearsed = c500("run", plan, "--dry-run")
    assert rehearsed.exit_code == 0 and "move: a: do [a] <b>: planned" in rehearsed.stdout
    assert not [*open_migrations().names()] and "there is no migration" in c500("status").stderr
    first = c500("run", plan, "--profile", "staging")
    run_id = open_migrations().read("move").run_id
    assert first.exit_code == 0 and f"migration move begins, run {run_id}" in first.stderr
    again = c500("run", plan, "--profile", "staging", "--json")
    assert json.loads(again.stdout)["status"] == "done"
    assert (tmp_path / "done.txt").read_text() == "a\nb\n"
    assert "move  done  2 of 2 phases" in c500("status").stdout
    assert "stateDiagram-v2" in c500("status", "move").stdout
    assert "b → done" in c500("history", plan).stdout
    planned = c500("rollback", "move", "--profile", "staging", "--dry-run")
    assert planned.exit_code == 0 and "move: b: undo b: planned" in planned.stdout
    undone = c500("rollback", "move", "--profile", "staging")
    assert undone.exit_code == 0 and "move · rolled_back" in undone.stderr
    assert (tmp_path / "done.txt").read_text() == "a\nb\nundo-b\nundo-a\n"
    over = c500("run", plan, "--profile", "staging")
    assert over.exit_code == 1 and "give another --id" in over.stderr
    assert c500("run", plan, "--profile", "staging", "--id", "second").exit_code == 0


@pytest.mark.usefixtures("prefect_api")
def test_one_that_waits_ends_with_3(tmp_path: Path) -> None:
    plan = str(plan_file(tmp_path, phase("a", checks=[FAILS]), on_failure="pause"))
    told = c500("run", plan, "--profile", "staging")
    assert told.exit_code == 3 and "a failed: check fails" in told.stderr
