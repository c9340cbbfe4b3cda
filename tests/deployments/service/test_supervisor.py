"""The supervisor on small parts of real processes: order, restarts, ends, and what a kill -9 leaves."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from blocks.errors import EngineUnavailable
from deployments.service import part as part_module
from deployments.service import supervisor as supervisor_module
from deployments.service.part import Part
from deployments.service.part_log import PartLog
from deployments.service.supervisor import Supervisor
from tests.processes import eventually, free_port

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1"}
STAY = "import signal; print('up', flush=True); signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + STAY
DEADLINE_S = 60


def part(name: str, code: str, **fields: object) -> Part:
    given = {"ready_text": "up", "ready_within_s": DEADLINE_S} | fields
    return Part(name=name, command=(sys.executable, "-c", code), environment=ENVIRONMENT, **given)  # type: ignore[arg-type]


class Running:
    """A supervisor with what it has said."""

    def __init__(self, folder: Path, *stages: list[Part]) -> None:
        self.said: list[str] = []
        self.folder = folder
        self.stop = asyncio.Event()
        self.started = asyncio.Event()
        self.supervisor = Supervisor([*stages, self.tell], folder, self.said.append)

    async def tell(self) -> None:
        self.started.set()

    async def run(self, then: Callable[[], Awaitable[None]]) -> None:
        running = asyncio.create_task(self.supervisor.run(self.stop))
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.wait([running, asyncio.create_task(self.started.wait())], return_when=asyncio.FIRST_COMPLETED)
            try:
                if self.started.is_set():
                    await then()
            finally:
                self.stop.set()
                await running

    def heard(self, text: str) -> int:
        return sum(text in line for line in self.said)


def child(code: str) -> psutil.Process | None:
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if code in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                return process
    return None


async def test_parts_start_in_order_and_stop_in_reverse(tmp_path: Path) -> None:
    first, work, second = STAY + "#1", "print('worked')", STAY + "#2"
    service = Running(tmp_path, [part("first", first)], [part("work", work, once=True)], [part("second", second)])

    async def look() -> None:
        assert child(first) and child(second)

    await service.run(look)
    assert [line.split(" after")[0] for line in service.said] == [
        "first: ready",
        "work: done",
        "second: ready",
        "second: stopped",
        "first: stopped",
    ]
    assert not child(first) and not child(second)
    assert (tmp_path / "work.log").read_text() == "worked\n"


async def test_a_killed_part_is_started_again(tmp_path: Path) -> None:
    code = STAY + "#killed"
    service = Running(tmp_path, [part("worker", code)])

    async def kill() -> None:
        before = child(code)
        assert before
        before.kill()
        await eventually(lambda: (now := child(code)) and now.pid != before.pid, DEADLINE_S)

    await service.run(kill)
    assert service.heard("worker: was killed by SIGKILL, starts again in 0.5 s") == 1


async def test_a_part_that_cannot_be_started_for_a_while_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "FIRST_PAUSE_S", 0.05)
    program = tmp_path / "program"
    program.symlink_to(sys.executable)
    code = STAY + "#away"
    command = (str(program), "-c", code)
    service = Running(tmp_path, [Part(name="worker", command=command, environment=ENVIRONMENT)])

    async def take_away() -> None:
        program.unlink()
        before = child(code)
        assert before
        before.kill()
        await eventually(lambda: service.heard("worker: cannot be started") >= 2, DEADLINE_S)
        program.symlink_to(sys.executable)
        await eventually(lambda: child(code), DEADLINE_S)

    await service.run(take_away)


async def test_a_service_whose_supervision_breaks_ends_with_an_error(tmp_path: Path) -> None:
    code = STAY + "#broken"

    ready = asyncio.Event()

    def say(line: str) -> None:
        if "starts again" in line:
            raise BrokenPipeError
        ready.set()

    supervisor = Supervisor([[part("worker", code)]], tmp_path, say)
    running = asyncio.create_task(supervisor.run(asyncio.Event()))
    async with asyncio.timeout(DEADLINE_S):
        await ready.wait()
        found = child(code)
        assert found
        found.kill()
        with pytest.raises(EngineUnavailable, match="worker is not looked after"):
            await running


def test_a_full_disk_costs_only_the_text() -> None:
    log = PartLog(Path("/dev/full"))
    log.write(b"one\n")
    log.write(b"two\n")
    assert log.last_line == "two"
    log.close()


async def test_the_pauses_between_restarts_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "FIRST_PAUSE_S", 0.01)
    code = "import signal; signal.signal(signal.SIGTERM, lambda *_: exit(3));" + STAY
    service = Running(tmp_path, [part("worker", code)])

    async def end_it_again_and_again() -> None:
        for deaths in range(1, 5):
            await eventually(lambda: child(code), DEADLINE_S)
            found = child(code)
            assert found
            found.terminate()
            await eventually(lambda deaths=deaths: service.heard("starts again") == deaths, DEADLINE_S)

    await service.run(end_it_again_and_again)
    pauses = [float(line.split("again in ")[1].split()[0]) for line in service.said if "starts again" in line]
    assert pauses[:4] == [0.01, 0.02, 0.04, 0.08]
    assert service.heard("ended with exit status 3")


async def test_a_part_that_does_not_start_stops_the_others_and_says_why(tmp_path: Path) -> None:
    service = Running(
        tmp_path, [part("server", STAY + "#other")], [part("gateway", "raise SystemExit('API_HOST is wrong')")]
    )
    with pytest.raises(EngineUnavailable, match="gateway did not start: API_HOST is wrong") as failed:
        await service.run(lambda: asyncio.sleep(0))
    assert str(tmp_path / "gateway.log") in failed.value.fix
    assert not service.started.is_set()
    assert not child(STAY + "#other")


async def test_a_part_that_ignores_the_polite_end_is_killed(tmp_path: Path) -> None:
    service = Running(tmp_path, [part("worker", STUBBORN, grace_s=0.2)])
    await service.run(lambda: asyncio.sleep(0))
    assert service.said[-1] == "worker: killed"
    assert not child(STUBBORN)


async def test_what_a_part_started_ends_with_it(tmp_path: Path) -> None:
    grandchild = STAY + "#grandchild"
    code = f"import signal, subprocess, sys; subprocess.Popen([sys.executable, '-c', {grandchild!r}]); signal.pause()"
    service = Running(tmp_path, [part("worker", code)])

    async def kill() -> None:
        parent = child(code)
        found = child(grandchild)
        assert parent and found
        parent.kill()
        await eventually(lambda: not found.is_running() or found.status() == psutil.STATUS_ZOMBIE, DEADLINE_S)

    await service.run(kill)


async def test_a_part_that_hangs_is_killed_and_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(supervisor_module, "SILENT_S", 1.0)
    port = free_port()
    monkeypatch.setattr(part_module, "ANSWER_S", 0.5)
    code = f"from http.server import *; HTTPServer(('127.0.0.1', {port}), SimpleHTTPRequestHandler).serve_forever()"
    service = Running(tmp_path, [part("server", code, ready_text=None, health_url=f"http://127.0.0.1:{port}/")])

    async def hang() -> None:
        before = child(code)
        assert before
        before.send_signal(signal.SIGSTOP)
        await eventually(lambda: (now := child(code)) and now.pid != before.pid, DEADLINE_S)

    await service.run(hang)
    assert service.heard("server: does not answer, is killed") == 1


async def test_stopping_during_the_start_leaves_nothing(tmp_path: Path) -> None:
    slow = "import signal; signal.pause()"
    service = Running(tmp_path, [part("slow", slow)])
    running = asyncio.create_task(service.supervisor.run(service.stop))
    async with asyncio.timeout(DEADLINE_S):
        await eventually(lambda: child(slow), DEADLINE_S)
        service.stop.set()
        await running
    assert not child(slow)


SUPERVISE = """
import asyncio, sys
from pathlib import Path
from deployments.service.part import Part
from deployments.service.supervisor import Supervisor
part = Part(name="worker", command=(sys.executable, "-c", sys.argv[1]), environment={}, ready_text="up")
async def started(): print("started", flush=True)
async def main(): await Supervisor([[part], started], Path(sys.argv[2]), print).run(asyncio.Event())
asyncio.run(main())
"""


def test_the_parts_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    arguments = [sys.executable, "-uc", SUPERVISE, STAY, str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout
        while "started" not in supervisor.stdout.readline():
            assert supervisor.poll() is None
        parts = psutil.Process(supervisor.pid).children()
        assert len(parts) == 1
        supervisor.kill()
    _, alive = psutil.wait_procs(parts, timeout=DEADLINE_S)
    assert not alive


def test_a_log_keeps_three_predecessors_of_limited_size(tmp_path: Path) -> None:
    log = PartLog(tmp_path / "logs" / "server.log", largest_bytes=100)
    for number in range(50):
        log.write(f"line {number:4}\n".encode())
    log.close()
    files = sorted((tmp_path / "logs").iterdir())
    assert [file.name for file in files] == ["server.log", "server.log.1", "server.log.2", "server.log.3"]
    assert all(file.stat().st_size <= 100 for file in files)
    assert files[0].read_text().endswith("line   49\n")
    assert log.last_line == "line   49"
