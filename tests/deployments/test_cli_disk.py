"""`c500 disk`."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import deployments.cli.disk  # noqa: F401 - registers the commands
from blocks.errors import BadInput, Conflict, NotFound
from deployments.cli import app


def c500(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["disk", *arguments])


def test_the_usual_rules_are_listed() -> None:
    told = c500("rules")
    assert told.exit_code == 0
    assert "full above 85 %, healed to 80 %" in told.stdout
    assert "package-cache in /var/cache/apt/archives: apt-get clean" in told.stdout


def test_what_is_wrong_is_told_before_anything_starts(tmp_path: Path) -> None:
    assert isinstance(c500("heal", "--rules", str(tmp_path / "none.yaml")).exception, NotFound)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("actions: [{name: a, place: /, argv: []}]\n")
    assert isinstance(c500("heal", "--rules", str(wrong)).exception, BadInput)
    wrong.write_text("hosts: [nowhere]\nactions: [{name: a, place: /, argv: ['true']}]\n")
    assert isinstance(c500("heal", "--rules", str(wrong)).exception, NotFound)


@pytest.mark.usefixtures("prefect_api")
def test_a_disk_that_needs_a_person_ends_with_1(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    text = "filesystems: ['{}']\nthreshold_percent: 100\nactions: [{{name: a, place: /, argv: ['true']}}]\n"
    rules.write_text(text.format(tmp_path))
    well = c500("heal", "--rules", str(rules), "--dry-run")
    assert well.exit_code == 0 and "not full" in well.stdout
    rules.write_text(text.format("/no/such/place"))
    assert c500("heal", "--rules", str(rules), "--dry-run").exit_code == 1


@pytest.mark.usefixtures("prefect_api")
def test_a_run_goes_on_without_naming_its_rules_again(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    text = "filesystems: ['{}']\nthreshold_percent: 100\nactions: [{{name: a, place: /, argv: ['true']}}]\n"
    rules.write_text(text.format(tmp_path))
    first = c500("heal", "--rules", str(rules), "--profile", "staging")
    assert first.exit_code == 0, first.output
    run_id = first.stderr.split()[1]
    again = c500("heal", "--resume", run_id, "--profile", "staging")
    assert again.exit_code == 0 and str(rules) in again.stdout.replace("\n", "")
    other = tmp_path / "other.yaml"
    other.write_text(text.format(tmp_path))
    refused = c500("heal", "--resume", run_id, "--rules", str(other), "--profile", "staging")
    assert isinstance(refused.exception, Conflict) and "rules.yaml" in refused.exception.message
    assert isinstance(c500("heal", "--resume", "no-such-run").exception, NotFound)
