"""Reviews as a flow: real tools on real repositories, in the sandbox."""

import json
import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from blocks.errors import BadInput
from blocks.settings import settings
from blocks.store import open_store
from flows.change_review import review_change
from tasks.ops.change.report import review_markdown
from tasks.ops.change.request import Asked
from tasks.ops.change.result import ReviewReport
from tasks.ops.options import OperationsOptions
from tests.fakes.llm.agent_model import agent_model
from tests.fakes.repository import Repo

OPTIONS = OperationsOptions(user="ann", attended=False)
OLD = "import os\n\n\ndef _one():\n    return 1\n"
NEW = "import os\nimport sys\n\n\ndef _one():\n    return undefined\n"


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    repo = Repo.made(tmp_path / "repo")
    repo.put({"a.py": OLD, "run.sh": "#!/bin/sh\necho one\n"})
    return repo


def asked(repo: Repo, **facts: object) -> Asked:
    return Asked.model_validate({"repository": str(repo.folder), "base": "HEAD~1", **facts})


async def test_tools_speak_of_changed_lines_only(prefect_api: str, repo: Repo) -> None:
    repo.put({"a.py": NEW, "run.sh": "#!/bin/sh\necho one\nrm $1\n"})
    report = await review_change(asked(repo), OPTIONS)
    found = {(one.rule, one.file, one.line): one for one in report.findings}
    assert ("ruff:F401", "a.py", 2) in found
    assert ("ruff:F821", "a.py", 6) in found
    assert ("pyright:reportUndefinedVariable", "a.py", 6) in found
    assert not [place for place in found if place[1:] == ("a.py", 1)]
    tools = {one.tool: one.status for one in report.tools}
    assert (tools["ruff"], tools["pyright"]) == ("ran", "ran")
    if shutil.which("shellcheck"):
        assert ("shellcheck:SC2086", "run.sh", 3) in found
    assert report.failed
    assert repo.git("status", "--porcelain") == ""
    kept = open_store().read_bytes(f"operations/changes/{report.run_id}.json")
    assert ReviewReport.model_validate_json(kept) == report


async def test_a_well_made_change_passes(prefect_api: str, repo: Repo) -> None:
    repo.put({"notes.md": "one\n"})
    report = await review_change(asked(repo), OPTIONS)
    assert (report.findings, report.failed) == ((), False)


async def test_a_bare_diff_is_looked_at_without_tools(prefect_api: str, repo: Repo, tmp_path: Path) -> None:
    repo.put({"a.py": OLD + "breakpoint()\n"})
    (tmp_path / "c.diff").write_text(repo.git("diff", "HEAD~1", "HEAD") + "\n")
    report = await review_change(Asked(diff=str(tmp_path / "c.diff")), OPTIONS)
    assert [(one.rule, one.line) for one in report.findings] == [("debugger", 6)]
    assert report.tools == ()


async def test_names_from_the_change_are_data(prefect_api: str, repo: Repo, tmp_path: Path) -> None:
    names = [f"$(touch {tmp_path.name}).py", "-x.py", "a\n# owned\n![x](e).py", "`b`.py"]
    repo.put({name: "import sys\n" for name in names})
    report = await review_change(asked(repo), OPTIONS)
    assert {one.file for one in report.findings if one.rule == "ruff:F401"} == set(names)
    assert not any(line.startswith("# owned") for line in review_markdown(report).split("\n"))


async def test_settings_of_a_tool_in_the_change_cannot_reach_out(prefect_api: str, repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "secret.toml").write_text("[lint]\nselect = []\n")
    repo.put({"a.py": NEW, "ruff.toml": f'extend = "{tmp_path}/secret.toml"\n'})
    report = await review_change(asked(repo), OPTIONS)
    (ruff,) = [one for one in report.tools if one.tool == "ruff"]
    assert ruff.status == "failed"
    assert ruff.why


async def test_what_a_model_says_must_lie_on_new_lines_and_fails_nothing(prefect_api: str, repo: Repo) -> None:
    repo.put({"notes.md": "one\n"})
    said = [
        {"file": "notes.md", "line": 1, "severity": "critical", "message": "no"},
        {"file": "notes.md", "line": 7, "severity": "critical", "message": "no such line"},
        {"file": "a.py", "line": 1, "severity": "critical", "message": "not changed"},
    ]
    with agent_model(settings().accounts_file, json.dumps({"findings": said})):
        report = await review_change(asked(repo), OPTIONS)
    assert [(one.file, one.line, one.source) for one in report.findings] == [("notes.md", 1, "model scripted")]
    assert (report.failed, report.written_by) == (False, "scripted")


async def test_rules_of_the_project_count(prefect_api: str, repo: Repo, tmp_path: Path) -> None:
    repo.put({"a.py": OLD + "breakpoint()\n"})
    (tmp_path / "rules.yaml").write_text("severity: {debugger: low}\nwithout: ['ruff:T100']\n")
    report = await review_change(asked(repo, rules=str(tmp_path / "rules.yaml")), OPTIONS)
    assert [one.severity for one in report.findings if one.rule == "debugger"] == ["low"]
    (tmp_path / "rules.yaml").write_text("severity: {debugger: awful}\n")
    with pytest.raises(BadInput, match=r"rules.yaml:1"):
        await review_change(asked(repo, rules=str(tmp_path / "rules.yaml")), OPTIONS)


def test_either_a_base_or_a_diff_is_given() -> None:
    for fields in ({}, {"base": "main", "diff": "c.diff"}):
        with pytest.raises(ValidationError, match="either"):
            Asked.model_validate(fields)
