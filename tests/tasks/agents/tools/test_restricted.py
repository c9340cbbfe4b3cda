"""The tools that run programs, where there is no bubblewrap and the profile does with less."""

from dataclasses import replace
from pathlib import Path

import pytest

from blocks.errors import NotAllowed
from blocks.sandbox.restricted import Restricted
from tasks.agents.tool import Place
from tasks.agents.tools import commands, files, git
from tests.tasks.agents.tools.conftest import Hand, by_name
from tests.tasks.agents.tools.test_git import run

TOOLS = by_name((*files.TOOLS, *git.TOOLS, *commands.tools(network=True)))


@pytest.fixture
def hand(place: Place) -> Hand:
    return Hand(replace(place, sandbox=Restricted()))


async def test_searching_git_and_commands_work_the_same(hand: Hand, folder: Path) -> None:
    run(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "a.txt").write_text("needle\n")
    assert (await hand.use(TOOLS["search_files"], pattern="need.e"))["found"][0]["path"] == "a.txt"
    assert await hand.use(TOOLS["git_status"]) == "## No commits yet on main\n?? a.txt\n"
    await hand.use(TOOLS["git_commit"], message="first", paths=["a.txt"])
    assert "operator: first" in await hand.use(TOOLS["git_log"])
    assert (await hand.use(TOOLS["run_command"], argv=["cat", "a.txt"]))["stdout"] == "needle\n"


async def test_settings_that_may_start_programs_are_refused(hand: Hand, folder: Path) -> None:
    run(folder, "init", "--quiet")
    run(folder, "config", "--file", ".git/config", "core.fsmonitor", f"touch {folder}/hacked")
    with pytest.raises(NotAllowed):
        await hand.use(TOOLS["git_status"])
    assert not (folder / "hacked").exists()


def test_without_a_boundary_more_counts_as_written(hand: Hand, folder: Path) -> None:
    touched = hand.touches(TOOLS["run_command"], argv=["cp", "a.txt", "/tmp/x"])
    assert "/tmp/x" in touched.writes and TOOLS["run_command"].outside
