"""Runbooks in a folder, run on real parts; what their commands were told is written down."""

import asyncio
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from blocks.approvals import ApprovalDecision, ApprovalRequest
from blocks.hosts import Inventory
from blocks.hosts.inventory import ONLY_HERE
from blocks.store import open_store
from tasks.ops.performer import Performer
from tasks.ops.runbook.alert import Alert
from tasks.ops.runbook.begin import begin, carried_out, walking
from tasks.ops.runbook.record import RunbookRun
from tests.tasks.ops.conftest import MakePerformer

RECORDER = """#!{python} -ISE
import json, os, sys
line = json.dumps({{"argv": sys.argv[1:], "stdin": "" if sys.stdin.isatty() else sys.stdin.read()}})
handle = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(handle, line.encode() + b"\\n")
print(os.environ.get("SAYS") or " ".join(sys.argv[1:]))
sys.exit(int(sys.argv[2]) if sys.argv[1:2] == ["exit"] else 0)
"""


class Place:
    """A folder with runbooks, and a program that writes down what it is told.

    Attributes:
        folder: Of the runbooks.
        program: The recording program, as runbooks name it.
        pictures: How the runs looked, in order.
        metrics: What Prometheus says, number by number; the last one stays.
    """

    def __init__(self, folder: Path, make_performer: MakePerformer) -> None:
        self.folder, self._make = folder, make_performer
        self.log = folder / "argv.log"
        program = folder / "record"
        program.write_text(RECORDER.format(python=sys.executable, log=str(self.log)))
        program.chmod(0o755)
        self.program = str(program)
        self.pictures: list[RunbookRun] = []
        self.metrics: list[float | None] = []
        self.inventory: Inventory = ONLY_HERE

    def write(self, text: str, name: str = "book") -> Path:
        """Write a runbook; `RECORD` in it is the recording program, `FOLDER` the folder."""
        path = self.folder / f"{name}.yaml"
        head = "" if "\nname:" in f"\n{text}" else f"name: {name}\ndescription: For tests.\n"
        path.write_text(head + text.replace("RECORD", self.program).replace("FOLDER", str(self.folder)))
        return path

    @property
    def told(self) -> list[list[str]]:
        """What the program was told, run by run."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line)["argv"] for line in lines]

    async def run(
        self, name: str = "book", alert: Alert | None = None, performer: Performer | None = None, **given: Any
    ) -> RunbookRun:
        """Run a runbook, or go on with the run of the performer."""
        return await self.run_of(performer or self._make(), name, alert, given)

    async def run_of(self, performer: Performer, name: str, alert: Alert | None, given: dict[str, Any]) -> RunbookRun:
        files = open_store()
        begun = begin(
            name,
            given,
            alert,
            folder=self.folder,
            inventory=self.inventory,
            files=files,
            run_id=performer.run_id,
        )

        async def show(run: RunbookRun) -> None:
            self.pictures.append(run)

        async def query(_: str) -> float | None:
            return self.metrics.pop(0) if len(self.metrics) > 1 else self.metrics[0]

        async with walking(begun, performer, files, query, show) as walk:
            return await carried_out(walk)


@pytest.fixture
def place(tmp_path: Path, make_performer: MakePerformer) -> Place:
    folder = tmp_path / "runbooks"
    folder.mkdir()
    return Place(folder, make_performer)


Asked = Callable[[ApprovalRequest], Any]


def agreeing(asked: list[ApprovalRequest]) -> Asked:
    """A person who agrees to all; what was asked is kept."""

    async def agree(request: ApprovalRequest) -> ApprovalDecision:
        asked.append(request)
        await asyncio.sleep(0)
        return ApprovalDecision(approved=True, arguments=request.arguments, by=("bob",), at=datetime.now(UTC))

    return agree
