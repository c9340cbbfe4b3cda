"""`c500 clean`: what would go is told, what goes can be had back."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from blocks.errors import NotFound
from blocks.settings import settings
from deployments.cli import app, clean
from tests.tasks.ops.cleanup.conftest import fill, make_file, mounted, names

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
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB."""
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=4m", "none") as place:
        yield place


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
    shown = c500("logs", "--dry-run").stdout
    assert "web/a" in shown and "\x1b" not in shown
    (path,) = [line.split(" in ")[1] for line in shown.splitlines() if line.startswith("logs: all lines in ")]
    assert json.loads(Path(path).read_text().splitlines()[0])["status"] == "planned"
    assert "there is no run" in c500("logs", "--resume", "run-1").stderr
    done = c500("logs")
    assert done.returncode == 0, done.stderr
    assert "1 trashed" in done.stdout
    assert names(logs) & {"web/a\x1b[2J.log"} == set()
    (batch,) = json.loads(in_process("trash", "--json").stdout)
    assert f"run {batch['batch_id'].split('.logs.')[1]} begins" in done.stderr
    assert "1 file " in in_process("trash").stdout
    assert in_process("restore", batch["batch_id"]).stdout == f"1 file is back in {logs}\n"
    assert (logs / "web" / "a\x1b[2J.log").exists()


def test_what_could_not_be_cleaned_is_shown_and_exits_1(prefect_server: str, logs: Path, tmp_path: Path) -> None:
    (logs / ".trash").symlink_to(tmp_path)
    told = c500("logs", "--json")
    assert told.returncode == 1
    assert json.loads(told.stdout)["parts"][0]["status"] == "failed"
    assert "is a link" in told.stderr


def test_a_disk_is_named_with_its_threshold_and_a_full_one_exits_1(
    prefect_server: str, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_DIR", str(small / "logs"))
    monkeypatch.setenv("DISK_THRESHOLD", "99.9")
    monkeypatch.setenv("COLUMNS", "300")
    quiet = c500("disk")
    assert quiet.returncode == 0, quiet.stderr
    assert "no disk is above the threshold of 99.9 %" in quiet.stdout and str(small) in quiet.stdout
    make_file(small / "logs" / "a.log")
    fill(small)
    full = c500("disk", "--only-tell")
    assert full.returncode == 1, full.stderr
    assert f"{small / 'logs'} is 100 % full, above the threshold of 99.9 %" in full.stdout
    assert "Nothing was cleaned" in full.stdout and "1 to trash" in full.stdout and "(dry run)" not in full.stdout


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
