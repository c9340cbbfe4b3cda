"""Plans of migrations are checked before anything runs; what is wrong is told with its line."""

from pathlib import Path
from typing import Any

import pytest

from blocks.errors import BadInput
from tasks.ops.migration.kinds import Sql
from tasks.ops.migration.plan import read_plan, variable_of
from tasks.ops.migration.statements import split_statements
from tests.tasks.ops.migration.plans import HOLDS, phase, plan, plan_file
from tests.tasks.ops.migration.shop import PLAN


def sql(script: str) -> dict[str, Any]:
    return {"kind": "sql", "database": "shop", "script": script}


@pytest.mark.parametrize(
    ("phases", "told"),
    [
        ([phase("a", checks=[])], "phases.0.checks: it needs 1 or more"),
        ([phase("a"), phase("a")], "the phase a stands twice"),
        ([phase("a", depends_on=["b"]), phase("b")], "depends on b, which does not stand before it"),
        ([phase("a", checks=[HOLDS, HOLDS])], "two checks have the same name"),
        ([phase("a", locks=["x/y", "x-y"])], "too much alike"),
        ([phase("a", locks=["../x"])], "phases.0.locks.0"),
        ([phase("a; rm -rf /")], "phases.0.name"),
        ([phase("a", action=sql("COMMIT"))], "COMMIT does not belong here"),
        ([phase("a", action=sql("SELECT 1; /* x */ rollback;"))], "ROLLBACK does not belong here"),
        ([phase("a", action=sql("-- nothing"))], "there is no statement"),
        ([phase("a", action={"kind": "command", "argv": ["x"], "tries": 3})], "must be repeatable"),
        (
            [phase("a", action={"kind": "command", "argv": ["x"], "secrets": {"P": "hunter2"}})],
            "never the secret itself",
        ),
        ([phase("a", action={"kind": "command", "argv": ["x"], "env": {"A B": "1"}})], "phases.0.action.command.env"),
        ([phase("a", action={"kind": "shell", "run": "x"})], "phases.0.action"),
        ([phase("a", compensation="maybe")], "phases.0.compensation"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, phases: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(BadInput) as failed:
        read_plan(plan_file(tmp_path, *phases))
    assert told in failed.value.message and "plan.yaml:" in failed.value.message
    assert "hunter2" not in failed.value.message


def test_a_file_of_statements_is_read_with_the_plan(tmp_path: Path) -> None:
    (tmp_path / "do.sql").write_text("SELECT 1; SELECT 2")
    given = {"kind": "sql", "database": "shop", "file": "do.sql"}
    read = plan(tmp_path, phase("a", action=given)).phase("a").action
    assert isinstance(read, Sql) and read.statements == ("SELECT 1", "SELECT 2")
    for script, told in (("BEGIN; SELECT 1; END", "BEGIN"), ("", "no statement")):
        (tmp_path / "do.sql").write_text(script)
        with pytest.raises(BadInput, match=told):
            plan(tmp_path, phase("a", action=given))
    (tmp_path / "do.sql").unlink()
    with pytest.raises(BadInput, match="there is no file"):
        plan(tmp_path, phase("a", action=given))


def test_a_phase_depends_on_the_one_before_unless_it_says_so(tmp_path: Path) -> None:
    read = plan(tmp_path, phase("a"), phase("b"), phase("c", depends_on=[]))
    assert [read.needs(one) for one in ("a", "b", "c")] == [(), ("a",), ()]


def test_the_example_is_a_plan() -> None:
    assert [one.name for one in read_plan(PLAN).phases] == ["expand", "backfill", "index", "switch", "contract"]


@pytest.mark.parametrize(
    ("script", "statements"),
    [
        ("a; b", ("a", "b")),
        (" ;; a ; ", ("a",)),
        ("SELECT ';' ; SELECT E'\\';' ; SELECT \";\"", ("SELECT ';'", "SELECT E'\\';'", 'SELECT ";"')),
        ("a -- ; b\n; c", ("a -- ; b", "c")),
        ("/* ; /* ; */ ; */ a; b", ("/* ; /* ; */ ; */ a", "b")),
        ("DO $$ BEGIN x; END $$; b", ("DO $$ BEGIN x; END $$", "b")),
        ("CREATE FUNCTION f() AS $f$ a; $$ ; $f$; b", ("CREATE FUNCTION f() AS $f$ a; $$ ; $f$", "b")),
        ("SELECT a$b$c; d", ("SELECT a$b$c", "d")),
        ("SELECT $1; b", ("SELECT $1", "b")),
        ("-- only this", ()),
    ],
)
def test_scripts_are_split_where_statements_end(script: str, statements: tuple[str, ...]) -> None:
    assert split_statements(script) == statements


def test_variables_of_tokens() -> None:
    assert variable_of("shop/orders.v-2") == "C500_TOKEN_SHOP_ORDERS_V_2"
