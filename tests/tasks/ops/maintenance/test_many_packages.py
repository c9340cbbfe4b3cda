"""Updates of many packages: what apt says of them is longer than what is shown of an answer."""

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.recording_program import Recorder
from tests.tasks.ops.maintenance.conftest import Maintain

NUMBER = 300
TASK: dict[str, Any] = {"name": "update", "kind": "package_updates"}


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """An apt-get with many updates, which it tells as the real one does: first what it unpacks, then what it sets
    up."""
    names = [f"package-with-a-long-name-{number}" for number in range(NUMBER)]
    facts = "(1.2.3-4+deb12u10 Debian:12.11/stable, Debian-Security:12/stable-security [amd64])"
    unpacked = "".join(f"Inst {name} [1.2.3-4+deb12u9] {facts}\n" for name in names)
    program = Recorder(tmp_path, "apt-get")
    program.says("--simulate", stdout=unpacked + "".join(f"Conf {name} {facts}\n" for name in names))
    monkeypatch.setattr("blocks.hosts.local.PATH", f"{tmp_path}:/usr/bin:/bin")
    return program


async def test_all_of_them_are_installed(maintain: Maintain, apt: Recorder) -> None:
    (result,) = await maintain(TASK)
    assert (result.status, len(result.details)) == ("changed", NUMBER), result
    (installed,) = [one["argv"] for one in apt.calls if "install" in one["argv"]]
    assert sum("=1.2.3-4+deb12u10" in word for word in installed) == NUMBER


async def test_a_dry_run_of_what_needs_a_person_tells_them_and_asks_nobody(maintain: Maintain, apt: Recorder) -> None:
    (result,) = await maintain(TASK | {"approval": "one"}, dry_run=True)
    assert result.status == "planned" and sum("→" in line for line in result.details) == NUMBER, result
    assert not any("install" in one["argv"] for one in apt.calls)
