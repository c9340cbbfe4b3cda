"""`c500 capacity`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import deployments.cli.capacity  # noqa: F401 - registers the commands
from blocks.errors import BadInput, NotFound
from deployments.cli import app


def c500(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["capacity", *arguments])


def test_what_is_wrong_is_told_before_anything_starts(tmp_path: Path) -> None:
    assert isinstance(c500(str(tmp_path / "none.yaml")).exception, NotFound)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("resources: []\n")
    assert isinstance(c500(str(wrong)).exception, BadInput)


@pytest.mark.usefixtures("prefect_api")
def test_an_urgent_resource_ends_with_1_and_its_chart_is_copied(tmp_path: Path) -> None:
    rows = [f"{1_760_000_000 + day * 86_400},{day}" for day in range(40)]
    (tmp_path / "used.csv").write_text("\n".join(["time,value", *rows]) + "\n")
    plan = tmp_path / "plan.yaml"
    plan.write_text("resources: [{name: used, source: {kind: csv, file: used.csv}, limit: 30}]\n")
    told = c500(str(plan), "--chart", str(tmp_path / "charts"), "--profile", "staging", "--json")
    assert told.exit_code == 1 and json.loads(told.stdout)["outlooks"][0]["status"] == "exhausted"
    assert (tmp_path / "charts/used-0.png").read_bytes().startswith(b"\x89PNG")
