"""A real Prometheus and a real Alertmanager on loopback: a target that is down becomes an alert at a webhook."""

import json
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.processes import HTTP, free_port, stop, until_ready

STARTUP_S = 60


@contextmanager
def prometheus(folder: Path, *, job: str, target: str, rule: dict[str, Any], alertmanager: str) -> Generator[str]:
    """A Prometheus that looks at a target each second; its address.

    Args:
        folder: Where it keeps everything.
        job: What the target is called.
        target: `host:port`.
        rule: An alerting rule.
        alertmanager: `host:port`.
    """
    folder.mkdir(parents=True)
    (folder / "rules.yml").write_text(json.dumps({"groups": [{"name": "all", "rules": [rule]}]}))
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules.yml")],
        "scrape_configs": [{"job_name": job, "static_configs": [{"targets": [target]}]}],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
    }
    with running_prometheus(folder, config, "--rules.alert.resend-delay=1s") as url:
        yield url


@contextmanager
def running_prometheus(folder: Path, config: dict[str, Any], *flags: str) -> Generator[str]:
    """A Prometheus with a configuration; its address.

    Args:
        folder: Where it keeps everything; what lies in its `data` it has.
        config: As in `prometheus.yml`.
        flags: More of its flags.
    """
    (folder / "prometheus.yml").write_text(json.dumps(config))
    port = free_port()
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data", *flags]
    command += [f"--web.listen-address=127.0.0.1:{port}"]
    with _running(command, f"http://127.0.0.1:{port}", folder / "prometheus.log") as url:
        yield url


@contextmanager
def alertmanager(folder: Path, webhook: str, secret: str) -> Generator[str]:
    """An Alertmanager that sends everything to a webhook at once; its `host:port`."""
    folder.mkdir(parents=True)
    http = {"authorization": {"type": "Bearer", "credentials": secret}}
    timing = {"group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h", "group_by": ["alertname"]}
    config = {
        "route": {"receiver": "c500", **timing},
        "receivers": [{"name": "c500", "webhook_configs": [{"url": webhook, "http_config": http}]}],
    }
    (folder / "alertmanager.yml").write_text(json.dumps(config))
    port = free_port()
    command = ["prometheus-alertmanager", f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/data"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    with _running(command, f"http://127.0.0.1:{port}", folder / "alertmanager.log"):
        yield f"127.0.0.1:{port}"


@contextmanager
def _running(command: list[str], url: str, log: Path) -> Generator[str]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        until_ready(process, lambda: _ready(url), log, STARTUP_S)
        yield url
    finally:
        stop(process)


def _ready(url: str) -> bool:
    try:
        return HTTP.get(f"{url}/-/ready", timeout=5).is_success
    except httpx.HTTPError:
        return False
