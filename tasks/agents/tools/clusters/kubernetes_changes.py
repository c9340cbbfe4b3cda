"""Tools that change what runs in a Kubernetes cluster."""

from typing import Any

from blocks.action import Touched
from blocks.plain_text import cut
from tasks.agents.tool import Call, Place, Tool
from tasks.agents.tools.clusters.kubernetes import Cluster, KubectlApply, KubectlRolloutRestart, KubectlScale
from tasks.agents.tools.clusters.manifests import checked_manifest

DIFFERENT = 1
"""Exit code of `kubectl diff` where something would change."""


def changing_tools(cluster: Cluster) -> tuple[Tool[Any], ...]:
    """Apply, scale and restart."""
    return (_apply(cluster), _scale(cluster), _restart(cluster))


def _apply(cluster: Cluster) -> Tool[KubectlApply]:
    def argv(verb: str, arguments: KubectlApply) -> list[str]:
        return [verb, "--filename=-", f"--namespace={arguments.namespace}"]

    def reaches(arguments: KubectlApply, _place: Place) -> Touched:
        cluster.change(arguments.namespace)
        checked_manifest(arguments.manifest, arguments.namespace)
        return Touched(argv=("kubectl", *argv("apply", arguments)), size_bytes=len(arguments.manifest.encode()))

    async def apply(arguments: KubectlApply, _call: Call) -> dict[str, Any]:
        objects = checked_manifest(arguments.manifest, arguments.namespace)
        ran = await cluster.run(argv("apply", arguments), stdin=arguments.manifest)
        return {"objects": objects, "output": cut(ran.stdout, 4000)}

    async def preview(arguments: KubectlApply, _call: Call) -> str:
        objects = checked_manifest(arguments.manifest, arguments.namespace)
        ran = await cluster.run(argv("diff", arguments), stdin=arguments.manifest, fine=(0, DIFFERENT))
        return cut(ran.stdout, 16_000) or f"nothing changes: {', '.join(objects)}"

    return Tool(
        name="kubectl_apply",
        description="Bring objects of one namespace of the Kubernetes cluster into the state that a manifest says. "
        "Takes workloads, services and configuration; no secrets, no rights, nothing that leads to the node.",
        arguments=KubectlApply,
        call=apply,
        risk="high",
        repeatable=True,
        outside=True,
        touches=reaches,
        preview=preview,
    )


def _scale(cluster: Cluster) -> Tool[KubectlScale]:
    def argv(arguments: KubectlScale) -> list[str]:
        which = f"{arguments.kind}/{arguments.name}"
        return ["scale", which, f"--namespace={arguments.namespace}", f"--replicas={arguments.replicas}"]

    def reaches(arguments: KubectlScale, _place: Place) -> Touched:
        cluster.change(arguments.namespace)
        return Touched(argv=("kubectl", *argv(arguments)))

    async def before(arguments: KubectlScale) -> int:
        which = f"{arguments.kind}/{arguments.name}"
        ran = await cluster.run(
            ["get", which, f"--namespace={arguments.namespace}", "--output=jsonpath={.spec.replicas}"]
        )
        return int(ran.stdout) if ran.stdout.strip().isdecimal() else 1  # one, where none is written

    async def scale(arguments: KubectlScale, _call: Call) -> dict[str, Any]:
        had = await before(arguments)
        await cluster.run(argv(arguments))
        return {"scaled": f"{arguments.kind}/{arguments.name}", "before": had, "after": arguments.replicas}

    async def preview(arguments: KubectlScale, _call: Call) -> str:
        had = await before(arguments)
        return f"{arguments.kind}/{arguments.name} in {arguments.namespace}: {had} → {arguments.replicas} replicas"

    return Tool(
        name="kubectl_scale",
        description="Set how many replicas a deployment or stateful set of the Kubernetes cluster has. Says how many "
        "it had, so that it can be set back.",
        arguments=KubectlScale,
        call=scale,
        risk="high",
        reversible=True,
        repeatable=True,
        outside=True,
        touches=reaches,
        preview=preview,
    )


def _restart(cluster: Cluster) -> Tool[KubectlRolloutRestart]:
    def argv(arguments: KubectlRolloutRestart) -> list[str]:
        which = f"{arguments.kind}/{arguments.name}"
        return ["rollout", "restart", which, f"--namespace={arguments.namespace}"]

    def reaches(arguments: KubectlRolloutRestart, _place: Place) -> Touched:
        cluster.change(arguments.namespace)
        return Touched(argv=("kubectl", *argv(arguments)))

    async def restart(arguments: KubectlRolloutRestart, _call: Call) -> str:
        return cut((await cluster.run(argv(arguments))).stdout.strip(), 1000)

    return Tool(
        name="kubectl_rollout_restart",
        description="Replace the pods of a deployment, stateful set or daemon set of the Kubernetes cluster one after "
        "the other by new ones of the same kind.",
        arguments=KubectlRolloutRestart,
        call=restart,
        risk="high",
        outside=True,
        touches=reaches,
    )
