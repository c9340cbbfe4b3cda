"""A whole service for tests and benchmarks: `c500 up`, on ports and in folders of its own."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from deployments.server import migrated_template
from deployments.service.plan import MARK
from tests.processes import free_port, stop, until_ready

ROOT = Path(__file__).parent.parent
STARTUP_S = 240
COMMAND_S = 240
END_S = 90
RUNS = "C500 runs"


@dataclass
class Service:
    """A `c500 up`.

    Attributes:
        folder: Where everything of it lies.
        options: What the command was given.
        environment: What `c500` commands need to find it, and nothing else.
        process: Its supervisor, once it was started.
    """

    folder: Path
    options: tuple[str, ...]
    environment: dict[str, str]
    api_url: str
    gateway_url: str
    process: "subprocess.Popen[bytes]" = field(init=False)

    @property
    def screen(self) -> Path:
        """What it printed."""
        return self.folder / "screen.log"

    @property
    def auth(self) -> str:
        return (self.folder / "service" / "auth").read_text().strip()

    @property
    def first_key(self) -> str:
        return re.findall(r"shown this once: (\S+)", self.screen.read_text())[0]

    def start(self) -> None:
        """Run it, also again when it has ended, and wait until it says that it runs."""
        with self.screen.open("ab") as output:
            ran = self.screen.read_text().count(RUNS)
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deployments", "up", "--gpus", "0", *self.options],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        until_ready(self.process, lambda: self.screen.read_text().count(RUNS) > ran, self.screen, STARTUP_S)

    def parts(self) -> list[psutil.Process]:
        """All its processes but the supervisor, whoever their parents are."""
        mark = str(self.folder / "service")
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def part(self, command: str) -> psutil.Process:
        """The process with this on its command line."""
        return next(one for one in self.parts() if command in " ".join(one.cmdline()))

    def c500(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a command beside the service."""
        return subprocess.run(
            [sys.executable, "-m", "deployments", *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
        )


def _put_tables(database: Path) -> None:
    """Save the server that it makes them itself, which takes it longer than all else."""
    if not database.exists() and migrated_template().exists():
        database.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        shutil.copyfile(migrated_template(), database)


@contextmanager
def start_service(folder: Path, *options: str, **environment: str) -> Iterator[Service]:
    """Run `c500 up` with its store and its secrets in the folder, and wait until it says that it runs."""
    api_port, port = free_port(), free_port()
    given = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "PYTHONPATH": str(ROOT),
        "AUDIO_DIR": str(folder / "store"),
        "LOG_DIR": str(folder / "logs"),
        "SERVICE_DIR": str(folder / "service"),
        "PREFECT_SERVER_API_PORT": str(api_port),
        "API_PORT": str(port),
    } | environment
    _put_tables(folder / "service" / "prefect" / "prefect.db")
    service = Service(folder, options, given, f"http://127.0.0.1:{api_port}/api", f"http://127.0.0.1:{port}")
    try:
        service.start()
        yield service
    finally:
        stop(service.process, within_s=END_S)
    assert service.process.returncode == 0
    assert not service.parts()
