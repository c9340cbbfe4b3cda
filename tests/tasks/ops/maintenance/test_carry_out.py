"""Order, windows, failures, several hosts, commands that are taken back, rotation and pruning."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import BadInput, Stopped
from blocks.hosts.inventory import Inventory, Machine
from blocks.settings import settings
from blocks.switches import FOLDER, Switch, open_switches
from tasks.ops.maintenance.plan import read_plan
from tasks.ops.maintenance.result import MaintenanceReport, TaskResult, TaskStatus, summary_text
from tests.fakes.recording_program import Recorder
from tests.tasks.ops.maintenance.conftest import Maintain


def command(name: str, *argv: str, **facts: Any) -> dict[str, Any]:
    return {"name": name, "kind": "command", "argv": list(argv)} | facts


HOSTS = Inventory([Machine(name=f"web-{number}") for number in range(4)])


async def test_what_comes_after_waits_for_what_went_well(maintain: Maintain, tmp_path: Path) -> None:
    results = await maintain(
        command("one", "false"),
        command("two", "touch", str(tmp_path / "two"), after=["one"]),
        command("three", "touch", str(tmp_path / "three"), after=["two"]),
        command("four", "echo", "done"),
    )
    assert [one.status for one in results] == ["failed", "skipped", "skipped", "changed"]
    assert not (tmp_path / "two").exists() and not (tmp_path / "three").exists()


async def test_after_a_failure_no_other_host_is_touched(maintain: Maintain, tmp_path: Path) -> None:
    task = command("break", "sh", "-c", f"echo x >> {tmp_path}/times; exit 1", parallel=1)
    results = await maintain(task, inventory=HOSTS)
    assert [one.status for one in results] == ["failed", "skipped", "skipped", "skipped"]
    assert (tmp_path / "times").read_text() == "x\n"


async def test_outside_of_its_window_nothing_begins(maintain: Maintain, tmp_path: Path) -> None:
    never = [{"zone": "UTC", "first": "2000-01-01", "last": "2000-01-02"}]
    always = [{"zone": "UTC"}]
    results = await maintain(
        command("never", "touch", str(tmp_path / "x"), window="never"),
        command("now", "echo", "hello", window="always"),
        windows={"never": never, "always": always},
    )
    assert [(one.status, one.summary) for one in results] == [
        ("skipped", "it is outside of the window never now"),
        ("changed", "hello"),
    ]


async def test_a_command_is_taken_back_when_the_check_fails(maintain: Maintain, tmp_path: Path) -> None:
    path = tmp_path / "flag"
    task = command("flag", "touch", str(path), check=["false"], undo=["rm", str(path)])
    (result,) = await maintain(task)
    assert result.status == "failed" and result.summary.endswith("it was taken back") and not path.exists()


async def test_a_second_attempt_repeats_nothing(maintain: Maintain, tmp_path: Path) -> None:
    task = command("count", "sh", "-c", f"echo x >> {tmp_path}/times")
    for _ in range(2):
        (result,) = await maintain(task)
        assert result.status == "changed"
    assert (tmp_path / "times").read_text() == "x\n"


async def test_risk_and_approval_decide_who_is_asked(maintain: Maintain, tmp_path: Path) -> None:
    risky = command("risky", "touch", str(tmp_path / "x"), risk="high")
    asked = command("asked", "touch", str(tmp_path / "x"), approval="one")
    results = await maintain(risky, asked)
    assert [one.status for one in results] == ["refused", "refused"] and not (tmp_path / "x").exists()


async def test_a_dry_run_changes_nothing_but_looks(maintain: Maintain, tmp_path: Path) -> None:
    results = await maintain(
        command("change", "touch", str(tmp_path / "x")), command("look", "echo", "seen", changes=False), dry_run=True
    )
    assert [one.status for one in results] == ["planned", "ok"] and not (tmp_path / "x").exists()


async def test_a_host_that_cannot_be_reached_fails_alone(maintain: Maintain, tmp_path: Path) -> None:
    known = tmp_path / "known"
    known.touch()
    away = Machine(name="away", address="127.0.0.1", port=1, known_hosts=known)
    inventory = Inventory([away, Machine(name="here")])
    results = await maintain(command("look", "echo", "x", stop_after_failures=2), inventory=inventory)
    assert [(one.host, one.status) for one in results] == [("away", "failed"), ("here", "changed")]
    assert "cannot be reached" in results[0].summary


async def test_logs_are_rotated(maintain: Maintain, tmp_path: Path) -> None:
    logs = tmp_path / "log"
    logs.mkdir(mode=0o755)
    (logs / "a.log").write_text("line\n" * 1000)
    config = tmp_path / "rotate.conf"
    config.write_text(f"{logs}/*.log {{\n  su root root\n  rotate 3\n  size 1k\n}}\n")
    config.chmod(0o644)
    task = {"name": "rotate", "kind": "log_rotation", "config": str(config), "state": str(tmp_path / "state")}
    (result,) = await maintain(task | {"measure": str(logs)})
    assert result.status == "ok" and (logs / "a.log.1").exists(), result
    config.write_text("{{{ broken")
    (broken,) = await maintain(task | {"measure": str(logs)}, run_id="run-2")
    assert broken.status == "failed"


async def test_docker_is_pruned_of_what_the_plan_names(
    maintain: Maintain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker = Recorder(tmp_path, "docker")
    docker.says("prune", stdout="deleted: sha256:1\nTotal reclaimed space: 1.2GB\n")
    monkeypatch.setattr("blocks.hosts.local.PATH", f"{tmp_path}:/usr/bin:/bin")
    task = {"name": "prune", "kind": "docker_prune", "what": ["image", "volume"]}
    (result,) = await maintain(task)
    assert result.status == "refused", result  # volumes are gone for good: nobody agreed
    (result,) = await maintain(task | {"what": ["container", "image"]}, run_id="run-2")
    assert result.status == "changed" and "image: 1.2GB" in result.summary
    assert ["image", "prune", "--force", "--all", "--filter", "until=168h"] in [one["argv"] for one in docker.calls]
    assert not any("volume" in one["argv"] for one in docker.calls)


def test_a_plan_tells_all_its_faults(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(
        "tasks:\n"
        "  - {name: one, kind: command, argv: [true], window: nigth}\n"
        "  - {name: one, kind: command, argv: ['true'], after: [two]}\n"
    )
    with pytest.raises(BadInput) as caught:
        read_plan(path)
    assert "plan.yaml:2" in caught.value.message
    path.write_text(path.read_text().replace("[true]", "['true']"))
    with pytest.raises(BadInput) as caught:
        read_plan(path)
    assert len(caught.value.details["problems"]) == 3
    path.write_text("tasks:\n  - {name: x, kind: reboot}\n")
    with pytest.raises(BadInput, match="kind"):
        read_plan(path)


async def test_a_stop_cuts_off_no_other_host(maintain: Maintain, tmp_path: Path) -> None:
    """One host stops the run; on another a command is at work, and comes to its end."""
    switches = open_switches("", settings().agents_home / FOLDER)
    waits = f"touch {tmp_path}/$$; while ! test -e {tmp_path}/stopped; do sleep 0.05; done; touch {tmp_path}/whole"

    async def stops() -> None:
        while not list(tmp_path.glob("[0-9]*")):  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.01)
        switches.set(Switch(scope="agent", name="test-flow", by="ann"))
        (tmp_path / "stopped").touch()

    stopping = asyncio.create_task(stops())
    with pytest.raises(Stopped):
        await maintain(command("wait", "sh", "-c", waits), command("next", "true"), inventory=HOSTS)
    await stopping
    switches.clear("agent", "test-flow")
    (again, *_) = await maintain(command("wait", "sh", "-c", waits), inventory=HOSTS)
    assert again.status == "changed" and (tmp_path / "whole").exists()


class StopsAt:
    """Switches that stop what is asked about for the second time."""

    def __init__(self) -> None:
        self.asked, self.at_work = 0, asyncio.Event()

    async def stopped(self, *_: str) -> Switch | None:
        self.asked += 1
        return Switch(scope="all", by="ann") if self.asked > 4 else None


async def test_a_stop_is_told_as_one(maintain: Maintain) -> None:
    with pytest.raises(Stopped):
        await maintain(command("look", "echo", "x"), inventory=HOSTS, switches=StopsAt())


async def test_checks_keep_to_the_rules(maintain: Maintain, tmp_path: Path) -> None:
    forbidden = ["sh", "-c", f"touch {tmp_path}/checked; rm -rf /etc --no-such-option"]
    (result,) = await maintain(command("one", "true", check=forbidden))
    assert result.status == "failed" and not (tmp_path / "checked").exists(), result
    assert "whole trees" in " ".join(result.details)


async def test_a_pruning_is_checked(maintain: Maintain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Recorder(tmp_path, "docker").says("prune", stdout="Total reclaimed space: 1GB\n")
    monkeypatch.setattr("blocks.hosts.local.PATH", f"{tmp_path}:/usr/bin:/bin")
    (result,) = await maintain({"name": "prune", "kind": "docker_prune", "what": ["image"], "check": ["false"]})
    assert result.status == "failed" and "check failed" in result.summary


def test_what_commands_say_is_no_markdown() -> None:
    hostile = "![x](http://evil/?q) **b** | [a](b) <img src=x>\n# head"
    now = datetime.now(UTC)
    statuses: tuple[TaskStatus, ...] = ("failed", "ok")
    results = tuple(TaskResult(task="t", host="h", status=one, summary=hostile) for one in statuses)
    report = MaintenanceReport(run_id="r", plan="p", dry_run=False, started_at=now, ended_at=now, results=results)
    lines = [line for line in summary_text(report).splitlines() if "evil" in line]
    assert len(lines) == 2 and not [line for line in summary_text(report).splitlines() if line.startswith("# head")]
    assert all(line.removeprefix("| ✓ ok | t | h | ").removesuffix(" |").strip("`") != line for line in lines)
