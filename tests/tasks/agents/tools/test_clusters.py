"""Kubernetes and Docker through their programs, which here write down how they were called."""

import json
import os
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import ValidationError

from blocks.errors import EngineFailed, EngineUnavailable, NotAllowed, NotFound, TimedOut
from tasks.agents.tool import Tool
from tasks.agents.tools import clusters
from tasks.agents.tools.clusters import Clusters
from tasks.agents.tools.programs import run_program
from tests.fakes.recording_program import Recorder
from tests.processes import eventually
from tests.tasks.agents.tools.conftest import Hand, by_name

MANIFEST = "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 2}\n"


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


@pytest.fixture
def kubectl(bin_folder: Path) -> Recorder:
    return Recorder(bin_folder, "kubectl")


@pytest.fixture
def docker(bin_folder: Path) -> Recorder:
    return Recorder(bin_folder, "docker")


@pytest.fixture
def settings(bin_folder: Path, tmp_path: Path) -> Clusters:
    (tmp_path / "kubeconfig").touch()
    (tmp_path / "docker.sock").touch()
    return Clusters(
        kubeconfig=tmp_path / "kubeconfig",
        context="test",
        namespaces=("shop", "kube-system"),
        docker_host=f"unix://{tmp_path}/docker.sock",
        path=str(bin_folder),
        home=tmp_path,
    )


@pytest.fixture
def tools(kubectl: Recorder, docker: Recorder, settings: Clusters) -> dict[str, Tool[Any]]:
    return by_name(clusters.tools(settings))


async def test_kubectl_is_called_with_whole_arguments_and_little_else(
    hand: Hand, tools: dict[str, Tool[Any]], kubectl: Recorder, settings: Clusters, monkeypatch: Any
) -> None:
    monkeypatch.setenv("SECRET_API_KEY", "s3cr3t")
    kubectl.says("get", stdout="NAME   READY\nweb-1  1/1\n")
    listed = await hand.use(tools["kubectl_get"], kind="pods", namespace="shop", selector="app=web,tier!=db")
    assert listed == "NAME   READY\nweb-1  1/1\n"
    [call] = kubectl.calls
    assert call["argv"] == [
        f"--kubeconfig={settings.kubeconfig}",
        "--context=test",
        "--request-timeout=30s",
        "get",
        "pods",
        "--output=wide",
        "--namespace=shop",
        "--selector=app=web,tier!=db",
    ]
    call["env"].pop("LC_CTYPE", None)  # Python sets it for itself
    assert call["env"] == {"PATH": settings.path, "HOME": str(settings.home), "LANG": "C.UTF-8"}


async def test_one_object_comes_whole_without_values_of_variables(
    hand: Hand, tools: dict[str, Tool[Any]], kubectl: Recorder
) -> None:
    variables = [{"name": "PASSWORD", "value": "s3cr3t"}, {"name": "HOST", "valueFrom": {"fieldRef": {}}}]
    found = {
        "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "s3cr3t", "a": "b"}},
        "spec": {"template": {"spec": {"containers": [{"env": variables}]}}},
    }
    kubectl.says("get", stdout=json.dumps(found))
    shown = await hand.use(tools["kubectl_get"], kind="deployments", name="web", namespace="shop")
    assert "s3cr3t" not in json.dumps(shown) and shown["metadata"]["annotations"] == {"a": "b"}
    assert shown["spec"]["template"]["spec"]["containers"][0]["env"][0] == {"name": "PASSWORD", "value": "(hidden)"}


async def test_logs_are_cut_to_beginning_and_end(hand: Hand, tools: dict[str, Tool[Any]], kubectl: Recorder) -> None:
    kubectl.says("logs", stdout="".join(f"line {n}\n" for n in range(20_000)))
    log = await hand.use(
        tools["kubectl_logs"], pod="web-1", namespace="shop", container="app", lines=2000, since_s=60, previous=True
    )
    assert log.startswith("line 0\n") and log.endswith("line 19999\n") and len(log) < 15_000
    assert kubectl.calls[0]["argv"][3:] == [
        *("logs", "web-1", "--namespace=shop", "--tail=2000", "--limit-bytes=280000", "--timestamps"),
        *("--container=app", "--since=60s", "--previous"),
    ]


async def test_apply_sends_the_manifest_and_names_its_objects(
    hand: Hand, tools: dict[str, Tool[Any]], kubectl: Recorder
) -> None:
    kubectl.says("apply", stdout="deployment.apps/web configured\n")
    done = await hand.use(tools["kubectl_apply"], manifest=MANIFEST, namespace="shop")
    assert done == {"objects": ["Deployment/web"], "output": "deployment.apps/web configured\n"}
    [call] = kubectl.calls
    assert call["argv"][3:] == ["apply", "--filename=-", "--namespace=shop"] and call["stdin"] == MANIFEST


async def test_approvers_see_what_would_change(hand: Hand, tools: dict[str, Tool[Any]], kubectl: Recorder) -> None:
    kubectl.says("diff", stdout="-replicas: 1\n+replicas: 2\n", code=1)
    kubectl.says("get", stdout="3")
    assert "+replicas: 2" in await hand.preview(tools["kubectl_apply"], manifest=MANIFEST, namespace="shop")
    scaled = {"kind": "deployment", "name": "web", "namespace": "shop", "replicas": 5}
    assert "3 → 5 replicas" in await hand.preview(tools["kubectl_scale"], **scaled)
    assert {call["argv"][3] for call in kubectl.calls} == {"diff", "get"}


async def test_scale_says_what_was_before(hand: Hand, tools: dict[str, Tool[Any]], kubectl: Recorder) -> None:
    kubectl.says("get", stdout="3")
    done = await hand.use(tools["kubectl_scale"], kind="statefulset", name="db", namespace="shop", replicas=0)
    assert done == {"scaled": "statefulset/db", "before": 3, "after": 0}
    assert kubectl.calls[1]["argv"][3:] == ["scale", "statefulset/db", "--namespace=shop", "--replicas=0"]


async def test_rollout_restart(hand: Hand, tools: dict[str, Tool[Any]], kubectl: Recorder) -> None:
    kubectl.says("rollout", stdout="restarted\n")
    restart = tools["kubectl_rollout_restart"]
    assert await hand.use(restart, kind="daemonset", name="agent", namespace="shop") == "restarted"
    assert kubectl.calls[0]["argv"][3:] == ["rollout", "restart", "daemonset/agent", "--namespace=shop"]
    assert not restart.repeatable and tools["kubectl_scale"].repeatable


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("kubectl_get", {"kind": "secrets"}),
        ("kubectl_get", {"kind": "pods", "name": "--all-namespaces"}),
        ("kubectl_get", {"kind": "pods", "namespace": "shop --all"}),
        ("kubectl_get", {"kind": "pods", "selector": "app=web --kubeconfig=x"}),
        ("kubectl_get", {"kind": "pods", "name": "a/b"}),
        ("kubectl_get", {"kind": "pods", "output": "yaml"}),
        ("kubectl_logs", {"pod": "-f"}),
        ("kubectl_logs", {"pod": "web\n"}),
        ("kubectl_scale", {"kind": "node", "name": "a", "namespace": "shop", "replicas": 1}),
        ("kubectl_scale", {"kind": "deployment", "name": "--all", "namespace": "shop", "replicas": 1}),
        ("docker_logs", {"container": "--follow"}),
        ("docker_restart", {"container": "a b"}),
        ("docker_restart", {"container": "a", "grace_s": 10_000}),
    ],
)
def test_arguments_never_become_options(tools: dict[str, Tool[Any]], tool: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        tools[tool].arguments.model_validate(arguments)


def test_namespaces_are_those_of_the_operator(hand: Hand, tools: dict[str, Tool[Any]]) -> None:
    with pytest.raises(NotAllowed, match="may not see"):
        hand.touches(tools["kubectl_get"], kind="pods", namespace="other")
    with pytest.raises(NotAllowed, match="may not see"):
        hand.touches(tools["kubectl_logs"], pod="a", namespace="other")
    with pytest.raises(NotAllowed, match="may not change"):
        hand.touches(tools["kubectl_apply"], manifest=MANIFEST, namespace="kube-system")
    assert hand.touches(tools["kubectl_get"], kind="pods", namespace="kube-system").argv
    assert hand.touches(tools["kubectl_get"], kind="nodes").argv == (
        *("kubectl", "get", "nodes", "--output=wide", "--namespace=default"),
    )


@pytest.mark.parametrize(
    ("stderr", "error"),
    [
        ('Error from server (NotFound): pods "web" not found', NotFound),
        ("Error from server (Forbidden): pods is forbidden", NotAllowed),
        ("The connection to the server 10.0.0.1 was refused", EngineUnavailable),
        ("net/http: request canceled (Client.Timeout exceeded)", TimedOut),
        ("something else", EngineFailed),
    ],
)
async def test_faults_of_kubectl_are_told(
    hand: Hand, tools: dict[str, Tool[Any]], kubectl: Recorder, stderr: str, error: type[Exception]
) -> None:
    kubectl.says(stderr=stderr, code=1)
    with pytest.raises(error, match="kubectl: "):
        await hand.use(tools["kubectl_get"], kind="pods", namespace="shop")


async def test_containers_are_listed_read_and_restarted(
    hand: Hand, tools: dict[str, Tool[Any]], docker: Recorder, settings: Clusters
) -> None:
    row = {"ID": "abc", "Names": "web", "State": "running", "Labels": "secret=1", "Mounts": ""}
    docker.says("ps", stdout=f"{json.dumps(row)}\n")
    assert await hand.use(tools["docker_ps"], stopped=True) == [{"ID": "abc", "Names": "web", "State": "running"}]
    docker.says("logs", stdout="out\n", stderr="err\n")
    assert await hand.use(tools["docker_logs"], container="web", since_s=5) == {"stdout": "out\n", "stderr": "err\n"}
    found = [{"Config": {"Env": ["PASSWORD=s3cr3t", "A=b"]}, "State": {"Status": "running"}}]
    docker.says("inspect", stdout=json.dumps(found))
    shown = await hand.use(tools["docker_inspect"], container="web")
    assert shown["Config"]["Env"] == ["PASSWORD=(hidden)", "A=(hidden)"]
    assert await hand.use(tools["docker_restart"], container="web") == "restarted web"
    assert [call["argv"] for call in docker.calls] == [
        ["ps", "--no-trunc", "--format={{json .}}", "--all"],
        ["logs", "--timestamps", "--tail=100", "--since=5s", "web"],
        ["inspect", "--type=container", "web"],
        ["restart", "-t=10", "web"],
    ]
    assert docker.calls[0]["env"]["DOCKER_HOST"] == settings.docker_host
    assert hand.touches(tools["docker_restart"], container="web").argv == ("docker", "restart", "-t=10", "web")


@pytest.mark.parametrize(
    ("stderr", "error"),
    [
        ("Error response from daemon: No such container: web", NotFound),
        ("permission denied while trying to connect", NotAllowed),
        ("Cannot connect to the Docker daemon", EngineUnavailable),
        ("else", EngineFailed),
    ],
)
async def test_faults_of_docker_are_told(
    hand: Hand, tools: dict[str, Tool[Any]], docker: Recorder, stderr: str, error: type[Exception]
) -> None:
    docker.says(stderr=stderr, code=1)
    for tool in ("docker_logs", "docker_inspect"):
        with pytest.raises(error, match="docker: "):
            await hand.use(tools[tool], container="web")


def test_what_is_not_there_is_not_offered(bin_folder: Path, settings: Clusters, tmp_path: Path) -> None:
    assert clusters.tools(settings) == ()
    assert clusters.absent(settings) == {"kubectl": "kubectl is not installed", "docker": "docker is not installed"}
    Recorder(bin_folder, "kubectl")
    Recorder(bin_folder, "docker")
    assert clusters.absent(settings) == {}
    bare = settings.model_copy(update={"kubeconfig": None, "docker_host": f"unix://{tmp_path}/none.sock"})
    assert clusters.tools(bare) == ()
    assert "kubeconfig" in clusters.absent(bare)["kubectl"] and "daemon" in clusters.absent(bare)["docker"]


async def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    script = tmp_path / "hang"
    script.write_text(f"#!/bin/sh\nsleep 1000 & echo $! > {tmp_path}/child\nwait\n")
    script.chmod(0o755)
    with pytest.raises(TimedOut):
        await run_program([str(script)], env={"PATH": os.defpath}, timeout_s=1)
    child = int((tmp_path / "child").read_text())
    await eventually(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


async def test_a_program_that_cannot_start_is_told(tmp_path: Path) -> None:
    (tmp_path / "broken").write_text("#!/no/such/interpreter\n")
    (tmp_path / "broken").chmod(0o755)
    with pytest.raises(EngineFailed, match="broken cannot be started"):
        await run_program([str(tmp_path / "broken")], env={}, timeout_s=5)
