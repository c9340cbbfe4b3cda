"""A Prefect server that can be killed and started again on its database."""

import os
import subprocess
import sys
from pathlib import Path

import httpx

from deployments.server import TEMPORARY
from tests.processes import HTTP, free_port, until_ready

STARTUP_S = 300


class KillableServer:
    """A server with its own SQLite file and a fixed port.

    Args:
        folder: Where it keeps everything.
        template: An empty database with all tables.
        extra: More environment variables.
    """

    def __init__(self, folder: Path, template: Path, extra: dict[str, str]) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}/api"
        database = folder / "prefect.db"
        if template.exists():
            database.write_bytes(template.read_bytes())
        own = {
            "PREFECT_HOME": str(folder),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database}",
        }
        known = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_API")}
        self._environment = known | TEMPORARY | own | extra
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "deployments.prefect_server", "server", "start"]
        command += ["--host", "127.0.0.1", "--port", str(self._port)]
        log = self.folder / "server.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        until_ready(self._process, self._answers, log, STARTUP_S)

    def kill(self) -> None:
        """Kill it, with whatever it has in memory."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            return HTTP.get(f"{self.url}/health", timeout=2).is_success
        except httpx.HTTPError:
            return False
