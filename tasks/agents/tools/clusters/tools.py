"""Tools for Kubernetes and Docker, where their command-line programs are installed and set up."""

import os
from pathlib import Path
from typing import Any

from blocks.model import Frozen
from tasks.agents.tool import Tool
from tasks.agents.tools.clusters import docker
from tasks.agents.tools.clusters.kubernetes import Cluster, reading_tools
from tasks.agents.tools.clusters.kubernetes_changes import changing_tools
from tasks.agents.tools.programs import PATH, program_at

DOCKER_HOST = "unix:///var/run/docker.sock"


class Clusters(Frozen):
    """What the operator lets agents look after.

    Attributes:
        kubeconfig: How to reach the cluster; None for `~/.kube/config`.
        context: Which context of it; None for its current one.
        namespaces: The only ones that agents may see; empty for all. Those of Kubernetes itself are never changed.
        docker_host: Address of the Docker daemon.
        path: Where the programs are, and those that they call for credentials.
        home: Their home folder; None for ours.
    """

    kubeconfig: Path | None = None
    context: str | None = None
    namespaces: tuple[str, ...] = ()
    docker_host: str = DOCKER_HOST
    path: str = PATH
    home: Path | None = None


def tools(clusters: Clusters) -> tuple[Tool[Any], ...]:
    """The tools that can be used here."""
    return (*_kubernetes(clusters)[0], *_docker(clusters)[0])


def absent(clusters: Clusters) -> dict[str, str]:
    """Why the others cannot, by `kubectl` and `docker`."""
    reasons = {"kubectl": _kubernetes(clusters)[1], "docker": _docker(clusters)[1]}
    return {program: reason for program, reason in reasons.items() if reason}


def _kubernetes(clusters: Clusters) -> tuple[tuple[Tool[Any], ...], str]:
    program = program_at("kubectl", clusters.path)
    if program is None:
        return (), "kubectl is not installed"
    home = clusters.home or Path.home()
    config = (clusters.kubeconfig or home / ".kube" / "config").expanduser()
    if not config.is_file():
        return (), f"there is no kubeconfig {config}"
    chosen = (f"--context={clusters.context}",) if clusters.context else ()
    cluster = Cluster(
        command=(str(program), f"--kubeconfig={config}", *chosen),
        env=_env(clusters, home),
        namespaces=clusters.namespaces,
    )
    return (*reading_tools(cluster), *changing_tools(cluster)), ""


def _docker(clusters: Clusters) -> tuple[tuple[Tool[Any], ...], str]:
    program = program_at("docker", clusters.path)
    if program is None:
        return (), "docker is not installed"
    scheme, _, socket = clusters.docker_host.partition("://")
    if scheme == "unix" and not os.access(socket, os.R_OK | os.W_OK):
        return (), f"there is no Docker daemon at {socket} that we may use"
    env = _env(clusters, clusters.home or Path.home()) | {"DOCKER_HOST": clusters.docker_host}
    return docker.tools(docker.Daemon(command=(str(program),), env=env)), ""


def _env(clusters: Clusters, home: Path) -> dict[str, str]:
    return {"PATH": clusters.path, "HOME": str(home), "LANG": "C.UTF-8"}
