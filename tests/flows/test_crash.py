"""A job killed at any step boundary goes on where it stopped: nothing lost, nothing twice, no litter."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blocks.store import open_store
from tests.fakes.forked import Forks, forks_of

UNSTORED = {"ingest", "publish"}
"""Steps that look at the world, and so run each time."""


@pytest.fixture(scope="module")
def jobs(running_prefect_server: str) -> Iterator[Forks]:
    """Runs jobs in forks of one process."""
    with forks_of("tests.flows.run_job", PREFECT_API_URL=running_prefect_server) as forks:
        yield forks


def finish(jobs: Forks, source: Path) -> dict[str, Any]:
    ended = jobs.run(source=str(source))
    assert "result" in ended, ended
    return ended


def boundaries_of(printed: list[str]) -> list[tuple[str, bool]]:
    lines = [line.split() for line in printed if line.startswith("boundary ")]
    return [(step, ended == "True") for _, step, ended in lines]


def assert_no_litter() -> None:
    open_store()  # sweeps what dead processes left
    root = Path(open_store().uri("x").removeprefix("file://")).parent
    open_store().sweep()  # type: ignore[attr-defined]
    assert not list((root / ".scratch").iterdir())
    assert not list((root / ".locks").iterdir())


def kill_and_resume(jobs: Forks, source: Path, kill_at: int) -> bool:
    """Whether the boundary was reached."""
    killed = jobs.run(source=str(source), kill_at=kill_at)
    if "result" in killed:
        return False
    assert killed == {"signal": signal.SIGKILL}
    seen = boundaries_of(jobs.printed)
    # A step was stored when the next one had begun.
    stored = {step for index, (step, ended) in enumerate(seen[:-1]) if ended} - UNSTORED
    resumed = finish(jobs, source)
    computed = {step for step, ended in resumed["boundaries"] if not ended}
    assert not computed & stored, f"computed again after a kill at {seen[-1]}"
    assert resumed["result"]["status"] == "complete"
    assert_no_litter()
    return True


def erase_store() -> None:
    for key in list(open_store().list()):
        open_store().delete(key)


@pytest.mark.parametrize("kill_at", [4, 14])
def test_a_job_killed_at_a_boundary_resumes(jobs: Forks, sentence: Path, kill_at: int) -> None:
    """Early and late; at every boundary it is a soak test."""
    assert kill_and_resume(jobs, sentence, kill_at)


@pytest.mark.soak
def test_a_job_killed_at_every_boundary_resumes(jobs: Forks, sentence: Path) -> None:
    kill_at = 0
    while kill_and_resume(jobs, sentence, kill_at):
        erase_store()
        kill_at += 1
    assert kill_at >= 14


@pytest.mark.soak
def test_a_job_killed_at_50_random_moments_completes(prefect_server: str, jobs: Forks, sentence: Path) -> None:
    chance = random.Random(20261121)
    clean = finish(jobs, sentence)["result"]
    for _ in range(50):
        erase_store()
        command = [sys.executable, "-m", "tests.flows.run_job", str(sentence)]
        job = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(1.5, 6.0))  # the moment is the input here, not a wait for something
        job.kill()
        job.wait()
        result = finish(jobs, sentence)["result"]
        assert result["status"] == "complete"
        assert result["files"]["transcript.json"]["sha256"] == clean["files"]["transcript.json"]["sha256"]
        assert_no_litter()
