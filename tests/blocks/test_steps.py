"""Steps: computed once for equal content, by one process at a time, again when their files are gone."""

import asyncio
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from prefect import flow

from blocks.errors import BadInput, EngineUnavailable
from blocks.steps import StoreLocks, step
from blocks.store import FileRef, open_store

calls: list[str] = []


@step("write-note")
async def write_note(folder: str, text: str) -> FileRef:
    calls.append(text)
    return open_store().put_bytes(f"{folder}/note.txt", text.encode())


@step("read-note")
async def read_note(note: FileRef) -> str:
    calls.append("read")
    return open_store().read_bytes(note.key).decode()


@step("unreliable")
async def unreliable(error: str) -> str:
    calls.append(error)
    if len(calls) == 1:
        raise EngineUnavailable("away", fix="wait") if error == "transient" else BadInput("no", fix="other")
    return "ok"


@step("listed")
async def listed(text: str) -> list[str]:
    calls.append(text)
    return [text]


@pytest.fixture(autouse=True)
def no_calls() -> None:
    calls.clear()


async def test_equal_inputs_are_computed_once_wherever_they_are_written(prefect_api: str) -> None:
    @flow
    async def twice() -> list[FileRef]:
        return [await write_note("jobs/a", "hello"), await write_note("jobs/b", "hello")]

    first, second = await twice()
    assert calls == ["hello"]
    assert first == second


async def test_a_file_counts_by_content_not_by_name(prefect_api: str) -> None:
    @flow
    async def both() -> list[str]:
        files = open_store()
        return [await read_note(files.put_bytes(key, b"same")) for key in ("jobs/a/x", "jobs/b/y")]

    assert await both() == ["same", "same"]
    assert calls == ["read"]


async def test_a_result_whose_file_is_gone_is_computed_again(prefect_api: str) -> None:
    @flow
    async def once() -> FileRef:
        return await write_note("jobs/a", "hello")

    note = await once()
    open_store().delete(note.key)
    assert await once() == note
    assert calls == ["hello", "hello"]
    assert open_store().read_bytes(note.key) == b"hello"


@pytest.mark.parametrize("text", ["", "[see below]", "{braces}", '{"key": 1}'])
async def test_texts_that_look_like_json_are_found_again(prefect_api: str, text: str) -> None:
    @flow
    async def once() -> list[str]:
        return await listed(text)

    assert await once() == await once() == [text]
    assert calls == [text]


async def test_concurrent_callers_share_one_computation(prefect_api: str) -> None:
    @flow
    async def together() -> list[FileRef]:
        return await asyncio.gather(*(write_note("jobs/a", "hello") for _ in range(5)))

    assert len(await together()) == 5
    assert calls == ["hello"]


async def test_a_transient_error_is_retried(prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unreliable, "retry_delay_seconds", [0.0, 0.0])

    @flow
    async def once() -> str:
        return await unreliable("transient")

    assert await once() == "ok"
    assert len(calls) == 2


async def test_bad_input_is_not_retried(prefect_api: str) -> None:
    @flow
    async def once() -> str:
        return await unreliable("bad")

    with pytest.raises(BadInput):
        await once()
    assert len(calls) == 1


COUNTING = """
    import asyncio, os, sys
    from pathlib import Path
    from prefect import flow
    from blocks.steps import step

    @step("count")
    async def count(number: int) -> int:
        with Path(sys.argv[1]).open("a") as log:
            log.write("x")
        await asyncio.sleep(0.3)
        return number

    @flow
    async def once() -> int:
        return await count(1)

    print(asyncio.run(once()))
"""


def test_two_processes_share_one_computation(prefect_server: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", textwrap.dedent(COUNTING), str(log)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=120)[0].strip().splitlines()[-1] for process in running] == ["1", "1"]
    assert log.read_text() == "x"


async def test_a_lock_obtained_while_being_cancelled_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    locks = StoreLocks()
    entered, go_on = threading.Event(), threading.Event()
    attempt = locks._try

    def slow(key: str, holder: str) -> bool:
        entered.set()
        go_on.wait()
        return attempt(key, holder)

    monkeypatch.setattr(locks, "_try", slow)
    waiting = asyncio.create_task(locks.aacquire_lock("key", "me"))
    await asyncio.to_thread(entered.wait)
    waiting.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not locks.is_locked("key")
