"""Which test files go to the same worker of pytest-xdist, and which go first."""

from typing import Any

from xdist.scheduler.loadfile import LoadFileScheduling

SERVICE = "tests/deployments/service/"
ON_ONE_SERVICE = {f"{SERVICE}test_{name}.py" for name in ("chaos", "checks", "deploy", "home", "join", "up")}

"""They share a service, which takes half a minute to start."""

LONG = {
    *ON_ONE_SERVICE,
    f"{SERVICE}test_two_machines.py",
    *(f"tests/deployments/warm/test_{name}.py" for name in ("attempts", "kills", "outage", "runs")),
    *(f"tests/deployments/test_{name}.py" for name in ("cli", "cli_ask")),
    *(f"tests/deployments/gateway/test_{name}.py" for name in ("finished", "health", "incidents", "page")),
    *(f"tests/flows/test_{name}.py" for name in ("cancel", "crash", "process_audio", "process_batch", "recovery")),
    *(f"tests/flows/test_{name}.py" for name in ("server_restart", "swarm_killed", "swarm_spread")),
    *(f"tests/flows/test_{name}.py" for name in ("agent", "agent_replay", "approvals", "team", "team_killed")),
    *(f"tests/flows/test_{name}.py" for name in ("incident", "incident_killed", "migration", "migration_killed")),
    *(f"tests/flows/test_{name}.py" for name in ("agent_sessions", "agent_fleet")),
    "tests/deployments/test_cli_sessions.py",
    *(f"tests/blocks/speech/test_{name}.py" for name in ("chunkformer", "whisper")),
}
"""They take forty seconds and more: they go first, so that no worker is left alone with one at the end."""


class ByServer(LoadFileScheduling):
    """A file's tests stay together, and so do those of the files that use the package's service."""

    def _split_scope(self, nodeid: str) -> Any:
        file = super()._split_scope(nodeid)
        return SERVICE if file in ON_ONE_SERVICE else file
