"""What takes the room: what programs tell of it, and a host over SSH."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from blocks.hosts import read_inventory
from blocks.hosts.local import LocalHost
from tasks.ops.disk.findings import Looking, files_in, old_kernels, reclaimable
from tasks.ops.disk.rules import Place
from tasks.ops.disk.usage import filesystem_of, usage_in, usage_of
from tests.fakes.recording_program import Recorder
from tests.fakes.sshd import Sshd, running_sshd
from tests.tasks.ops.disk.conftest import MB, Heal, fill, removing


def test_kernels_that_neither_run_nor_are_the_newest_are_old() -> None:
    listed = "".join(
        f"{status}\tlinux-{part}-{version}\t{size}\n"
        for status, part, version, size in (
            ("installed", "image", "6.1.0-9-amd64", 100),
            ("installed", "image", "6.1.0-10-amd64", 200),
            ("installed", "headers", "6.1.0-10-common", 20),
            ("installed", "image", "6.1.0-18-amd64", 300),
            ("installed", "image", "6.1.0-27-amd64", 400),
            ("config-files", "image", "5.10.0-1-amd64", 500),
            ("installed", "image-amd64", "", 1),
        )
    )
    found = old_kernels(listed, "6.1.0-18-amd64")
    assert found == [
        ("linux-image-6.1.0-10-amd64", 200 * 1024),
        ("linux-image-6.1.0-9-amd64", 100 * 1024),
        ("linux-headers-6.1.0-10-common", 20 * 1024),
    ]
    assert old_kernels("", "6.1.0-18-amd64") == []


@pytest.mark.parametrize(
    ("told", "size"),
    [("1.2GB (50%)", 1_200_000_000), ("0B", 0), ("512kB", 512_000), ("33MB (100%)", 33_000_000), ("?", 0)],
)
def test_sizes_as_docker_tells_them(told: str, size: int) -> None:
    assert reclaimable(told) == size


def test_each_file_counts_once_and_only_on_its_disk() -> None:
    records = ["7 8 11 /a\nb", "7 8 11 /hard link", "9 8 12 /elsewhere", "7 x 13 /odd", ""]
    assert files_in(records, 7) == [("/a\nb", 4096)]


def test_usage_is_counted_as_df_does() -> None:
    usage = usage_in("4096 1000 300 250 100 5\n")
    assert (usage.used_bytes, usage.free_bytes) == (700 * 4096, 250 * 4096)
    assert usage.used_percent == pytest.approx(700 / 950 * 100, abs=0.01) and usage.lacks_inodes


async def test_what_docker_could_give_back_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    docker = Recorder(programs, "docker")
    docker.says("info", stdout=f"{tmp_path}\n")
    kinds = [{"Type": "Images", "Reclaimable": "1.5GB (70%)"}, {"Type": "Containers", "Reclaimable": "0B"}]
    docker.says("df", stdout="".join(f"{json.dumps(one)}\n" for one in kinds))
    monkeypatch.setattr("blocks.hosts.local.PATH", f"{programs}:/usr/bin:/bin")
    host = LocalHost()
    on = await filesystem_of(host, str(tmp_path))
    assert on is not None
    finding = await Looking(host, on, await usage_of(host, str(tmp_path)), 60, become=False)._docker()
    assert finding is not None and (finding.size_bytes, finding.examples) == (
        1_500_000_000,
        (("Images", 1_500_000_000),),
    )


async def test_a_look_that_takes_too_long_is_told(tmp_path: Path) -> None:
    host = LocalHost()
    on = await filesystem_of(host, "/")
    assert on is not None
    looking = Looking(host, on, await usage_of(host, "/"), look_s=0.05, become=False)
    assert await looking._folders() == () and "longer than" in looking.gaps[0]


async def test_only_files_of_a_place_are_found(disk: Path) -> None:
    fill(disk / "logs/a.gz", MB), fill(disk / "logs/b.log", MB), fill(disk / "other/c.gz", MB)
    host = LocalHost()
    on = await filesystem_of(host, str(disk))
    assert on is not None and on.mount == str(disk)
    looking = Looking(host, on, await usage_of(host, str(disk)), 60, become=False)
    places = [Place(name="old", paths=(f"{disk}/logs",), patterns=("*.gz",)), Place(name="etc", paths=("/etc",))]
    findings = await looking.look(places)
    (found,) = [one for one in findings.found if one.name in ("old", "etc")]
    assert found.examples[0][0] == f"{disk}/logs/a.gz" and found.count == 1 and findings.size_of("etc") == 0


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    folder = tmp_path / "sshd"
    folder.mkdir()
    with running_sshd(folder) as server:
        yield server


async def test_a_host_over_ssh_is_healed(heal: Heal, disk: Path, sshd: Sshd, tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_text("hosts:\n" + sshd.entry("web-1"))
    fill(disk / "cache/$(touch x) `y`", 40 * MB)
    (healed,) = await heal(removing(disk / "cache"), inventory=read_inventory(path))
    assert (healed.host, healed.status) == ("web-1", "healed")
    assert healed.steps[0].gained_bytes == pytest.approx(40 * MB, rel=0.01)
