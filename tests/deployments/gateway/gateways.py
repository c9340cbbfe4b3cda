"""Real gateways: processes of their own, against a Prefect server."""

import os
import ssl
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx

from blocks.keys import ApiKey, KeyRing, Scope
from blocks.store.local import LocalFiles
from tests.processes import HTTP, free_port, stop, until, until_ready

STARTUP_S = 60

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""What a client needs no certificates for: reading them all takes longer than a call."""


@dataclass
class Gateway:
    """A running gateway.

    Attributes:
        url: Its address, without a slash at the end.
        secret: A key with all scopes.
        process: The process.
    """

    url: str
    secret: str
    process: "subprocess.Popen[bytes]"

    def client(self, secret: str | None = None) -> httpx.Client:
        """An HTTP client that sends a key; all scopes unless another is given."""
        headers = {"X-API-Key": secret or self.secret}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False, verify=NO_TLS)

    def stop(self) -> None:
        """End it politely."""
        stop(self.process)


@dataclass
class SharedGateway(Gateway):
    """A gateway that several tests use.

    Attributes:
        files: Its store.
        logs: Folder of its log.
        keys: Makes keys for it.
    """

    files: LocalFiles
    logs: Path
    keys: KeyRing

    def key(self, *scopes: Scope, **limits: int) -> tuple[str, ApiKey]:
        """A new key that the gateway knows already."""
        secret, key = self.keys.create("a test", scopes, **limits)
        headers = {"X-API-Key": secret}
        until(lambda: HTTP.get(f"{self.url}/v1/models", headers=headers).status_code != 401)
        return secret, key


def start_gateway(prefect_url: str, *, log: Path, port: int | None = None, **environment: str) -> Gateway:
    """Start a gateway and wait until it is live."""
    port = port or free_port()
    secret = environment.setdefault("SECRET_API_KEY", "test-key-with-all-scopes-0123456789abcdef")
    environment.setdefault("AGENTS_HOME", str(log.parent / "agents"))  # never the stops and keys of this machine
    process = subprocess.Popen(
        [sys.executable, "-m", "deployments.gateway"],
        env={**os.environ, "PREFECT_API_URL": prefect_url, "API_PORT": str(port), **environment},
        stdout=log.open("ab"),
        stderr=subprocess.STDOUT,
    )
    url = f"http://127.0.0.1:{port}"
    until_ready(process, lambda: live(url), log, STARTUP_S)
    return Gateway(url=url, secret=secret, process=process)


def live(url: str) -> bool:
    """Whether a gateway answers there."""
    try:
        return HTTP.get(f"{url}/health/live", timeout=5).is_success
    except httpx.HTTPError:
        return False
