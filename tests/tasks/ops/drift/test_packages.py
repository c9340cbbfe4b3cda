"""Packages against what is declared of them: real apt and dpkg on a root of their own."""

import os
from pathlib import Path
from typing import Any

import pytest

from blocks.hosts.inventory import ONLY_HERE
from blocks.store import open_store
from tasks.ops.drift.correct import corrections_of, take_back
from tests.tasks.ops.conftest import MakePerformer
from tests.tasks.ops.drift.conftest import Detect, of
from tests.tasks.ops.maintenance.test_packages import Repository

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="dpkg unpacks for root only")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path)
    for name, version in (("alpha", "1.0"), ("alpha", "2.0"), ("beta", "1.0"), ("gamma", "1.0")):
        made.add(name, version)
    return made


def state(repository: Repository, *packages: dict[str, Any]) -> Any:
    admindir = str(repository.at / "root/var/lib/dpkg")
    return of(packages=list(packages), apt_config=str(repository.config), dpkg_admindir=admindir)


async def test_packages_are_told_put_right_and_taken_back(
    detect: Detect, repository: Repository, make_performer: MakePerformer
) -> None:
    repository.install("alpha", "2.0"), repository.install("gamma", "1.0")
    declared = [
        {"name": "alpha", "version": "1.*"},
        {"name": "beta"},
        {"name": "gam*", "state": "absent"},
        {"name": "delta", "state": "absent"},
    ]
    found = await detect(state(repository, *declared))
    assert [(one.name, one.state) for one in found] == [
        ("alpha", "drifted"),
        ("beta", "missing"),
        ("gamma", "unexpected"),
        ("delta", "same"),
    ]
    assert found[0].differences[0].actual == "2.0" and all(not one.correction for one in found)

    declared = [
        {"name": "alpha", "version": "1.0", "correct": True},
        {"name": "beta", "correct": True},
        {"name": "gamma", "state": "absent", "correct": True},
    ]
    found = await detect(state(repository, *declared), run_id="run-2")
    assert [one.correction for one in found] == ["done"] * 3, found
    files = repository.at / "root/usr/share"
    assert repository.version("alpha") == "1.0" and (files / "beta").exists() and not (files / "gamma").exists()

    outcomes = await take_back(make_performer(run_id="back"), ONLY_HERE, corrections_of(open_store(), "run-2"))
    assert [one.status for one in outcomes] == ["done"] * 3, outcomes
    assert repository.version("alpha") == "2.0" and not (files / "beta").exists() and (files / "gamma").exists()


async def test_of_a_pattern_no_other_version_is_installed(detect: Detect, repository: Repository) -> None:
    repository.install("alpha", "2.0")
    repository.refresh()
    (found,) = await detect(state(repository, {"name": "alpha", "version": "1.*", "correct": True}))
    assert found.correction == "done" and repository.version("alpha") == "1.0", found
    missing = state(repository, {"name": "beta", "version": "3.*", "correct": True})
    (found,) = await detect(missing, run_id="run-2")
    assert found.correction == "failed" and not (repository.at / "root/usr/share/beta").exists()


async def test_what_cannot_be_had_is_left_and_told(detect: Detect, repository: Repository) -> None:
    repository.refresh()
    (found,) = await detect(state(repository, {"name": "none", "correct": True}))
    assert (found.state, found.correction) == ("missing", "failed") and "none" in found.corrected_why


async def test_without_dpkg_packages_are_not_known(detect: Detect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blocks.hosts.local.PATH", "/nowhere")
    (found,) = await detect(of(packages=[{"name": "bash"}]))
    assert found.state == "unknown" and "127" in found.why


async def test_packages_of_this_machine(detect: Detect) -> None:
    if not Path("/var/lib/dpkg/status").exists():
        pytest.skip("no Debian")
    found = await detect(of(packages=[{"name": "dpkg"}, {"name": "no-such-package"}]))
    assert [one.state for one in found] == ["same", "missing"]
