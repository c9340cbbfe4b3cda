"""What is wrong with a plan is told with its line, all of it, before anything is spent."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from blocks.errors import BadInput, NotFound
from tasks.batch_prompts.plan import Plan, read_plan
from tests.conftest import ROOT
from tests.flows.batch_prompting import GROUPS, PROMPT, plan_file, table, texts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a table."""
    table(tmp_path, texts(3))
    return tmp_path


def problems(path: Path, **instead: Any) -> list[str]:
    with pytest.raises(BadInput) as told:
        read_plan(path, **instead)
    return [one.removeprefix(f"{path}:") for one in told.value.details["problems"]]


def test_the_demo_is_a_plan_with_seven_groups() -> None:
    plan = read_plan(ROOT / "deployments" / "demo" / "batch_prompts" / "plan.yaml")
    assert len(plan.templates) == 7
    assert len(plan.per_row.units) == 6


def test_every_fault_is_told_with_its_line(folder: Path) -> None:
    path = folder / "plan.yaml"
    path.write_text("""\
name: x
source: rows.csv
output: missing/out.csv
group_column: nhom
keep: [id]
groups:
  A: {template: none.j2}
  B: {prompt: "{{ rows() }}"}
columns:
  text: {type: text}
""")
    assert [one.split(": ")[0:2] for one in problems(path)] == [
        ["3", "output"],
        ["4", "group_column"],
        ["5", "keep.0"],
        ["7", "groups.A.template"],
        ["8", "groups.B.prompt"],
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"chunk_size": 0}, "chunk_size: it must be 1 or more"),
        ({"colums": {}}, "colums: there is no such field; did you mean columns?"),
        ({"columns": {"a b": {"type": "text"}}}, "columns.a b"),
        ({"columns": {"x": {"type": "colour"}}}, "columns.x: 'type' is none of"),
        ({"columns": {"topic": {"type": "text"}}}, "columns.topic: two columns of the output would be named topic"),
        ({"per_row": {"topic": 200, "step": 200}}, "per_row: it makes 40,000 output rows"),
        ({"per_row": {"step": ["a", "a"]}}, "per_row.step: a value stands there twice"),
        ({"row_column": "nhóm"}, "two columns of the output would be named nhóm"),
        ({"row_column": "mã", "keep": []}, "row_column: the table has a column mã"),
        ({"source": "none.csv"}, "source: there is no file"),
        ({"source": "plan.yaml"}, "source: plan.yaml is of no format that rows are read from"),
        ({"output": "rows.xlsx"}, "output: it would overwrite the source"),
        ({"output": "out.txt"}, "output: it ends neither in .csv nor in .xlsx"),
        ({"groups": {"A": {}}}, "it needs either template, a path, or prompt"),
        ({"groups": {"A": {"prompt": PROMPT}, "A ": {"prompt": PROMPT}}}, "it is the same as another group"),
    ],
)
def test_what_does_not_fit_together_is_told(folder: Path, change: dict[str, Any], told: str) -> None:
    assert told in "\n".join(problems(plan_file(folder, **change)))


def test_a_table_without_rows_is_refused(folder: Path) -> None:
    table(folder, [])
    assert "source: the table has no rows" in problems(plan_file(folder))[0]


def test_a_plan_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_plan(tmp_path / "plan.yaml")


def test_paths_count_from_the_plan_and_what_is_given_instead_from_here(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = plan_file(folder)
    here = folder / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert read_plan(path).stem == str(folder / "out")
    changed = read_plan(path, output="other.xlsx", engine="agent")
    assert (changed.stem, changed.file.engine) == (str(here / "other"), "agent")


def test_an_engine_that_there_is_not_is_refused_also_where_it_is_given_instead(folder: Path) -> None:
    with pytest.raises(BadInput, match="no engine other") as caught:
        read_plan(plan_file(folder), engine="other")
    assert caught.value.details["field"] == "engine"


def versions(folder: Path, **change: Any) -> dict[str, str]:
    return read_plan(plan_file(folder, **change)).versions


def test_another_template_model_or_column_makes_other_questions_and_nothing_else_does(folder: Path) -> None:
    before = versions(folder)
    assert versions(folder, chunk_size=9, concurrency=3, engine="agent", keep=[]) == before
    groups = {group: {"prompt": PROMPT} for group in GROUPS}
    one = versions(folder, groups={**groups, "App": {"prompt": f"{PROMPT}!"}})
    assert {group for group in GROUPS if one[group] != before[group]} == {"App"}
    assert not set(versions(folder, model="other").values()) & set(before.values())
    assert not set(versions(folder, columns={"x": {"type": "text"}}).values()) & set(before.values())


def test_an_answer_is_for_its_combination_of_keys_and_not_for_its_place(folder: Path) -> None:
    one, other = {"topic": 2, "step": ["need", "action"]}, {"step": ["need", "action"], "topic": 2}
    assert not set(versions(folder, per_row=one).values()) & set(versions(folder, per_row=other).values())


def test_a_source_by_another_path_is_not_overwritten_either(folder: Path) -> None:
    (folder / "tables").symlink_to(folder)
    told = problems(plan_file(folder, source="tables/rows.csv", output="rows.csv"))
    assert any("it would overwrite the source" in one for one in told)


def test_the_dead_letters_of_a_run_before_are_no_source_of_the_next(folder: Path) -> None:
    table(folder, texts(1)).rename(folder / "out.dead.csv")
    told = problems(plan_file(folder, source="out.dead.csv", output="out.csv"))
    assert any("it would overwrite the source" in one for one in told)


def test_names_are_compared_in_nfc(folder: Path) -> None:
    import unicodedata

    path = plan_file(folder)
    path.write_text(unicodedata.normalize("NFD", path.read_text()))
    plan: Plan = read_plan(path)
    assert set(plan.templates) == set(GROUPS)
    assert yaml.safe_load(path.read_text())["group_column"] != plan.file.group_column
