"""A world in which something is broken: a service with logs, changes, a runbook, a case; and operators who are told."""

import json
import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from blocks.redact import default_redactor
from blocks.settings import settings
from tasks.ops.cases.case import CaseFacts, case_of
from tasks.ops.cases.library import open_library
from tests.fakes.operators import Answering, Operators, operators, series
from tests.fakes.serving import serve

RUNBOOK = """
name: restart-checkout
description: Restarts checkout when it refuses connections.
trigger: {alert: "Checkout*"}
parameters:
  instance: {alert: labels.instance}
steps:
  - name: say
    exec: [touch, "MARK"]
    repeatable: true
    risk: low
"""

LOG = "{at:%Y-%m-%dT%H:%M:%SZ} ERROR could not reach postgres: connection refused\n"


@dataclass
class World:
    """Where it is, and what goes on in it.

    Attributes:
        folder: Its folder.
        operators: Who are told.
        began: When the alert began.
        services: The services file's content.
    """

    folder: Path
    operators: Operators
    began: datetime
    services: dict[str, Any] = field(default_factory=dict[str, Any])

    def write(self) -> None:
        """Write the services file."""
        (self.folder / "services.yaml").write_text(yaml.safe_dump(self.services))

    @property
    def checkout(self) -> dict[str, Any]:
        """The service that is broken."""
        return self.services["services"]["checkout"]

    def alert(self, name: str = "alert.json", **changes: Any) -> Path:
        """A file with what Alertmanager sends."""
        path = self.folder / name
        path.write_text(json.dumps(self.webhook(**changes)))
        return path

    def webhook(self, status: str = "firing", group: str = "{}:{alertname='CheckoutDown'}", **changes: Any) -> Any:
        """What Alertmanager sends."""
        labels = {"alertname": "CheckoutDown", "service": "checkout", "severity": "critical", "instance": "web-1:80"}
        alert = {
            "status": status,
            "labels": labels | changes.pop("labels", {}),
            "annotations": {"summary": "checkout answers with errors"} | changes.pop("annotations", {}),
            "startsAt": f"{self.began:%Y-%m-%dT%H:%M:%S.%f}Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus:9090/graph",
            "fingerprint": "0123456789abcdef",
        }
        return {
            "version": "4",
            "groupKey": group,
            "truncatedAlerts": 0,
            "status": status,
            "receiver": "c500",
            "groupLabels": {"alertname": "CheckoutDown"},
            "commonLabels": {},
            "commonAnnotations": {},
            "externalURL": "http://alertmanager:9093",
            "alerts": [alert | changes],
        }


@contextmanager
def broken_world(folder: Path, setenv: Any, *, metrics: bool = True) -> Generator[World]:
    """A world with everything in it; the settings lead there.

    Args:
        folder: Where it is made.
        setenv: Takes name and value of a variable, as `monkeypatch.setenv`.
        metrics: Whether something answers in place of Prometheus.
    """
    began = datetime.now(UTC) - timedelta(minutes=5)
    (folder / "app.log").write_text("".join(LOG.format(at=began + timedelta(seconds=10 * n)) for n in range(20)))
    repository(folder / "repo", began - timedelta(minutes=12))
    (folder / "runbooks").mkdir()
    mark = str(folder / "ran")
    (folder / "runbooks" / "restart-checkout.yaml").write_text(RUNBOOK.replace("MARK", mark))
    checkout = {
        "description": "takes orders",
        "owner": "team-payments",
        "contact": "#payments",
        "depends_on": ["postgres"],
        "dashboards": [{"title": "orders", "url": "https://grafana.example/d/1"}],
        "logs": [{"name": "app", "file": str(folder / "app.log")}],
        "repositories": [{"path": str(folder / "repo")}],
        "metrics": [{"name": "error rate", "query": 'errors{service="{{ service }}"}', "above": 1}],
    }
    first = (began - timedelta(minutes=10)).timestamp()
    prometheus = Answering(series(*[0.1] * 10, *[9.5] * 5, first=first, service="checkout"))
    with operators(folder) as (listening, channels), serve(prometheus) as url:
        setenv("OPERATIONS_CHANNELS_FILE", str(channels))
        setenv("SERVICES_FILE", str(folder / "services.yaml"))
        setenv("RUNBOOKS_DIR", str(folder / "runbooks"))
        (folder / "inventory.yaml").write_text("hosts: {local: {}}\n")
        setenv("INVENTORY_FILE", str(folder / "inventory.yaml"))
        setenv("OPERATIONS_PROFILE", "production")
        if metrics:
            setenv("PROMETHEUS_URL", url)
        settings.cache_clear()
        world = World(folder, listening, began, {"source_s": 5, "services": {"checkout": checkout, "postgres": None}})
        world.write()
        add_case()
        yield world


def repository(path: Path, at: datetime) -> None:
    """A git repository with one commit."""
    stamp = f"{int(at.timestamp())} +0000"
    environment = os.environ | {"GIT_AUTHOR_DATE": stamp, "GIT_COMMITTER_DATE": stamp}
    path.mkdir()
    for command in (
        ["init", "-q"],
        ["-c", "user.name=Mallory Blamed", "-c", "user.email=m@x", "commit", "-q", "--allow-empty", "-m", "New pool"],
    ):
        subprocess.run(["git", "-C", str(path), *command], check=True, env=environment)


def add_case() -> None:
    """A case that is like it."""
    facts = CaseFacts(
        title="Checkout answered with errors: postgres refused connections",
        services=("checkout",),
        alerts=("CheckoutDown",),
        symptoms="connection refused by postgres",
        cause="the connection pool was too small",
        resolution="the pool was enlarged",
    )
    library = open_library()
    library.put(case_of(facts, added_at=datetime.now(UTC), added_by="ann", redactor=default_redactor()))
    library.close()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[World]:
    """A world in which something is broken."""
    with broken_world(tmp_path, monkeypatch.setenv) as made:
        yield made
