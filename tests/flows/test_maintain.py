"""Maintenance as a flow: hosts over SSH, a report that is kept and sent, a kill in the middle."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from blocks.settings import settings
from blocks.store import open_store
from flows.maintenance import maintain
from tasks.ops.maintenance.result import MaintenanceReport
from tasks.ops.options import OperationsOptions
from tests.fakes.sshd import Sshd, running_sshd
from tests.processes import eventually


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def inventory(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "inventory.yaml"
    path.write_text("hosts:\n  here: {}\n" + sshd.entry("web-1"))
    monkeypatch.setenv("INVENTORY_FILE", str(path))
    settings.cache_clear()
    return path


def plan(tmp_path: Path, text: str) -> str:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    return str(path)


async def test_a_plan_is_done_on_all_hosts_and_told(inventory: Path, prefect_api: str, tmp_path: Path) -> None:
    text = f"""
parallel: 1
tasks:
  - {{name: mark, kind: command, argv: [sh, -c, 'echo x >> {tmp_path}/marks']}}
  - {{name: risky, kind: command, argv: ['true'], risk: high}}
  - {{name: look, kind: command, argv: [echo, "| <b>", '![x](http://a)'], changes: false}}
"""
    report = await maintain(plan(tmp_path, text), OperationsOptions(attended=False, profile="staging"))
    assert [(one.host, one.status) for one in report.results if one.task == "mark"] == [
        ("here", "changed"),
        ("web-1", "changed"),
    ]
    assert (tmp_path / "marks").read_text() == "x\nx\n"
    assert report.worst == "refused" and not report.ok
    kept = open_store().read_bytes(f"operations/maintenance/{report.run_id}/report.json")
    assert MaintenanceReport.model_validate_json(kept) == report


KILLED = """
import asyncio, sys
from flows.maintenance import maintain
from tasks.ops.options import OperationsOptions
options = OperationsOptions(attended=False, profile="staging", run_id="night-1")
print(asyncio.run(maintain(sys.argv[1], options)).worst)
"""


async def test_a_killed_run_goes_on_and_repeats_nothing(inventory: Path, prefect_api: str, tmp_path: Path) -> None:
    text = f"""
tasks:
  - {{name: one, kind: command, hosts: [web-1], argv: [sh, -c, 'echo one >> {tmp_path}/done']}}
  - {{name: two, kind: command, hosts: [here], repeatable: true,
     argv: [sh, -c, 'echo $$ > {tmp_path}/pid; test -e {tmp_path}/over || exec sleep 60']}}
  - {{name: three, kind: command, hosts: [here], argv: [sh, -c, 'echo three >> {tmp_path}/done']}}
"""
    file = plan(tmp_path, text)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, file)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        assert process.returncode is None
        await asyncio.sleep(0.05)
    process.kill()
    await process.wait()
    await eventually(lambda: not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists())  # it died with us
    (tmp_path / "over").touch()
    options = OperationsOptions(attended=False, profile="staging", run_id="night-1")
    report = await maintain(file, options)
    assert report.worst == "changed", report
    assert (tmp_path / "done").read_text() == "one\nthree\n"
