"""`c500 drift`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import deployments.cli.drift  # noqa: F401 - registers the commands
from blocks.errors import BadInput, NotFound
from deployments.cli import app


def c500(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["drift", *arguments])


def test_what_is_wrong_is_told_before_anything_starts(tmp_path: Path) -> None:
    assert isinstance(c500("detect", str(tmp_path / "none.yaml")).exception, NotFound)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("targets: [{name: web, hosts: [nowhere]}]\n")
    assert isinstance(c500("detect", str(wrong)).exception, NotFound)
    wrong.write_text("targets: web\n")
    assert isinstance(c500("detect", str(wrong)).exception, BadInput)
    assert isinstance(c500("undo", "none").exception, NotFound)
    assert c500("undo", "../../x").exit_code != 0


@pytest.mark.usefixtures("prefect_api")
def test_drift_is_shown_corrected_and_taken_back(tmp_path: Path) -> None:
    there, declared = tmp_path / "a", tmp_path / "declared.yaml"
    there.write_text("old\n")
    file = {"path": str(there), "content": "new\n", "correct": True}
    state = {"keep": str(tmp_path / "kept"), "targets": [{"name": "web", "files": [file]}]}
    declared.write_text(json.dumps(state))  # JSON is YAML
    looked = c500("detect", str(declared), "--no-correct", "--profile", "staging")
    assert looked.exit_code == 1 and "+old" in looked.stdout
    corrected = c500("detect", str(declared), "--profile", "staging", "--json")
    assert corrected.exit_code == 0 and there.read_text() == "new\n"
    undone = c500("undo", json.loads(corrected.stdout)["run_id"], "--profile", "staging")
    assert undone.exit_code == 0 and there.read_text() == "old\n" and "done: take back" in undone.stdout
