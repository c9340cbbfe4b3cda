"""Hosts over a real sshd."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import BadInput, EngineUnavailable, NotAllowed, NotFound, TooLarge
from blocks.hosts import HostUnreachable, open_host, read_inventory
from blocks.hosts.inventory import Machine
from blocks.settings import settings
from tests.fakes.sshd import Sshd, running_sshd
from tests.processes import eventually


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def machine(sshd: Sshd, tmp_path: Path) -> Machine:
    path = tmp_path / "inventory.yaml"
    path.write_text("hosts:\n" + sshd.entry("web-1"))
    return read_inventory(path).machines["web-1"]


async def test_words_arrive_as_they_are(machine: Machine) -> None:
    words = ["a b", "$(touch /tmp/never)", "*", "'\"`;\n|", "--", ""]
    async with open_host(machine) as host:
        done = await host.run(["printf", "%s|", *words], env={"MORE": "1 2"})
        assert done.stdout == "|".join(words) + "|"
        assert (await host.run(["sh", "-c", 'echo "$MORE"'], env={"MORE": "1 '2"})).stdout == "1 '2\n"
        assert (await host.run(["pwd"], cwd="/tmp")).stdout == "/tmp\n"
        assert (await host.run(["cat"], stdin=b"from here")).stdout == "from here"
        assert (await host.run(["sh", "-c", "exit 3"])).exit_code == 3
        assert (await host.run(["no-such-program-here"])).exit_code == 127


async def test_what_takes_too_long_is_killed_over_there(machine: Machine, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    async with open_host(machine) as host:
        done = await host.run(["sh", "-c", f"echo $$ > {pid}; exec sleep 600"], timeout_s=0.5)
    assert done.timed_out and not done.ok
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


async def test_cancelled_commands_are_killed_over_there(machine: Machine, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    async with open_host(machine) as host:
        running = asyncio.create_task(host.run(["sh", "-c", f"echo $$ > {pid}; exec sleep 30"]))
        await eventually(lambda: pid.exists() and pid.read_text())
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await eventually(lambda: not Path(f"/proc/{pid.read_text().strip()}").exists())
        assert (await host.run(["echo", "still there"])).stdout == "still there\n"


async def test_files(machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "a b.conf"
    async with open_host(machine) as host:
        await host.write_file(str(path), b"\x00\xff", mode=0o600)
        assert await host.read_file(str(path)) == b"\x00\xff" and path.stat().st_mode & 0o777 == 0o600
        assert [one.name for one in tmp_path.glob("*.conf*")] == ["a b.conf"]
        with pytest.raises(NotFound):
            await host.read_file(str(tmp_path / "none"))
        with pytest.raises(TooLarge):
            await host.read_file(str(path), most_bytes=1)
        with pytest.raises((NotFound, NotAllowed)):
            await host.write_file(str(tmp_path / "none" / "x"), b"")


async def test_variables_do_not_stand_in_the_list_of_processes(machine: Machine) -> None:
    async with open_host(machine) as host:
        shown = ["sh", "-c", 'tr "\\0" " " < /proc/$PPID/cmdline; cat /proc/$$/cmdline; printenv TOKEN']
        done = await host.run(shown, env={"TOKEN": "s3cr3t 'x'\n$(id)"})
    assert done.stdout.startswith("timeout ") and done.stdout.count("s3cr3t") == 1
    assert done.stdout.endswith("s3cr3t 'x'\n$(id)\n")


async def test_a_file_is_on_the_disk_before_it_has_its_name(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asyncssh.sftp import SFTPClient, SFTPClientFile

    called: list[str] = []

    def note(owner: type, name: str) -> None:
        real = getattr(owner, name)

        async def noted(*given: Any) -> Any:
            called.append(name)
            return await real(*given)

        monkeypatch.setattr(owner, name, noted)

    note(SFTPClientFile, "fsync"), note(SFTPClient, "posix_rename")
    async with open_host(machine) as host:
        await host.write_file(str(tmp_path / "a"), b"x")
    assert called == ["fsync", "posix_rename"] and (tmp_path / "a").read_bytes() == b"x"


async def test_a_host_with_another_key_is_not_trusted(machine: Machine, tmp_path: Path) -> None:
    known = tmp_path / "other_known"
    key = "AAAAC3NzaC1lZDI1NTE5AAAAIGJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJi"
    known.write_text(f"[127.0.0.1]:{machine.port} ssh-ed25519 {key}\n")
    with pytest.raises(HostUnreachable, match="known"):
        async with open_host(machine.model_copy(update={"known_hosts": known})):
            pass


async def test_who_may_not_enter_is_told(machine: Machine, tmp_path: Path) -> None:
    import asyncssh

    other = tmp_path / "other_key"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(other))
    with pytest.raises(HostUnreachable, match="let us in"):
        async with open_host(machine.model_copy(update={"key": other})):
            pass
    with pytest.raises(HostUnreachable, match="web-1"):
        async with open_host(machine.model_copy(update={"port": 1})):
            pass


async def test_a_connection_that_breaks_in_the_middle_leaves_doubt(tmp_path: Path) -> None:
    with running_sshd(tmp_path) as server:
        path = tmp_path / "inventory.yaml"
        path.write_text("hosts:\n" + server.entry("web-1"))
        began = tmp_path / "began"
        async with open_host(read_inventory(path).machines["web-1"]) as host:
            parent_of_ours = f"ps -o ppid= -p $PPID > {began}; exec sleep 30"
            running = asyncio.create_task(host.run(["sh", "-c", parent_of_ours]))
            while not began.exists() or not began.read_text():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.01)
            os.kill(int(began.read_text()), signal.SIGKILL)  # the sshd of this connection
            with pytest.raises(EngineUnavailable, match="broke"):
                await running


def test_an_inventory_tells_all_its_faults(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_text("hosts:\n  web-1: {address: 10.0.0.1, prot: 22}\n  WEB: {address: x}\n")
    with pytest.raises(BadInput) as caught:
        read_inventory(path)
    assert len(caught.value.details["problems"]) == 2
    path.write_text("hosts:\n  web-1: {address: 10.0.0.1}\n")
    with pytest.raises(BadInput, match="known_hosts"):
        read_inventory(path)


def test_an_inventory_that_is_asked_for_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    settings.cache_clear()
    assert [one.name for one in read_inventory().chosen(["all"])] == ["local"]
    usual = tmp_path / ".c500/inventory.yaml"
    usual.parent.mkdir()
    usual.symlink_to(tmp_path / "gone.yaml")
    with pytest.raises(NotFound, match=r"inventory\.yaml"):
        read_inventory()
    monkeypatch.setenv("INVENTORY_FILE", str(tmp_path / "inventroy.yaml"))
    settings.cache_clear()
    with pytest.raises(NotFound, match="inventroy") as caught:
        read_inventory()
    assert "INVENTORY_FILE" in caught.value.fix
    (tmp_path / "inventroy.yaml").mkdir()
    with pytest.raises(BadInput, match="it is a folder"):
        read_inventory()


def test_hosts_are_chosen_by_name_and_group(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_text(
        "known_hosts: known\nhosts:\n  web-1: {address: a, groups: [web]}\n"
        "  web-2: {address: b, groups: [web, eu]}\n  here: {groups: [eu]}\n"
    )
    inventory = read_inventory(path)
    assert [one.name for one in inventory.chosen(["web", "web-1"])] == ["web-1", "web-2"]
    assert [one.name for one in inventory.chosen(["eu"])] == ["web-2", "here"]
    assert len(inventory.chosen(["all"])) == 3
    with pytest.raises(NotFound, match="db"):
        inventory.chosen(["db"])


def test_local_is_this_machine_in_every_inventory_by_whatever_name(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_text("known_hosts: known\nhosts:\n  web-1: {address: a}\n  here: {groups: [eu]}\n")
    inventory = read_inventory(path)
    [here] = inventory.chosen(["local"])
    assert here.name == "here" and here.is_local
    assert [one.name for one in inventory.chosen(["local", "here", "eu"])] == ["here"]
    path.write_text("known_hosts: known\nhosts:\n  web-1: {address: a}\n")
    inventory = read_inventory(path)
    assert [(one.name, one.is_local) for one in inventory.chosen(["local", "web-1"])] == [
        ("web-1", False),
        ("local", True),
    ]
    assert [one.name for one in inventory.chosen(["all"])] == ["web-1"]


@pytest.mark.parametrize("host", ["local: {address: 10.0.0.1}", "web-1: {address: 10.0.0.1, groups: [local]}"])
def test_an_inventory_that_calls_another_host_local_is_refused(tmp_path: Path, host: str) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_text(f"known_hosts: known\nhosts:\n  {host}\n")
    with pytest.raises(BadInput, match="local always means this machine") as caught:
        read_inventory(path)
    assert caught.value.details["line"] == 3
