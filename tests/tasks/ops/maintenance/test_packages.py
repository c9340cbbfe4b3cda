"""Updates of packages: real apt and dpkg on a root and a repository of their own."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from tests.tasks.ops.maintenance.conftest import Maintain

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="dpkg unpacks for root only")

CONFIG = """
Dir "{at}/apt";
Dir::Etc::sourcelist "{at}/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::parts "-";
Dir::State::status "{at}/root/var/lib/dpkg/status";
Dir::Bin::methods "/usr/lib/apt/methods";
Dir::Bin::dpkg "/usr/bin/dpkg";
APT::Architecture "{arch}";
APT::Sandbox::User "root";
DPkg::Options {{"--root={at}/root"; "--log={at}/dpkg.log";}};
"""


class Repository:
    """Packages that `apt` can install into a root of its own."""

    def __init__(self, at: Path) -> None:
        self.at, self.config = at, at / "apt.conf"
        arch = subprocess.run(
            ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for folder in ("apt/lists/partial", "apt/var/lib/apt/lists/partial", "apt/var/cache/apt/archives/partial"):
            (at / folder).mkdir(parents=True)
        for folder in ("repo", "root/var/lib/dpkg/info", "root/var/lib/dpkg/updates", "root/var/lib/dpkg/triggers"):
            (at / folder).mkdir(parents=True)
        for folder in ("apt/var/log/apt", "apt/etc/apt/preferences.d", "root/usr/share"):
            (at / folder).mkdir(parents=True)
        (at / "root/var/lib/dpkg/status").touch()
        (at / "sources.list").write_text(f"deb [trusted=yes] file:{at}/repo ./\n")
        self.config.write_text(CONFIG.format(at=at, arch=arch))

    def add(self, name: str, version: str) -> None:
        """Offer a package: one file with its version."""
        tree = self.at / f"build-{name}-{version}"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "usr/share").mkdir(parents=True)
        (tree / "usr/share" / name).write_text(version)
        control = (
            f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: T <t@example.org>\nDescription: x\n"
        )
        (tree / "DEBIAN/control").write_text(control)
        file = self.at / "repo" / f"{name}_{version}.deb"
        subprocess.run(["dpkg-deb", "--build", str(tree), str(file)], check=True, capture_output=True)
        content = file.read_bytes()
        with (self.at / "repo/Packages").open("a") as index:
            told = f"Filename: ./{file.name}\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"
            index.write(f"{control}{told}\n")

    def install(self, name: str, version: str) -> None:
        """Have it installed."""
        self.refresh()
        self._apt("install", "-y", "-q", f"{name}={version}")

    def refresh(self) -> None:
        """Have apt know what is offered."""
        self._apt("update", "-q")

    def _apt(self, *words: str) -> None:
        subprocess.run(
            ["apt-get", *words], check=True, capture_output=True, env=os.environ | {"APT_CONFIG": str(self.config)}
        )

    def version(self, name: str) -> str:
        """Of what is installed."""
        return (self.at / "root/usr/share" / name).read_text()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path)
    for name in ("c500-test-a", "c500-test-b"):
        made.add(name, "1.0")
        made.install(name, "1.0")
        made.add(name, "2.0")
    return made


def task(repository: Repository, **facts: object) -> dict[str, object]:
    return {"name": "update", "kind": "package_updates", "apt_config": str(repository.config)} | facts


async def test_what_is_new_is_installed_but_what_is_held(maintain: Maintain, repository: Repository) -> None:
    (result,) = await maintain(task(repository, hold=["*-b"]))
    assert (result.status, result.details) == ("changed", ("c500-test-a 1.0 → 2.0",)), result
    assert (repository.version("c500-test-a"), repository.version("c500-test-b")) == ("2.0", "1.0")
    (again,) = await maintain(task(repository, hold=["*-b"]), run_id="run-2")
    assert again.status == "ok"


async def test_old_versions_come_back_when_the_check_fails(maintain: Maintain, repository: Repository) -> None:
    check = ["sh", "-c", f"! grep -q 2.0 {repository.at}/root/usr/share/c500-test-a"]
    (result,) = await maintain(task(repository, check=check))
    assert result.status == "failed" and "the old versions are back" in result.summary, result
    assert (repository.version("c500-test-a"), repository.version("c500-test-b")) == ("1.0", "1.0")


async def test_nothing_is_updated_on_a_host_that_is_not_well(maintain: Maintain, repository: Repository) -> None:
    (result,) = await maintain(task(repository, check=["false"]))
    assert result.status == "failed" and "before" in result.summary
    assert repository.version("c500-test-a") == "1.0"


async def test_a_dry_run_tells_what_would_be_updated(maintain: Maintain, repository: Repository) -> None:
    repository.refresh()
    (result,) = await maintain(task(repository), dry_run=True)
    assert result.status == "planned" and "c500-test-a 1.0 → 2.0" in result.details, result
    assert repository.version("c500-test-a") == "1.0"
