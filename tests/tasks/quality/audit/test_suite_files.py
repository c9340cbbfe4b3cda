"""Suites as files: what is extended, and how a wrong one is told."""

from pathlib import Path

import pytest

from blocks.errors import BadInput
from tasks.quality.audit.judge import check
from tasks.quality.audit.suite_files import TABLES, Suite, read_suites
from tests.conftest import ROOT

OWN = """
suite: jobs
expectations:
  - id: confidence
    min_value: 0.6
    severity: critical
  - id: real-time
    enabled: false
  - id: short-calls
    expect: ExpectColumnMeanToBeBetween
    column: audio_s
    max_value: 600
    row_condition: 'kind == "audio"'
    severity: info
"""

NEW = """
suite: house-rules
table: period
title: House rules
expectations:
  - {id: some-jobs, expect: column_values_to_be_between, column: jobs, min_value: 1}
"""


def suites_of(folder: Path, **files: str) -> dict[str, Suite]:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return {suite.name: suite for suite in read_suites(folder)}


def test_ours_are_whole() -> None:
    suites = read_suites()
    check(suites)
    assert [suite.name for suite in suites] == list(TABLES)
    for suite in suites:
        for one in suite.expectations:
            assert one.about.endswith("."), one.id
            assert one.source.endswith("."), one.id


def test_a_file_changes_adds_and_leaves_out(tmp_path: Path) -> None:
    before = {one.id: one for one in read_suites()[0].expectations}
    found = suites_of(tmp_path, own=OWN, new=NEW)
    check(list(found.values()))
    after = {one.id: one for one in found["jobs"].expectations}
    assert before.keys() - after.keys() == {"real-time"}
    assert after.keys() - before.keys() == {"short-calls"}
    changed = after["confidence"]
    assert (changed.severity, changed.arguments) == (
        "critical",
        {"column": "confidence", "min_value": 0.6, "mostly": 0.9},
    )
    assert (changed.about, changed.where) == (before["confidence"].about, f"{tmp_path}/own.yaml:4")
    assert found["house-rules"].title == "House rules"
    assert list(found)[-1] == "drift", "in the order of tables"


@pytest.mark.parametrize(
    ("line", "change", "told"),
    [
        (5, ("column_values_to_be_between", "column_values_to_be_beween"), "did you mean column_values_to_be_between?"),
        (5, ("column: jobs", "column: job"), "the table period has no column job; did you mean jobs?"),
        (5, ("min_value: 1", "min_vale: 1"), "extra fields not permitted"),
        (5, ("min_value: 1", "mostly: 7, min_value: 1"), "less than or equal to 1.0"),
        (5, (", min_value: 1", ""), "min_value and max_value cannot both be None"),
        (5, ("id: some-jobs", "id: Some Jobs"), "it is not of the form"),
        (5, ("expect: column_values_to_be_between, ", ""), "it is missing, and needed"),
        (2, ("table: period", "table: periods"), "here belongs"),
        (1, ("table: period\n", ""), "it is missing, and needed: jobs, period, batches, drift"),
        (2, ("house-rules", "jobs"), "the suite jobs is about jobs"),
    ],
)
def test_a_fault_is_told_with_file_and_line(tmp_path: Path, line: int, change: tuple[str, str], told: str) -> None:
    assert change[0] in NEW
    with pytest.raises(BadInput) as error:
        check(list(suites_of(tmp_path, new=NEW.lstrip().replace(*change)).values()))
    assert error.value.message.startswith(f"{tmp_path}/new.yaml:{line}: ")
    assert told in error.value.message
    assert "docs/quality.md" in error.value.fix


def test_a_name_twice_in_a_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"new\.yaml:7: .*some-jobs stands in the file twice"):
        suites_of(tmp_path, new=NEW + "  - {id: some-jobs, expect: table_row_count_to_equal, value: 1}\n")


def test_a_folder_that_there_is_not_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there is no folder"):
        read_suites(tmp_path / "none")


def test_the_documentation_has_every_expectation() -> None:
    page = (ROOT / "docs" / "quality.md").read_text()
    for suite in read_suites():
        for one in suite.expectations:
            [line] = [line for line in page.splitlines() if line.startswith(f"| `{one.id}`") and one.about in line]
            assert line.endswith(f"| {one.source} |")
            for value in (one.arguments.get("min_value"), one.arguments.get("max_value")):
                assert value is None or f"{value:g}" in line
