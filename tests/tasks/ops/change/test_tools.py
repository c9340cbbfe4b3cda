"""What static tools write: samples in the form of bandit's and mypy's JSON; ruff and pyright run in the flow."""

import pytest

from tasks.ops.change.tools import TOOLS, argv_of, said_by

BY_NAME = {tool.name: tool for tool in TOOLS}

BANDIT = """{"errors": [], "metrics": {}, "results": [{"code": "3 subprocess.call(x, shell=True)", "col_offset": 0,
"filename": "././s.py", "issue_confidence": "HIGH", "issue_severity": "HIGH", "line_number": 3, "line_range": [3],
"issue_text": "subprocess call with shell=True identified, security issue.", "test_id": "B602"}]}"""

MYPY = """\
{"file": "s.py", "line": 2, "column": 9, "message": "Incompatible types", "hint": null, "code": "assignment", \
"severity": "error"}
{"file": "s.py", "line": 2, "column": 9, "message": "See docs", "hint": null, "code": null, "severity": "note"}
"""


@pytest.mark.parametrize(
    ("name", "output", "said"),
    [
        ("bandit", BANDIT, [("s.py", 3, "B602", "high")]),
        ("mypy", MYPY, [("s.py", 2, "assignment", "medium")]),
        ("mypy", "", []),
        ("ruff", "[]", []),
    ],
)
def test_a_tool_is_understood(name: str, output: str, said: list[tuple[str, int, str, str]]) -> None:
    found = said_by(BY_NAME[name], output)
    assert [(one.file, one.line, one.code, one.severity) for one in found] == said


@pytest.mark.parametrize("output", ["", "no JSON", "[1]", "{}", '{"results": [{}]}', "[" * 100_000])
def test_what_is_not_its_json_is_a_typed_fault(output: str) -> None:
    with pytest.raises(ValueError):
        said_by(BY_NAME["bandit"], output)


def test_no_name_is_taken_for_an_option() -> None:
    assert argv_of(BY_NAME["ruff"], "/ruff", ["-x.py"])[-1] == "./-x.py"


def test_a_tool_that_is_absent_is_told_with_how_to_get_it() -> None:
    assert BY_NAME["ruff"].to_have_it.endswith("-m pip install ruff")
    assert BY_NAME["shellcheck"].to_have_it == "to have it: apt-get install shellcheck"
