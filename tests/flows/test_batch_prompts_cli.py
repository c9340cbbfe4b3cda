"""`c500 batch-prompts` from the command line: what is wrong is told at once, and the exit status says how it went."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import deployments.cli.batch_prompts  # noqa: F401 - it registers the command
from blocks.errors import BadInput, C500Error, Unsupported
from deployments.cli import app
from deployments.simulator.behaviour import Behaviour
from deployments.simulator.serve import InProcess, simulate
from tests.flows.batch_prompting import GROUPS, answer, assert_each_row_once, plan_file, table, texts
from tests.flows.swarming import account, write_accounts

COMMAND = "import deployments.cli.batch_prompts; from deployments.cli import main; main()"


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[InProcess]:
    """An account whose model answers batches."""
    accounts = [account("a", model={"max_output_tokens": 8_000})]
    with simulate(accounts, Behaviour(script=answer)) as one:
        write_accounts(tmp_path / "accounts.yaml", accounts, one)
        yield one


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("none.yaml",), "there is no file"),
        (("plan.yaml", "--engine", "people"), "there is no engine 'people'"),
        (("plan.yaml", "--output", "none/out.csv"), "there is no folder"),
    ],
)
def test_what_is_wrong_is_told_before_anything_starts(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    table(tmp_path, texts(1))
    plan_file(tmp_path)
    ended = CliRunner().invoke(app, ["batch-prompts", *arguments])
    assert isinstance(ended.exception, BadInput)
    assert isinstance(ended.exception, C500Error)
    assert told in ended.exception.message


def test_a_model_that_no_account_has_is_told_before_anything_starts(sim: InProcess, tmp_path: Path) -> None:
    table(tmp_path, texts(1))
    plan_file(tmp_path, model="nomodel")
    ended = CliRunner().invoke(app, ["batch-prompts", "plan.yaml"])
    assert isinstance(ended.exception, Unsupported)
    assert "nomodel" in ended.exception.message


def test_a_row_of_no_known_group_makes_the_exit_status_1(sim: InProcess, tmp_path: Path, prefect_server: str) -> None:
    table(tmp_path, texts(13), (*6 * GROUPS[:2], "?"))
    plan_file(tmp_path)
    command = [sys.executable, "-c", COMMAND, "batch-prompts", "plan.yaml", "--probe"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=tmp_path)
    assert ended.returncode == 1, ended.stderr
    assert "12 of 12 rows are answered" in ended.stdout
    assert "1 rows of no known group" in ended.stdout
    assert "The same chunk asked twice" in ended.stdout
    assert_each_row_once(tmp_path / "out.csv", range(1, 13))
