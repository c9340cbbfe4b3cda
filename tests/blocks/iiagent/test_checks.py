"""Checks hold, or tell an agent what is missing."""

from pathlib import Path

import pytest

from blocks.errors import BadInput, EngineUnavailable, NotFound
from blocks.iiagent.checks import Checks, prove, read_checks
from blocks.iiagent.files_exist import FilesExist
from blocks.iiagent.proof import MOST_FILE_BYTES
from blocks.patterns import compiled
from tests.blocks.iiagent.files import served
from tests.blocks.iiagent.proving import CHECK, held, table

ROWS = {"kind": "csv_shape", "path": "output.csv", "columns": ["row_id", "topic"]}


async def test_files_are_looked_for_by_name_and_by_form() -> None:
    async with served() as at:
        at.put("output.csv", "x")
        at.put("out/deep/a.md", "x")
        at.put("out/b.md", "x")
        at.put("empty.txt", "")
        known = ["output.csv", "out/deep/a.md", "out/b.md", "empty.txt", "../../etc/passwd", "gone.md"]
        known = [f"{at.folder}/output.csv", *known[1:]]  # as servers name them in LOCAL mode
        fine = {"kind": "files_exist", "globs": ["output.csv", "*.csv", "out/**/*.md", "out/[ab].md"], "at_least": 1}
        assert (await held(at, fine, known=known)).holds
        lacking = {"kind": "files_exist", "globs": ["none.csv", "empty.txt", "*.md"]}
        found = await held(at, lacking, known=known)
    assert found.missing == (
        "- none.csv is missing: write it. empty.txt has 0 bytes, and needs 1 or more: write its content. "
        "There are 0 of 1 file of the form *.md: write what is missing."
    )


@pytest.mark.parametrize(
    ("glob", "fits", "not_fits"),
    [
        ("*.csv", "a.csv", "out/a.csv"),
        ("**/*.csv", "a.csv", "a.csv.zip"),
        ("**/*.csv", "x/y/a.csv", "a.md"),
        ("a?.txt", "ab.txt", "a/.txt"),
        ("[!a].txt", "b.txt", "a.txt"),
        ("a+(b).txt*", "a+(b).txt", "aab.txt"),
        ("[^].txt", "^.txt", "a.txt"),
    ],
)
def test_forms_of_names(glob: str, fits: str, not_fits: str) -> None:
    from blocks.iiagent.files_exist import _expression  # pyright: ignore[reportPrivateUsage]

    FilesExist.model_validate({"kind": "files_exist", "globs": [glob]})
    assert compiled(_expression(glob)).fullmatch(fits)
    assert not compiled(_expression(glob)).fullmatch(not_fits)


@pytest.mark.parametrize(
    ("message", "holds"), [("All DONE.", True), ("done", False), ("", False), ("x" * 300_000 + "DONE", True)]
)
async def test_a_message_is_held_against_a_pattern(message: str, holds: bool) -> None:
    async with served() as at:
        found = await held(at, {"kind": "message_matches", "pattern": r"\bDONE\b|DONE$"}, message=message)
    assert found.holds == holds


async def test_what_to_tell_the_agent_of_its_message_can_be_said() -> None:
    check = {"kind": "message_matches", "pattern": "DONE", "otherwise": "Say DONE when all rows are there."}
    async with served() as at:
        assert (await held(at, check, message="?\ud800")).missing == "- Say DONE when all rows are there."


async def test_files_that_cannot_be_read_are_told_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("row_id,topic\n")
    async with served() as at:
        at.put("huge.csv", "")
        with (at.folder / "huge.csv").open("r+b") as stream:
            stream.truncate(MOST_FILE_BYTES + 1)
        found = await held(at, ROWS, ROWS | {"path": "huge.csv"})
        (at.folder / "output.csv").symlink_to(tmp_path / "secret.csv")
        linked = await prove([CHECK.validate_python(ROWS)], at.mounted())
    assert found.missing.splitlines()[0] == "- output.csv is missing: write it."
    assert "more than" in found.missing
    assert "cannot be used" in linked.missing
    assert str(tmp_path) not in linked.missing


async def test_a_server_that_does_not_answer_proves_nothing() -> None:
    async with served() as at:
        at.put("output.csv", table([]))
        workspace = at.over_http()
        await at.fake.stop()
        with pytest.raises(EngineUnavailable):
            await prove([CHECK.validate_python(ROWS)], workspace)


def test_checks_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "checks.yaml"
    path.write_text("""
checks:
  - kind: files_exist
    globs: ["output.csv"]
  - kind: csv_shape
    path: ./output.csv
    columns: [row_id]
    rows: 600
    rows_per_key: {column: row_id, rows: 50, keys: [a, b]}
    unique: [row_id, topic]
    no_blanks: true
  - kind: json_schema
    path: out.json
    schema: {type: object}
  - kind: message_matches
    pattern: DONE
""")
    checks = read_checks(path)
    assert [check.kind for check in checks.checks] == ["files_exist", "csv_shape", "json_schema", "message_matches"]
    assert Checks.model_validate_json(checks.model_dump_json()) == checks
    assert Checks.model_validate_json(checks.model_dump_json(by_alias=True)) == checks


def test_what_is_wrong_with_a_file_of_checks_is_told_with_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "checks.yaml"
    path.write_text("""checks:
  - kind: csv_shape
    path: ../output.csv
  - kind: message_matches
    pattern: "(?=x)"
  - kind: csv_shap
  - kind: csv_shape
    path: a.csv
    no_blanks: true
  - kind: files_exist
    globs: ["/etc/passwd"]
""")
    with pytest.raises(BadInput) as refused:
        read_checks(path)
    problems = [problem.removeprefix(f"{path}:") for problem in refused.value.details["problems"]]
    assert [problem.split(": ")[0] for problem in problems] == [
        "2",
        "4",
        "6",
        "7",
        "10",
    ]  # the lines where the checks begin
    assert "checks.0.csv_shape.path" in problems[0]
    assert "no regular expression of RE2" in problems[1]
    assert "'kind' is none of" in problems[2]
    assert refused.value.details["field"] == "checks"
    with pytest.raises(NotFound):
        read_checks(tmp_path / "none.yaml")
