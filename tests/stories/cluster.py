"""A cluster whose new version never becomes healthy, behind a program that is called as kubectl is."""

import json
import sys
from pathlib import Path
from typing import Any

from tasks.agents.tools.clusters import Clusters

NAMESPACE, SERVICE = "shop", "payments"
GOOD, BAD = "1.9", "2.0"

PROGRAM = """#!{python} -IS
import json, re, sys
state = {folder!r} + "/applied.jsonl"
if "apply" in sys.argv:
    with open(state, "a") as file:
        file.write(json.dumps(sys.stdin.read()) + "\\n")
    print("deployment.apps/{service} configured")
elif "get" in sys.argv:
    manifest = json.loads(open(state).read().splitlines()[-1])
    version = re.search("payments:([0-9.]+)", manifest)[1]
    print(json.dumps({{"image": version, "status": {{"availableReplicas": 0 if version == {bad!r} else 3}}}}))
"""


class Cluster:
    """The cluster: what it was told is kept in a folder.

    Args:
        folder: The folder; it exists.
    """

    def __init__(self, folder: Path) -> None:
        self._applied = folder / "applied.jsonl"
        program = folder / "kubectl"
        program.write_text(PROGRAM.format(python=sys.executable, folder=str(folder), service=SERVICE, bad=BAD))
        program.chmod(0o755)
        (folder / "kubeconfig").touch()
        self._applied.write_text(json.dumps(manifest(GOOD)) + "\n")
        self.clusters = Clusters(path=str(folder), kubeconfig=folder / "kubeconfig", home=folder)

    @property
    def deployments(self) -> int:
        """How often something was rolled out, forth or back, since the beginning."""
        return len(self._applied.read_text().splitlines()) - 1


def manifest(version: str, note: str = "") -> str:
    """A deployment of the service in a version; a note makes another text of it."""
    made: dict[str, Any] = {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": {"name": SERVICE, **({"annotations": {"note": note}} if note else {})},
        "spec": {"template": {"spec": {"containers": [{"name": SERVICE, "image": f"shop/{SERVICE}:{version}"}]}}},
    }
    return json.dumps(made)


def apply(version: str, note: str = "") -> tuple[str, dict[str, Any]]:
    """The call that rolls a version out."""
    return "kubectl_apply", {"manifest": manifest(version, note), "namespace": NAMESPACE}


def look_at(kind: str) -> tuple[str, dict[str, Any]]:
    """The call that lists what there is of a kind."""
    return "kubectl_get", {"kind": kind, "namespace": NAMESPACE}


LOOK = ("kubectl_get", {"kind": "deployments", "name": SERVICE, "namespace": NAMESPACE})
"""The call that looks whether it is healthy."""
