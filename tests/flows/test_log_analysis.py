"""Log analysis as a flow and as a command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from blocks.errors import Stopped
from blocks.settings import settings
from blocks.store import open_store
from blocks.switches import FOLDER, Switch, open_switches
from flows.log_analysis import analyse_logs
from tasks.ops.logs.request import LogOptions
from tasks.ops.options import OperationsOptions
from tests.conftest import ROOT
from tests.tasks.ops.logs.logging_service import text

RUN = OperationsOptions(run_id="logs-1", attended=False)
COMMAND = "import deployments.cli.logs; from deployments.cli import main; main()"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "web.log"
    path.write_text(text(4_000) + "2026-11-22T08:03:20Z FATAL disk full\n")
    return path


async def test_the_report_is_shown_and_kept(log: Path, prefect_api: str) -> None:
    report = await analyse_logs([str(log)], LogOptions(state="web"), RUN)
    assert [one.template for one in report.new] == ["FATAL disk full"]
    assert json.loads(open_store().read_bytes("operations/logs/reports/logs-1.json"))["summary"] == report.summary
    async with get_client() as client:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["logs-logs-1"]))
        (shown,) = await client.read_artifacts(artifact_filter=wanted)
    assert "FATAL disk full" in str(shown.data)
    assert await analyse_logs([str(log)], LogOptions(state="web"), RUN) == report


async def test_a_stop_switch_stops_it(log: Path, prefect_api: str) -> None:
    open_switches("", settings().agents_home / FOLDER).set(Switch(scope="agent", name="analyse-logs", by="ann"))
    with pytest.raises(Stopped):
        await analyse_logs([str(log)], None, RUN)


def test_the_command_prints_the_report(log: Path, prefect_server: str) -> None:
    command = [sys.executable, "-c", COMMAND, "logs", str(log), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["new"][0]["template"] == "FATAL disk full"
    wrong = subprocess.run([*command[:-2], "/no/such.log"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (wrong.returncode, "there is no file" in wrong.stderr) == (2, True)
