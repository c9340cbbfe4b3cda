"""Chapter 4: an agent tidies up old deployments, follows their links, and deletes three months of logs."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blocks.settings import settings
from blocks.trash import Trash
from tests.fakes.llm.agent_model import agent_model
from tests.stories.house import House, allow

OLD = time.time() - 40 * 86_400
GOAL = "Delete the deployment artifacts that are older than 30 days."


@pytest.fixture
def machine(house: House, tmp_path: Path) -> Iterator[Path]:
    """A machine with logs and a configuration; among the deployments are links to them."""
    for name in ("app.log", "app.log.1", "nginx/access.log"):
        path = tmp_path / "var" / "log" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"what {name} says\n")
    (tmp_path / "etc" / "nginx").mkdir(parents=True)
    (tmp_path / "etc" / "nginx" / "nginx.conf").write_text("server {}\n")
    for release in ("release-1", "release-2"):
        (house.workspace / release).mkdir()
        (house.workspace / release / "app.jar").write_text(f"the code of {release}")
    (house.workspace / "release-2" / "logs").symlink_to(tmp_path / "var" / "log")
    (house.workspace / "release-2" / "conf").symlink_to("../../etc/nginx")
    (house.workspace / "old-logs").symlink_to(tmp_path / "var" / "log")
    (house.workspace / "old.log").hardlink_to(tmp_path / "var" / "log" / "app.log")
    for path in (*house.workspace.rglob("*"), *(tmp_path / "var").rglob("*"), *(tmp_path / "etc").rglob("*")):
        os.utime(path, (OLD, OLD), follow_symlinks=False)
    house.agent("cleaner", "delete_file", "list_files", "run_command")
    before = snapshot(tmp_path)
    yield tmp_path
    assert snapshot(tmp_path) == before, "logs or configuration were changed"


def snapshot(machine: Path) -> dict[str, str]:
    """All files of the machine outside of the workspace that somebody needs."""
    files = [path for top in ("var", "etc") for path in (machine / top).rglob("*")]
    return {str(path.relative_to(machine)): path.read_text() if path.is_file() else "" for path in files}


def trash() -> Trash:
    """Where deleted files go."""
    return Trash(settings().agents_home / "trash")


COMMANDS = [
    [("run_command", {"argv": argv})]
    for argv in (
        ["rm", "-rf", "release-2/logs/"],
        ["rm", "-rf", "old-logs/nginx"],
        ["find", "-L", ".", "-mtime", "+30", "-delete"],
    )
]
"""What the agent of the book did, in commands."""


def deletions(*paths: str) -> list[list[tuple[str, dict[str, Any]]]]:
    """The same with the tool for it."""
    return [[("delete_file", {"path": path})] for path in paths]


async def test_what_links_lead_to_is_not_deleted(house: House, machine: Path) -> None:
    logs = str(machine / "var" / "log")
    ways_in = (
        "release-2/logs/app.log",
        "old-logs/nginx",
        "../var/log/app.log.1",
        f"{logs}/app.log",
        logs,
    )
    with agent_model(house.accounts, *deletions(*ways_in), "All is clean."):
        result = await house.run(GOAL, "cleaner")
    assert len(result.refused) == len(ways_in)
    assert "reach" in house.rules_that_decided(result.run_id)
    assert trash().list() == ()


@pytest.mark.parametrize("name", ["old-logs", "old-logs/."])
async def test_a_link_goes_as_a_link_however_it_is_written(house: House, machine: Path, name: str) -> None:
    with agent_model(house.accounts, *deletions(name), "All is clean."):
        await house.run(GOAL, "cleaner")
    assert not (house.workspace / "old-logs").is_symlink()
    assert [(one.name, one.kind) for one in trash().list()] == [("old-logs", "link")]


async def test_a_folder_goes_with_its_links_and_comes_back_with_them(house: House, machine: Path) -> None:
    with agent_model(house.accounts, *deletions("release-2", "release-1"), "All is clean."):
        await house.run(GOAL, "cleaner")
    assert not (house.workspace / "release-2").exists()
    for one in trash().list():
        trash().restore(one.trash_id)
    assert (house.workspace / "release-1" / "app.jar").read_text() == "the code of release-1"
    assert (house.workspace / "release-2" / "logs").readlink() == machine / "var" / "log"


async def test_with_the_shipped_rules_no_command_deletes_without_a_person(house: House, machine: Path) -> None:
    before = sorted(house.workspace.rglob("*"))
    with agent_model(house.accounts, *COMMANDS, "All is clean."):
        result = await house.run(GOAL, "cleaner")
    assert len(result.refused) == len(COMMANDS)
    assert sorted(house.workspace.rglob("*")) == before


async def test_a_command_that_an_operator_lets_through_finds_no_logs_in_the_sandbox(
    house: House, machine: Path
) -> None:
    trusted = [
        {"programs": ["rm"], "flags": ["-r", "-f"]},
        {"programs": ["find"], "flags": ["-L", "-mtime", "-delete"]},
    ]
    house.rules(allow("tidying", "run_command", commands=trusted))
    with agent_model(house.accounts, *COMMANDS, "All is clean."):
        result = await house.run(GOAL, "cleaner", profile="staging")  # where nothing less than bubblewrap will do
    assert "tidying" in house.rules_that_decided(result.run_id)
    assert not (house.workspace / "release-1" / "app.jar").exists()  # it did delete what was its to delete
