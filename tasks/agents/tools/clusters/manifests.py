"""Kubernetes manifests of an agent: which kinds it may apply, and what no manifest may hold."""

from collections.abc import Iterator
from typing import Any

import yaml

from blocks.errors import BadInput, NotAllowed

KINDS = {
    *("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod", "Service", "Ingress", "ConfigMap"),
    *("HorizontalPodAutoscaler", "PodDisruptionBudget", "PersistentVolumeClaim", "NetworkPolicy"),
}
"""What lives in one namespace and gives nobody rights. Secrets, roles and service accounts are for people."""

TO_THE_NODE = {
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "privileged",
    "allowPrivilegeEscalation",
    "hostUsers",
    "hostProcess",
}
"""Fields that lead out of the container where they are true."""

OUT_OF_THE_POD = {"hostPath", "hostPort", "serviceAccountName", "serviceAccount", "procMount", "externalIPs"}
"""Fields that lead out of the pod, or give it rights, by being there."""

MOST_OBJECTS = 50
MOST_DEEP = 60


def checked_manifest(text: str, namespace: str) -> list[str]:
    """The objects of a manifest, as `Kind/name`.

    Args:
        text: One or several YAML documents.
        namespace: The only one that they may be in.

    Raises:
        BadInput: it is no manifest.
        NotAllowed: it holds what agents may not apply.
    """
    objects = list(_objects(text))
    if not 0 < len(objects) <= MOST_OBJECTS:
        raise BadInput(f"the manifest has {len(objects)} objects", fix=f"give 1 to {MOST_OBJECTS}", field="manifest")
    return [_named(one, namespace) for one in objects]


def _objects(text: str) -> Iterator[Any]:
    try:
        # Anchors can make gigabytes of a few lines, and hide what is repeated from who reads them.
        if any(isinstance(token, yaml.AliasToken | yaml.AnchorToken) for token in yaml.scan(text)):
            raise BadInput("the manifest has YAML anchors", fix="write the repeated parts out", field="manifest")
        yield from (one for one in yaml.safe_load_all(text) if one is not None)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise BadInput(f"the manifest is no YAML{where}", fix="correct it", field="manifest") from error


def _named(one: Any, namespace: str) -> str:
    """An object as `Kind/name`, when it may be applied."""
    fields: dict[str, Any] = one if isinstance(one, dict) else {}
    about: dict[str, Any] = fields["metadata"] if isinstance(fields.get("metadata"), dict) else {}
    kind, name = fields.get("kind"), about.get("name")
    if not (isinstance(kind, str) and isinstance(name, str)):
        raise BadInput("an object has no kind or no metadata.name", fix="give it both", field="manifest")
    if kind not in KINDS:
        raise NotAllowed(
            f"agents may not apply a {kind}", fix=f"leave it to a person; allowed are {', '.join(sorted(KINDS))}"
        )
    if about.get("namespace", namespace) != namespace:
        raise NotAllowed(f"{kind}/{name} is of another namespace", fix=f"leave it out, or write {namespace}")
    for field in _ways_out(fields.get("spec"), 0):
        raise NotAllowed(f"{kind}/{name} has {field}, which leads out of its container", fix="leave it out")
    return f"{kind}/{name}"


def _ways_out(value: Any, depth: int) -> Iterator[str]:
    if depth > MOST_DEEP:
        raise BadInput(f"the manifest is nested more than {MOST_DEEP} deep", fix="make it flatter", field="manifest")
    inner: list[Any] = []
    if isinstance(value, dict):
        fields: dict[Any, Any] = value
        yield from (str(key) for key, one in fields.items() if _leads_out(key, one))
        inner = list(fields.values())
    elif isinstance(value, list):
        inner = value
    for one in inner:
        yield from _ways_out(one, depth + 1)


def _leads_out(key: Any, value: Any) -> bool:
    adds = key == "capabilities" and isinstance(value, dict) and "add" in value
    return adds or key in OUT_OF_THE_POD or (key in TO_THE_NODE and value is not False)
