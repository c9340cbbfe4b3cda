"""`c500 clean`: what would go is told, what goes can be had back."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from blocks.errors import NotFound
from blocks.settings import settings
from deployments.cli import app, clean
from tests.tasks.ops.cleanup.conftest import make_file, names

assert clean.commands

PROGRAM = "import sys; import deployments.cli.clean; from deployments.cli import main; sys.argv[0] = 'c500'; main()"


def c500(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command as users do: Prefect must not be imported before it."""
    command = [sys.executable, "-c", PROGRAM, "clean", *arguments]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=os.environ)


def in_process(*arguments: str) -> Result:
    """Run a command that needs no Prefect; what it raises is in `exception`."""
    return CliRunner().invoke(app, ["clean", *arguments])


@pytest.fixture
def logs() -> Path:
    """LOG_DIR with an old log file, whose name moves a terminal's cursor."""
    place = settings().log_dir
    make_file(place / "web" / "a\x1b[2J.log")
    return place


def first_part(told: "subprocess.CompletedProcess[str]") -> Any:
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)["parts"][0]


def test_it_is_shown_done_listed_and_had_back(prefect_server: str, logs: Path) -> None:
    planned = first_part(c500("logs", "--dry-run", "--json"))
    assert (planned["status"], planned["counts"]) == ("planned", {"to trash": 1})
    assert names(logs) == {"web/a\x1b[2J.log"}
    done = c500("logs", "--resume", "run-1")
    assert done.returncode == 0, done.stderr
    assert "1 trashed" in done.stdout
    assert names(logs) & {"web/a\x1b[2J.log"} == set()
    (batch,) = json.loads(in_process("trash", "--json").stdout)
    assert batch["batch_id"].endswith(".logs.run-1")
    assert "1 files" in in_process("trash").stdout
    assert in_process("restore", batch["batch_id"]).stdout == f"1 files are back in {logs}\n"
    assert (logs / "web" / "a\x1b[2J.log").exists()


def test_what_could_not_be_cleaned_is_shown_and_exits_1(prefect_server: str, logs: Path, tmp_path: Path) -> None:
    (logs / ".trash").symlink_to(tmp_path)
    told = c500("logs", "--json")
    assert told.returncode == 1
    assert json.loads(told.stdout)["parts"][0]["status"] == "failed"
    assert "is a link" in told.stderr


def test_what_is_not_in_the_trash_cannot_be_had_back(logs: Path) -> None:
    assert isinstance(in_process("restore", "20261122T020000Z.logs.none").exception, NotFound)
    assert in_process("trash").stderr == "the trash is empty\n"


def test_a_place_that_is_taken_is_told(logs: Path) -> None:
    batch = logs / ".trash" / "20261122T020000Z.logs.run-1"
    make_file(batch / "a.log")
    (logs / ".trash").chmod(0o700)
    make_file(logs / "a.log")
    told = in_process("restore", batch.name)
    assert (told.exit_code, told.stderr) == (1, "its place is taken: a.log\n")
    assert (batch / "a.log").exists()
