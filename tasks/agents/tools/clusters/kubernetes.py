"""Tools for a Kubernetes cluster, through kubectl: typed arguments, never options of the model's own."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, StringConstraints

from blocks.action import Touched
from blocks.errors import C500Error, EngineFailed, EngineUnavailable, NotAllowed, NotFound, TimedOut
from blocks.model import Frozen
from blocks.plain_text import cut
from tasks.agents.tool import Call, Place, Tool
from tasks.agents.tools.programs import Ran, run_program

TIMEOUT_S = 45.0
REQUEST_TIMEOUT = "--request-timeout=30s"
LOG_BYTES = 14_000

OF_KUBERNETES = ("kube-system", "kube-public", "kube-node-lease")
"""Namespaces that agents never change."""

ClusterKind = Literal["nodes", "namespaces", "persistentvolumes", "storageclasses"]
Kind = Literal[
    "pods",
    "deployments",
    "statefulsets",
    "daemonsets",
    "replicasets",
    "jobs",
    "cronjobs",
    "services",
    "endpoints",
    "ingresses",
    "configmaps",
    "events",
    "horizontalpodautoscalers",
    "persistentvolumeclaims",
    "poddisruptionbudgets",
    "resourcequotas",
    ClusterKind,
]
"""What may be read; secrets are not among it."""

Workload = Literal["deployment", "statefulset"]
Restartable = Literal["deployment", "statefulset", "daemonset"]

OBJECT = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
LABEL = r"[A-Za-z0-9]([A-Za-z0-9_./-]{0,252}[A-Za-z0-9])?"
ObjectName = Annotated[str, StringConstraints(pattern=OBJECT), Field(description="Its name")]
Namespace = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"), Field(description="Its namespace")
]
Selector = Annotated[
    str,
    StringConstraints(pattern=rf"^{LABEL}(!?=|==){LABEL}(,{LABEL}(!?=|==){LABEL}){{0,9}}$", max_length=500),
    Field(description="Only those with these labels, as app=web,tier=front"),
]


class KubectlGet(Frozen):
    """Arguments of `kubectl_get`."""

    kind: Kind = Field(description="What is listed")
    name: ObjectName | None = Field(default=None, description="One object, whole; None: a table of all")
    namespace: Namespace = "default"
    selector: Selector | None = None


class KubectlLogs(Frozen):
    """Arguments of `kubectl_logs`."""

    pod: ObjectName
    namespace: Namespace = "default"
    container: ObjectName | None = Field(default=None, description="Which container of the pod, where it has several")
    lines: int = Field(default=100, ge=1, le=2000, description="Latest lines that are given")
    since_s: int | None = Field(default=None, ge=1, le=7 * 86_400, description="Only of the last so many seconds")
    previous: bool = Field(default=False, description="Of the container before its last restart")


class KubectlApply(Frozen):
    """Arguments of `kubectl_apply`."""

    manifest: str = Field(min_length=1, max_length=200_000, description="YAML of one or several objects")
    namespace: Namespace


class KubectlScale(Frozen):
    """Arguments of `kubectl_scale`."""

    kind: Workload = Field(description="What is scaled")
    name: ObjectName
    namespace: Namespace
    replicas: int = Field(ge=0, le=1000, description="How many there are to be")


class KubectlRolloutRestart(Frozen):
    """Arguments of `kubectl_rollout_restart`."""

    kind: Restartable = Field(description="What is restarted")
    name: ObjectName
    namespace: Namespace


class Cluster(Frozen):
    """How the cluster is reached.

    Attributes:
        command: The program, and which cluster it talks to.
        env: All of its environment.
        namespaces: The only ones that agents may see; empty for all.
    """

    command: tuple[str, ...]
    env: Mapping[str, str]
    namespaces: tuple[str, ...] = ()

    async def run(
        self, arguments: Sequence[str], *, stdin: str = "", fine: Sequence[int] = (0,), output_bytes: int = 1_000_000
    ) -> Ran:
        """Run the program. Raises what it says, as ours, when its exit code is none of the fine ones."""
        ran = await run_program(
            (*self.command, REQUEST_TIMEOUT, *arguments),
            env=self.env,
            timeout_s=TIMEOUT_S,
            stdin=stdin.encode(),
            output_bytes=output_bytes,
        )
        if ran.exit_code not in fine:
            raise _told(ran)
        return ran

    def see(self, namespace: str) -> None:
        """Refuse a namespace that agents may not see. Raises `NotAllowed`."""
        if self.namespaces and namespace not in self.namespaces:
            raise NotAllowed(
                f"agents may not see the namespace {namespace}", fix=f"allowed are {', '.join(self.namespaces)}"
            )

    def change(self, namespace: str) -> None:
        """Refuse a namespace that agents may not change. Raises `NotAllowed`."""
        self.see(namespace)
        if namespace in OF_KUBERNETES:
            raise NotAllowed(f"agents may not change {namespace}", fix="leave it to a person")


def reading_tools(cluster: Cluster) -> tuple[Tool[Any], ...]:
    """Get and logs."""

    def get_reaches(arguments: KubectlGet, _place: Place) -> Touched:
        if arguments.kind not in get_args(ClusterKind):
            cluster.see(arguments.namespace)
        return Touched(argv=("kubectl", *_get(arguments)))

    def logs_reach(arguments: KubectlLogs, _place: Place) -> Touched:
        cluster.see(arguments.namespace)
        return Touched(argv=("kubectl", *_logs(arguments)))

    async def get(arguments: KubectlGet, _call: Call) -> Any:
        ran = await cluster.run(_get(arguments))
        return cut(ran.stdout, 16_000) if arguments.name is None else _shown(ran.stdout)

    async def logs(arguments: KubectlLogs, _call: Call) -> str:
        return (await cluster.run(_logs(arguments), output_bytes=LOG_BYTES)).stdout

    reading: dict[str, Any] = {
        "risk": "low",
        "reversible": True,
        "read_only": True,
        "labels": frozenset({"untrusted"}),
        "polls": True,
    }
    return (
        Tool(
            name="kubectl_get",
            description="List objects of the Kubernetes cluster as a table, or read one of them whole. Values of "
            "environment variables are not shown.",
            arguments=KubectlGet,
            call=get,
            touches=get_reaches,
            **reading,
        ),
        Tool(
            name="kubectl_logs",
            description="Read the latest lines that a pod wrote.",
            arguments=KubectlLogs,
            call=logs,
            touches=logs_reach,
            **reading,
        ),
    )


def _get(arguments: KubectlGet) -> list[str]:
    named = [arguments.name, "--output=json"] if arguments.name else ["--output=wide"]
    selected = [f"--selector={arguments.selector}"] if arguments.selector and not arguments.name else []
    return ["get", arguments.kind, *named, f"--namespace={arguments.namespace}", *selected]


def _logs(arguments: KubectlLogs) -> list[str]:
    return [
        "logs",
        arguments.pod,
        f"--namespace={arguments.namespace}",
        f"--tail={arguments.lines}",
        f"--limit-bytes={20 * LOG_BYTES}",
        "--timestamps",
        *([f"--container={arguments.container}"] if arguments.container else []),
        *([f"--since={arguments.since_s}s"] if arguments.since_s else []),
        *(["--previous"] if arguments.previous else []),
    ]


def _shown(output: str) -> Any:
    """An object, without what nobody needs and what nobody should see."""
    try:
        found = json.loads(output)
    except ValueError as error:
        raise EngineFailed("kubectl said nothing that can be read", fix="try again later") from error
    (found.get("metadata", {}).get("annotations") or {}).pop("kubectl.kubernetes.io/last-applied-configuration", None)
    _hide_env(found)
    return found


def _hide_env(value: Any) -> None:
    """Take the values out of all `env` lists: passwords are handed over in them."""
    if isinstance(value, list):
        for inner in value:
            _hide_env(inner)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key == "env" and isinstance(inner, list):
                value[key] = [
                    {**one, "value": "(hidden)"} if isinstance(one, dict) and "value" in one else one for one in inner
                ]
            else:
                _hide_env(inner)


def _told(ran: Ran) -> C500Error:
    message = cut((ran.stderr or ran.stdout).strip(), 500)
    low = message.lower()
    if "(notfound)" in low or "not found" in low:
        return NotFound(f"kubectl: {message}", fix="list what there is with kubectl_get")
    if "(forbidden)" in low or "(unauthorized)" in low or "must be logged in" in low:
        return NotAllowed(f"kubectl: {message}", fix="ask the operator for the right, or find another way")
    if "timeout" in low or "deadline exceeded" in low:
        return TimedOut(f"kubectl: {message}", fix="try again later")
    if "refused" in low or "unable to connect" in low or "no such host" in low:
        return EngineUnavailable(f"kubectl: {message}", fix="ask the operator to look whether the cluster runs")
    return EngineFailed(f"kubectl: {message}", fix="look at the state with kubectl_get, then decide")
