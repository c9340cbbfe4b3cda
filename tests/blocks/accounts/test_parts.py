"""The pool's parts: breaker, waiting room, context, structured answers, secrets."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from blocks.accounts.account import Model
from blocks.accounts.breaker import FAILURES, PROBE_S, Breaker
from blocks.accounts.chat import Caller, ChatRequest
from blocks.accounts.context import split, trim
from blocks.accounts.sealed import new_seal_key, seal
from blocks.accounts.secrets import Secrets
from blocks.accounts.structured import ask
from blocks.accounts.tokens import prompt_tokens
from blocks.accounts.waiting import WaitingRoom
from blocks.errors import BadInput, EngineFailed, NotAllowed, NotFound, TooLarge
from tests.blocks.accounts.conftest import OpenPool, account, asked, entered

SMALL = Model(context_tokens=300, max_output_tokens=50)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_breaker_opens_probes_once_and_closes() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(FAILURES):
        assert breaker.wait_s == 0.0
        breaker.fail()
    assert (breaker.state, breaker.wait_s == 0.0) == ("open", False)
    clock.now += breaker.wait_s
    assert (breaker.state, breaker.wait_s == 0.0) == ("half-open", True)
    breaker.begin()
    assert breaker.wait_s > 0.0
    breaker.fail()
    first = breaker.wait_s
    clock.now += first
    breaker.begin()
    breaker.fail()
    assert breaker.wait_s == 2 * first
    clock.now += breaker.wait_s
    breaker.begin()
    breaker.succeed()
    assert (breaker.state, breaker.wait_s) == ("closed", 0.0)


def test_who_comes_while_a_probe_runs_looks_again_soon() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(FAILURES):
        breaker.fail()
    clock.now += breaker.wait_s
    breaker.begin()
    assert 0 < breaker.wait_s < 1
    clock.now += PROBE_S  # it never came back
    assert breaker.wait_s == 0.0


async def test_turns_go_by_priority_and_nobody_starves() -> None:
    room, order = WaitingRoom(), list[str]()
    gate = asyncio.Event()

    async def wait(user: str, priority: Any) -> None:
        async with room.turn(Caller(user=user, priority=priority)):
            await gate.wait()
            order.append(user)

    async with asyncio.TaskGroup() as group:
        for _ in range(40):
            group.create_task(wait("high", "high"))
            group.create_task(wait("low", "low"))
        await asyncio.sleep(0)
        gate.set()
    assert order[:34].count("low") == 2 or order[:34].count("low") == 3
    assert order.count("low") == 40
    assert room.is_empty


async def test_who_goes_away_while_waiting_loses_no_turn_of_others() -> None:
    room = WaitingRoom()
    done: list[int] = []
    gate = asyncio.Event()

    async def wait(number: int) -> None:
        async with room.turn(Caller(user=str(number % 3))):
            await gate.wait()
            done.append(number)

    tasks = [asyncio.create_task(wait(number)) for number in range(12)]
    await asyncio.sleep(0)
    for number in (0, 3, 7):
        tasks[number].cancel()
    gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert sorted(done) == [number for number in range(12) if number not in (0, 3, 7)]
    assert room.is_empty


async def test_a_call_that_ends_while_limits_are_looked_at_is_noticed() -> None:
    room = WaitingRoom()
    async with room.turn(Caller()):
        room.freed()
        async with asyncio.timeout(10):
            await room.change(1_000)
        with pytest.raises(TimeoutError):  # and noticed once
            async with asyncio.timeout(0.01):
                await room.change(1_000)


def turns(count: int, words: int) -> list[dict[str, Any]]:
    return [
        {"role": role, "content": f"{n} " + "word " * words} for n in range(count) for role in ("user", "assistant")
    ]


def test_the_oldest_turns_are_left_out_and_the_task_stays_whole() -> None:
    system, task = {"role": "system", "content": "rules"}, {"role": "user", "content": "the task"}
    history = turns(6, 30)
    trimmed = trim(ChatRequest(messages=(system, *history, task)), SMALL)
    kept = list(trimmed.request.messages)
    assert kept[0] == system
    assert kept[-1] == task
    assert kept[1:-1] == history[trimmed.dropped :]
    assert trimmed.dropped % 2 == 0 < trimmed.dropped
    assert prompt_tokens(trimmed.request, SMALL) + 50 <= 300


def test_what_is_pinned_stays() -> None:
    history = turns(6, 30)
    trimmed = trim(ChatRequest(messages=(*history, {"role": "user", "content": "the task"})), SMALL, pinned=(0,))
    assert history[0] in trimmed.request.messages
    assert history[2] not in trimmed.request.messages


def test_a_tool_call_is_not_parted_from_its_result() -> None:
    call = {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": ""}}]}
    result = {"role": "tool", "tool_call_id": "1", "content": "word " * 60}
    first = {"role": "user", "content": "word " * 60}
    trimmed = trim(ChatRequest(messages=(first, call, result, *turns(2, 20), {"role": "user", "content": "t"})), SMALL)
    assert (call in trimmed.request.messages) == (result in trimmed.request.messages)


def test_a_task_that_is_too_long_says_by_how_much() -> None:
    with pytest.raises(TooLarge) as error:
        trim(ChatRequest(messages=({"role": "user", "content": "word " * 2_000},)), SMALL)
    assert error.value.details["over_tokens"] == error.value.details["prompt_tokens"] - 250


@given(st.text(alphabet="ab \n.đ", max_size=2_000))
def test_parts_of_a_text_are_small_and_lose_no_word(text: str) -> None:
    parts = split(text, SMALL, 60)
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(prompt_tokens(ChatRequest(messages=({"role": "user", "content": part},)), SMALL) <= 60 for part in parts)


def test_parts_too_small_are_refused() -> None:
    with pytest.raises(BadInput, match="too small"):
        split("text", SMALL, 5)


class Person(BaseModel):
    name: str
    age: int


async def test_an_answer_is_typed_and_a_wrong_one_repaired_once(simulate, open_pool: OpenPool) -> None:
    simulator = simulate([account("one")], next_faults={"wrong_schema": 1})
    pool = await open_pool(simulator)
    found = await ask(pool, asked("Who?", max_output_tokens=200), Person)
    assert isinstance(found.value, Person)
    assert (found.source, len(found.answers)) == ("model", 2)


@pytest.mark.parametrize("fault", ["prose", "fence"])
async def test_an_answer_within_prose_is_found(simulate, open_pool: OpenPool, fault: str) -> None:
    pool = await open_pool(simulate([account("one")], faults={fault: 1.0}))
    found = await ask(pool, asked("Who?", max_output_tokens=200), Person.model_json_schema())
    assert len(found.answers) == 1
    assert set(found.value) == {"name", "age"}


async def test_no_value_is_ever_guessed(simulate, open_pool: OpenPool) -> None:
    pool = await open_pool(simulate([account("one")], faults={"malformed": 1.0}))
    with pytest.raises(EngineFailed) as error:
        await ask(pool, asked("Who?", max_output_tokens=200), Person)
    assert error.value.details["problems"]
    found = await ask(pool, asked("Who?", max_output_tokens=200), Person, fallback=lambda: Person(name="?", age=0))
    assert (found.source, found.value.name) == ("fallback", "?")
    assert found.problems
    assert len(await entered(pool)) == 4


async def test_a_sealed_secret_is_read_and_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C500_SEAL_KEY", new_seal_key())
    seal(tmp_path / "keys", "one", "first")
    secrets, one = Secrets(tmp_path), account("one", key="file:keys#one")
    assert await secrets.secret(one) == "first"
    seal(tmp_path / "keys", "one", "second")
    assert await secrets.secret(one) == "first"
    assert await secrets.renewed(one, sent_at=time.monotonic())
    assert await secrets.secret(one) == "second"
    assert (tmp_path / "keys").stat().st_mode & 0o77 == 0
    assert "second" not in (tmp_path / "keys").read_text()
    assert "second" not in repr(secrets)


async def test_what_is_wrong_with_a_secret_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = Secrets(tmp_path)
    with pytest.raises(NotFound, match="NOWHERE"):
        await secrets.secret(account("one", key="env:NOWHERE"))
    with pytest.raises(NotFound, match="C500_SEAL_KEY"):
        await secrets.secret(account("one", key="file:keys#one"))
    monkeypatch.setenv("C500_SEAL_KEY", new_seal_key())
    seal(tmp_path / "keys", "one", "first")
    with pytest.raises(NotFound, match="no secret 'two'"):
        await secrets.secret(account("one", key="file:keys#two"))
    monkeypatch.setenv("C500_SEAL_KEY", new_seal_key())
    with pytest.raises(NotAllowed):
        await secrets.secret(account("one", key="file:keys#one"))


async def test_a_prefect_secret_is_read(prefect_api: str, tmp_path: Path) -> None:
    from prefect.blocks.system import Secret

    await Secret(value="hidden").save("c500-test-account", overwrite=True)
    assert await Secrets(tmp_path).secret(account("one", key="prefect:c500-test-account")) == "hidden"
    with pytest.raises(NotFound, match="c500-absent"):
        await Secrets(tmp_path).secret(account("one", key="prefect:c500-absent"))
