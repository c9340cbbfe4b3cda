"""A whole service for tests and benchmarks: `c500 up`, on ports and in folders of its own."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deployments.server import migrated_template
from tests.processes import free_port, stop, until_ready

ROOT = Path(__file__).parent.parent
STARTUP_S = 240
COMMAND_S = 240


@dataclass
class Service:
    """A running `c500 up`.

    Attributes:
        folder: Where everything of it lies.
        environment: What `c500` commands need to find it, and nothing else.
        screen: What it printed.
    """

    folder: Path
    environment: dict[str, str]
    api_url: str
    gateway_url: str
    process: "subprocess.Popen[bytes]"
    screen: Path

    @property
    def auth(self) -> str:
        return (self.folder / "service" / "auth").read_text().strip()

    @property
    def first_key(self) -> str:
        return re.findall(r"shown this once: (\S+)", self.screen.read_text())[0]

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
    screen = folder / "screen.log"
    with screen.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "deployments", "up", "--gpus", "0", *options],
            cwd=folder,
            env=given,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        until_ready(process, lambda: "C500 runs" in screen.read_text(), screen, STARTUP_S)
        yield Service(
            folder=folder,
            environment=given,
            api_url=f"http://127.0.0.1:{api_port}/api",
            gateway_url=f"http://127.0.0.1:{port}",
            process=process,
            screen=screen,
        )
    finally:
        stop(process, within_s=90)
