"""The engine with a supervised `vllm serve`, against a simulator of the command."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from blocks.errors import Conflict, EngineFailed, OutOfMemory, Stopped, TimedOut, Unsupported
from blocks.language.vllm_process import State, look, stop_idle_server
from blocks.language.vllm_server import VllmServerEngine
from blocks.settings import settings
from tests.blocks.language.test_vllm import SCHEMA, asking
from tests.fakes.llm import serve_llm
from tests.fakes.vllm import FakeVllm, build_language_model, install_fake_vllm
from tests.processes import free_port, until


def set_to(monkeypatch: pytest.MonkeyPatch, **values: object) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, str(value))
    settings.cache_clear()


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeVllm]:
    fake = install_fake_vllm(tmp_path, monkeypatch)
    set_to(monkeypatch, VLLM_PORT=free_port(), VLLM_START_TIMEOUT_S=30, VLLM_IDLE_STOP_S=60, LLM_QUANTIZATION="awq")
    yield fake
    for pid in {note["pid"] for note in fake.notes if "served" in note}:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: gone(pid))


@pytest.fixture
def engines(fake: FakeVllm) -> Iterator[Callable[[], VllmServerEngine]]:
    made: list[VllmServerEngine] = []

    def make() -> VllmServerEngine:
        made.append(VllmServerEngine("summarise"))
        return made[-1]

    yield make
    for engine in made:
        engine.stop_server()


Engines = Callable[[], VllmServerEngine]


def servers(fake: FakeVllm) -> list[int]:
    return [note["pid"] for note in fake.notes if "served" in note]


async def test_the_server_is_started_and_asked(engines: Engines, fake: FakeVllm, tmp_path: Path) -> None:
    engine = engines()
    await asyncio.to_thread(engine.load)
    [answer] = await engine.complete([asking("The plan is good.")], SCHEMA)
    assert answer.parsed == {"title": "The plan is good."}
    assert answer.cost_usd == 0
    [options] = fake.noted("options")
    assert options["model_tag"] == str(tmp_path / "model") == options["served_model_name"][0]
    assert (options["host"], options["port"]) == ("127.0.0.1", settings().vllm_port)
    assert (options["max_model_len"], options["gpu_memory_utilization"], options["quantization"]) == (1000, 0.9, "awq")
    assert (options["generation_config"], fake.noted("visible")) == ("vllm", ["0"])
    [body] = fake.noted("body")
    assert (body["temperature"], body["max_tokens"]) == (0, 200)
    assert body["chat_template_kwargs"] == {"enable_thinking": False}


async def test_a_wrong_answer_is_repaired(engines: Engines, fake: FakeVllm) -> None:
    fake.behaves(answers="wrong_once")
    [answer] = await engines().complete([asking("The plan is good.")], SCHEMA)
    assert answer.problems == ()
    assert len(fake.noted("body")) == 2


def test_unloading_leaves_the_server_for_the_next_one(engines: Engines, fake: FakeVllm) -> None:
    first, second = engines(), engines()
    first.load()
    first.unload()
    second.load()
    second.unload()
    [pid] = servers(fake)
    assert not gone(pid)
    second.stop_server()  # it did not start it
    assert not gone(pid)
    first.stop_server()
    assert gone(pid)


def test_without_an_idle_time_unloading_stops_the_server(
    engines: Engines, fake: FakeVllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_to(monkeypatch, VLLM_IDLE_STOP_S=0)
    engine = engines()
    for loads in (1, 2):
        engine.load()
        engine.unload()
        assert len(servers(fake)) == loads
        assert all(gone(pid) for pid in servers(fake))


def test_two_that_start_at_the_same_time_share_one_server(engines: Engines, fake: FakeVllm, tmp_path: Path) -> None:
    fake.behaves(health_gate=str(tmp_path / "healthy"))
    with ThreadPoolExecutor() as pool:
        loads = [pool.submit(engines().load) for _ in range(4)]
        until(lambda: servers(fake))
        (tmp_path / "healthy").touch()
        for load in loads:
            load.result(timeout=30)
    assert len(servers(fake)) == 1


def test_the_server_outlives_the_process_that_started_it(engines: Engines, fake: FakeVllm) -> None:
    code = "from blocks.language.vllm_server import VllmServerEngine as E; E('summarise').load()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    [pid] = servers(fake)
    assert not gone(pid)
    engines().load()
    assert servers(fake) == [pid]


def test_without_an_idle_time_the_server_ends_with_the_process_that_started_it(
    fake: FakeVllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_to(monkeypatch, VLLM_IDLE_STOP_S=0)
    code = (
        "import os, signal; from blocks.language.vllm_server import VllmServerEngine as E\n"
        "E('summarise').load(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], timeout=60)
    [pid] = servers(fake)
    until(lambda: gone(pid))


def test_an_idle_server_is_stopped_and_a_busy_one_is_not(
    engines: Engines, fake: FakeVllm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_to(monkeypatch, VLLM_IDLE_STOP_S=0.5)
    busy = tmp_path / "busy"
    busy.touch()
    fake.behaves(busy=str(busy))
    engines().load()
    [pid] = servers(fake)
    with pytest.raises(psutil.TimeoutExpired):
        psutil.Process(pid).wait(1.5)  # three idle times
    busy.unlink()
    until(lambda: gone(pid))
    until(lambda: look(f"http://127.0.0.1:{settings().vllm_port}", "any")[0] is State.ABSENT)


def test_an_idle_server_makes_room_and_a_busy_one_does_not(engines: Engines, fake: FakeVllm, tmp_path: Path) -> None:
    assert not stop_idle_server()
    busy = tmp_path / "busy"
    busy.touch()
    fake.behaves(busy=str(busy))
    engines().load()
    [pid] = servers(fake)
    assert not stop_idle_server()
    assert not gone(pid)
    busy.unlink()
    assert stop_idle_server()
    assert gone(pid)
    assert look(f"http://127.0.0.1:{settings().vllm_port}", "any")[0] is State.ABSENT


async def test_a_server_that_stopped_is_started_again_by_the_next_request(engines: Engines, fake: FakeVllm) -> None:
    engine = engines()
    engine.load()
    engine.stop_server()
    [answer] = await engine.complete([asking("One.")], SCHEMA)
    assert answer.parsed
    assert len(servers(fake)) == 2


def test_killing_the_supervisor_ends_the_server(engines: Engines, fake: FakeVllm) -> None:
    engine = engines()
    engine.load()
    supervisor = engine._server.supervisor
    assert supervisor is not None
    supervisor.kill()
    [pid] = servers(fake)
    until(lambda: gone(pid))


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (
            "INFO non-default args: {'quantization': 'awq'}\nValueError: no such weights: model.safetensors",
            EngineFailed,
        ),
        ("torch.OutOfMemoryError: CUDA out of memory.\nRuntimeError: Engine core failed. See root cause", OutOfMemory),
        ("ValueError: The quantization method awq is not supported for the current GPU.\n", Unsupported),
    ],
)
def test_a_server_that_dies_while_starting_is_noticed_at_once(
    engines: Engines, fake: FakeVllm, said: str, kind: type[Exception]
) -> None:
    fake.behaves(die=said)
    with pytest.raises((EngineFailed, Unsupported)) as caught:
        engines().load()
    assert type(caught.value) is kind
    assert said.splitlines()[-1][:40] in caught.value.message
    assert said.splitlines()[0] in caught.value.details["printed"]
    assert len(servers(fake)) == 1


def test_a_server_that_takes_too_long_is_stopped(
    engines: Engines, fake: FakeVllm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_to(monkeypatch, VLLM_START_TIMEOUT_S=3)
    fake.behaves(health_gate=str(tmp_path / "never"))
    with pytest.raises(TimedOut) as caught:
        engines().load()
    assert "VLLM_START_TIMEOUT_S" in caught.value.fix
    assert all(gone(pid) for pid in servers(fake))


def test_unloading_ends_the_waiting(engines: Engines, fake: FakeVllm, tmp_path: Path) -> None:
    fake.behaves(health_gate=str(tmp_path / "never"))
    engine = engines()
    with ThreadPoolExecutor() as pool:
        loading = pool.submit(engine.load)
        until(lambda: servers(fake))
        engine.unload()
        with pytest.raises(Stopped):
            loading.result(timeout=10)


def test_another_model_at_the_port_is_a_conflict(
    engines: Engines, fake: FakeVllm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines().load()
    other = build_language_model(tmp_path / "other")
    set_to(monkeypatch, LLM_SUM_MODEL=other)
    with pytest.raises(Conflict, match=str(tmp_path / "model")) as caught:
        engines().load()
    assert "LLM_ENHANCE_MODEL" in caught.value.fix
    assert len(servers(fake)) == 1


def test_something_else_at_the_port_is_a_conflict(
    engines: Engines, fake: FakeVllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_llm() as server:  # it has no /health
        set_to(monkeypatch, VLLM_PORT=server.running.url.rpartition(":")[2])
        with pytest.raises(Conflict, match="no vLLM server") as caught:
            engines().load()
    assert "VLLM_PORT" in caught.value.fix
    assert servers(fake) == []


def test_a_server_somebody_else_started_is_used(engines: Engines, fake: FakeVllm, tmp_path: Path) -> None:
    name = str(tmp_path / "model")
    command = ["vllm", "serve", "elsewhere", "--port", str(settings().vllm_port), "--served-model-name", name]
    own = subprocess.Popen([*command, "--host", "127.0.0.1"])
    reap = threading.Thread(target=own.wait, daemon=True)
    reap.start()
    until(lambda: look(f"http://127.0.0.1:{settings().vllm_port}", name)[0] is State.READY)
    engines().load()
    assert servers(fake) == [own.pid]
    own.terminate()
    reap.join(10)


def test_without_the_command_it_says_what_to_install(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(Unsupported) as caught:
        engines().load()
    assert "c500[gpu]" in caught.value.fix


def test_the_engine_says_what_it_is_without_starting_anything(engines: Engines, fake: FakeVllm) -> None:
    info = engines().info()
    assert (info.name, info.version) == ("vllm-server", "0.33.0")
    assert engines().budget().max_input_tokens == 672
    assert engines().vram() is None
    assert servers(fake) == []
