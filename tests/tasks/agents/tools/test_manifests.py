"""What agents may apply to a cluster."""

import pytest

from blocks.errors import BadInput, NotAllowed
from tasks.agents.tools.clusters.manifests import checked_manifest

POD = """
kind: Deployment
metadata: {{name: web}}
spec:
  template:
    spec:
      {spec}
"""


def test_workloads_and_their_services_pass() -> None:
    manifest = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    spec:
      hostNetwork: false
      containers:
        - name: web
          securityContext: {privileged: false, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
          ports: [{containerPort: 80}]
---
kind: Service
metadata: {name: web}
spec: {ports: [{port: 80}]}
---
kind: ConfigMap
metadata: {name: settings}
data: {privileged: "true", hostPath: "is a word here"}
"""
    assert checked_manifest(manifest, "shop") == ["Deployment/web", "Service/web", "ConfigMap/settings"]


@pytest.mark.parametrize(
    "spec",
    [
        "hostNetwork: true",
        "hostPID: true",
        "securityContext: {windowsOptions: {hostProcess: true}}",
        "hostIPC: 'yes'",
        "volumes: [{hostPath: {path: /}}]",
        "serviceAccountName: admin",
        "containers: [{securityContext: {privileged: true}}]",
        "containers: [{securityContext: {allowPrivilegeEscalation: true}}]",
        "containers: [{securityContext: {capabilities: {add: [SYS_ADMIN]}}}]",
        "containers: [{ports: [{hostPort: 80}]}]",
        "initContainers: [{securityContext: {procMount: Unmasked}}]",
    ],
)
def test_what_leads_out_of_the_container_is_refused(spec: str) -> None:
    with pytest.raises(NotAllowed, match="leads out"):
        checked_manifest(POD.format(spec=spec), "shop")


@pytest.mark.parametrize("kind", ["Secret", "ClusterRoleBinding", "Role", "ServiceAccount", "Namespace", "List"])
def test_kinds_that_give_rights_are_refused(kind: str) -> None:
    with pytest.raises(NotAllowed, match=kind):
        checked_manifest(f"kind: {kind}\nmetadata: {{name: a}}", "shop")


def test_another_namespace_is_refused() -> None:
    with pytest.raises(NotAllowed, match="another namespace"):
        checked_manifest("kind: Service\nmetadata: {name: a, namespace: other}", "shop")


@pytest.mark.parametrize(
    "manifest",
    [
        "",
        "---\n---\n",
        "- a\n- b",
        "kind: Service",
        "kind: Service\nmetadata: {name: 3}",
        "kind: Service\nmetadata: web",
        "a: [",
        "!!python/object/apply:os.system ['id']",
        "a: &x [1]\nb: *x",
        "kind: Service\nmetadata: {name: a}\nspec: " + "[" * 100 + "]" * 100,
        "\n---\n".join(["kind: Service\nmetadata: {name: a}"] * 51),
    ],
)
def test_what_is_no_manifest_is_refused(manifest: str) -> None:
    with pytest.raises(BadInput):
        checked_manifest(manifest, "shop")
