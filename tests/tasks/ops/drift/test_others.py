"""Units, users, objects of Kubernetes and resources of Terraform against what is declared of them."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from blocks.hosts.inventory import ONLY_HERE
from blocks.store import open_store
from tasks.ops.drift.correct import corrections_of, take_back
from tasks.ops.drift.kubernetes import differences_in
from tasks.ops.drift.report import DriftReport, headline, report_markdown
from tasks.ops.drift.terraform import resources_in
from tests.fakes.recording_program import Recorder
from tests.tasks.ops.conftest import MakePerformer
from tests.tasks.ops.drift.conftest import Detect, of

WEB = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 3,
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "app",
                        "image": "app:1",
                        "env": [{"name": "DB_PASSWORD", "value": "s3cr3t-new"}],
                        "resources": {"limits": {"cpu": "0.5", "memory": "1024Mi"}},
                    }
                ]
            }
        },
    },
}


RESOURCE = 'resource "terraform_data" "{}" {{ input = "{}" }}\n'


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setattr("blocks.hosts.local.PATH", f"{folder}:/usr/bin:/bin")
    return folder


def shown(load: str = "loaded", active: str = "active", enabled: str = "enabled") -> str:
    return f"LoadState={load}\nActiveState={active}\nUnitFileState={enabled}\n"


async def test_units_are_told_and_put_right(detect: Detect, programs: Path, make_performer: MakePerformer) -> None:
    systemctl = Recorder(programs, "systemctl")
    systemctl.says("show", "good.service", stdout=shown())
    systemctl.says("show", "gone.service", stdout=shown("not-found", "inactive", ""))
    systemctl.says("show", "bad.service", stdout=shown(active="inactive", enabled="disabled"))
    systemctl.says("show", "fixed.service", stdout=shown(enabled="static"))
    wanted = {"enabled": True, "active": True}
    units = [{"name": f"{name}.service", **wanted} for name in ("good", "gone", "bad", "fixed")]
    found = await detect(of(units=units))
    assert [one.state for one in found] == ["same", "missing", "drifted", "drifted"]
    assert [one["argv"][0] for one in systemctl.calls] == ["show"] * 4
    found = await detect(of(units=[one | {"correct": True} for one in units]), run_id="run-2")
    changed = [one["argv"] for one in systemctl.calls if one["argv"][0] != "show"]
    assert changed == [["enable", "--", "bad.service"], ["start", "--", "bad.service"]]
    assert found[2].correction == "failed" and found[2].corrected_why == "it is drifted still"  # as the program says
    assert found[3].correction == "" and found[3].corrected_why
    await take_back(make_performer(run_id="back"), ONLY_HERE, corrections_of(open_store(), "run-2"))
    assert [one["argv"][0] for one in systemctl.calls[-2:]] == ["disable", "stop"]


async def test_without_systemd_units_are_not_known(detect: Detect, programs: Path) -> None:
    systemctl = Recorder(programs, "systemctl")
    systemctl.says("show", stderr="System has not been booted with systemd as init system", code=1)
    (found,) = await detect(of(units=[{"name": "a.service", "active": False}]))
    assert found.state == "unknown" and "booted" in found.why


async def test_users_of_this_machine(detect: Detect) -> None:
    users = [
        {"name": "root", "uid": 0, "home": "/root"},
        {"name": "daemon", "shell": "/bin/zsh", "groups": ["daemon", "wheel"]},
        {"name": "nobody-at-all"},
        {"name": "bin", "state": "absent"},
    ]
    found = await detect(of(users=users))
    assert [one.state for one in found] == ["same", "drifted", "missing", "unexpected"]
    assert {one.field for one in found[1].differences} == {"shell", "groups"}


async def test_users_that_nobody_declared(detect: Detect, programs: Path) -> None:
    getent = Recorder(programs, "getent")
    lines = ("root:x:0:0::/root:/bin/sh", "ann:x:1000:1000::/home/ann:/bin/sh", "eve:x:1001:1001::/home/eve:/bin/sh")
    getent.says("passwd", stdout="\n".join(lines))
    getent.says("passwd", "ann", stdout=lines[1])
    found = await detect(of(users=[{"name": "ann"}], only_users=True))
    assert [(one.name, one.state) for one in found] == [("ann", "same"), ("eve", "unexpected")]


def cluster(tmp_path: Path, *objects: Any, **more: Any) -> Any:
    (tmp_path / "web.yaml").write_text(yaml.safe_dump_all(objects))
    return {"kubernetes": [{"name": "shop", "namespace": "shop", "manifests": ["web.yaml"], **more}]}


def as_there(**spec: Any) -> dict[str, Any]:
    """The deployment as a cluster tells of it, with what it adds by itself."""
    there = json.loads(json.dumps(WEB))
    there["metadata"] |= {"namespace": "shop", "resourceVersion": "7", "uid": "u", "generation": 2}
    container = there["spec"]["template"]["spec"]["containers"][0]
    container |= {"imagePullPolicy": "Always", "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}}
    there["spec"] |= {"strategy": {"type": "RollingUpdate"}, **spec}
    return there | {"status": {"replicas": 3}}


async def test_objects_are_compared_by_what_is_declared(detect: Detect, programs: Path, tmp_path: Path) -> None:
    kubectl = Recorder(programs, "kubectl")
    kubectl.says("get", "Deployment.apps", stdout=json.dumps(as_there()))
    state = cluster(tmp_path, WEB, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}})
    found = await detect(state)
    assert [(one.name, one.state) for one in found] == [
        ("Deployment shop/web", "same"),
        ("Service shop/web", "missing"),
    ]
    kubectl.says("get", "Deployment.apps", stdout=json.dumps(as_there(replicas=5)))
    found = await detect(state, run_id="run-2")
    (difference,) = found[0].differences
    assert (difference.field, difference.declared, difference.actual) == ("spec.replicas", "3", "5")
    assert all(one["argv"][1] == "get" and "-o" in one["argv"] for one in kubectl.calls)


async def test_what_else_is_in_a_namespace_is_told(detect: Detect, programs: Path, tmp_path: Path) -> None:
    kubectl = Recorder(programs, "kubectl")
    kubectl.says("get", "Deployment.apps", stdout=json.dumps(as_there()))
    table = "Deployment web <none>\nDeployment stray <none>\nDeployment made operator\nDeployment default <none>\n"
    kubectl.says("get", "deployments", stdout=table)
    found = await detect(cluster(tmp_path, WEB, only=["deployments"]))
    assert [(one.name, one.state) for one in found[1:]] == [("Deployment shop/stray", "unexpected")]


async def test_an_object_is_put_right_and_taken_back(
    detect: Detect, programs: Path, tmp_path: Path, make_performer: MakePerformer
) -> None:
    kubectl = Recorder(programs, "kubectl")
    kubectl.says("get", "Deployment.apps", stdout=json.dumps(as_there(replicas=5)))
    await detect(cluster(tmp_path, WEB, correct=True))
    (applied,) = [one for one in kubectl.calls if "apply" in one["argv"]]
    assert json.loads(applied["stdin"])["spec"]["replicas"] == 3
    (outcome,) = await take_back(make_performer(run_id="back"), ONLY_HERE, corrections_of(open_store(), "run-1"))
    replaced = json.loads(kubectl.calls[-1]["stdin"])
    assert outcome.status == "done" and kubectl.calls[-1]["argv"][-3:] == ["replace", "-f", "-"]
    assert replaced["spec"]["replicas"] == 5 and "resourceVersion" not in replaced["metadata"]


async def test_secrets_of_a_cluster_do_not_show_and_are_not_put_right(
    detect: Detect, programs: Path, tmp_path: Path
) -> None:
    kubectl = Recorder(programs, "kubectl")
    there = as_there()
    there["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "s3cr3t-old"
    kubectl.says("get", "Deployment.apps", stdout=json.dumps(there))
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}}
    kubectl.says("get", "Secret", stdout=json.dumps(secret | {"data": {"pass": "cGVhcg==", "same": "c2FtZQ=="}}))
    state = cluster(tmp_path, WEB, secret | {"stringData": {"pass": "apple", "same": "same"}}, correct=True)
    found = await detect(state, correct=False)
    text = report_markdown(DriftReport(run_id="r", declared="d", dry_run=False, found=found))
    text += json.dumps([one.model_dump(mode="json") for one in found])
    assert [one.state for one in found] == ["drifted", "drifted"]
    assert [one.field for one in found[1].differences] == ["data.pass"] and not found[1].safe
    for hidden in ("s3cr3t-old", "s3cr3t-new", "cGVhcg", "YXBwbGU", "apple"):
        assert hidden not in text, hidden


async def test_a_cluster_that_does_not_answer_is_not_known(detect: Detect, programs: Path, tmp_path: Path) -> None:
    kubectl = Recorder(programs, "kubectl")
    kubectl.says("get", stderr="The connection to the server was refused", code=1)
    found = await detect(cluster(tmp_path, WEB, only=["deployments"]))
    assert {one.state for one in found} == {"unknown"} and "refused" in found[0].why
    kubectl.says("get", stdout="{not json")
    found = await detect(cluster(tmp_path, WEB), run_id="run-2")
    assert found[0].state == "unknown"
    assert headline(DriftReport(run_id="r", declared="d", dry_run=False, found=found)).startswith("not known")


@pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl")
async def test_real_kubectl_without_a_cluster(detect: Detect, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts: [{name: x, context: {cluster: x}}]\n"
        "clusters: [{name: x, cluster: {server: 'http://127.0.0.1:1'}}]\n"
    )
    (found,) = await detect(cluster(tmp_path, WEB, kubeconfig=str(tmp_path / "config")))
    assert found.state == "unknown" and found.why


def test_fields_that_only_look_different_are_no_drift() -> None:
    declared = {"kind": "X", "spec": {"a": None, "b": [], "list": [1, "x"], "limits": {"cpu": 1}}}
    assert not differences_in(declared, {"kind": "X", "spec": {"list": [1, "x"], "limits": {"cpu": "1000m"}}})
    changed = {"kind": "X", "spec": {"a": 1, "list": [1, "x", 2], "limits": {"cpu": "1001m"}}}
    assert [one.field for one in differences_in(declared, changed)] == ["spec.a", "spec.list", "spec.limits.cpu"]


async def test_a_plan_of_terraform_is_told(detect: Detect, programs: Path, tmp_path: Path) -> None:
    terraform = Recorder(programs, "terraform")
    changes = [
        ("a", ["create"], None, {"x": 1}, {}),
        ("b", ["update"], {"size": 1, "key": "old-k", "id": "i"}, {"size": 2, "key": "new-k"}, {"key": True}),
        ("c", ["delete"], {"x": 1}, None, {}),
        ("d", ["no-op"], {"x": 1}, {"x": 1}, {}),
    ]
    plan = {
        "resource_changes": [
            {
                "address": name,
                "change": {
                    "actions": actions,
                    "before": before,
                    "after": after,
                    "before_sensitive": hidden,
                    "after_sensitive": hidden,
                    "after_unknown": {"id": True},
                },
            }
            for name, actions, before, after, hidden in changes
        ],
        "resource_drift": [{"address": "e", "change": {"actions": ["update"], "before": {"x": 1}, "after": {"x": 2}}}],
    }
    terraform.says("plan", code=2)
    terraform.says("show", stdout=json.dumps(plan))
    found = await detect({"terraform": [{"name": "net", "folder": str(tmp_path)}]})
    assert [(one.name, one.state) for one in found] == [
        ("a", "missing"),
        ("b", "drifted"),
        ("c", "unexpected"),
        ("e", "drifted"),
    ]
    told = {one.field: (one.declared, one.actual) for one in found[1].differences}
    assert told == {"size": ("2", "1"), "key": ("[sensitive]", "[sensitive]")}
    assert (found[3].differences[0].declared, found[3].differences[0].actual) == ("1", "2")
    plan_call = next(one["argv"] for one in terraform.calls if "plan" in one["argv"])
    assert {"-detailed-exitcode", "-json", "-input=false", "-lock=false"} <= {*plan_call}
    assert not Path(next(word for word in plan_call if word.startswith("-out=")).removeprefix("-out=")).parent.exists()


async def test_a_plan_that_fails_is_not_known(detect: Detect, programs: Path, tmp_path: Path) -> None:
    terraform = Recorder(programs, "terraform")
    terraform.says("plan", stdout='{"@level":"error","@message":"Error: no credentials"}\n', code=1)
    state = {"terraform": [{"name": "net", "folder": str(tmp_path)}]}
    (found,) = await detect(state)
    assert found.state == "unknown" and "no credentials" in found.why
    terraform.says("plan", code=0), terraform.says("show", stdout="{}")
    assert [one.state for one in await detect(state, run_id="run-2")] == ["same"]


def test_outputs_that_change_are_told() -> None:
    assert list(resources_in({"output_changes": {"x": {"actions": ["update"]}, "y": {"actions": ["no-op"]}}})) == [
        {"name": "output.x", "state": "drifted", "why": "its value would change"}
    ]


@pytest.fixture
def applied(tmp_path: Path) -> Path:
    """A folder of Terraform that is as it was applied."""
    if not shutil.which("terraform"):
        pytest.skip("no terraform")
    folder = tmp_path / "tf"
    folder.mkdir()
    (folder / "main.tf").write_text(RESOURCE.format("a", "one") + RESOURCE.format("b", "one"))
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CHECKPOINT_DISABLE": "1"}
    for words in (["init", "-input=false"], ["apply", "-auto-approve", "-input=false"]):
        done = subprocess.run(["terraform", *words], cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return folder


async def test_real_terraform(detect: Detect, applied: Path) -> None:
    state = {"terraform": [{"name": "net", "folder": str(applied)}]}
    assert [one.state for one in await detect(state)] == ["same"]
    (applied / "main.tf").write_text(RESOURCE.format("a", "two") + RESOURCE.format("c", "one"))
    found = {one.name: one for one in await detect(state, run_id="run-2")}
    assert {name: one.state for name, one in found.items()} == {
        "terraform_data.a": "drifted",
        "terraform_data.b": "unexpected",
        "terraform_data.c": "missing",
    }
    assert ("input", "two", "one") in [(d.field, d.declared, d.actual) for d in found["terraform_data.a"].differences]
