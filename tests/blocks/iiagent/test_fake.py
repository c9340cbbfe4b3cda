"""The scripted server behaves as the real one was measured to: what the tests of the client rest on."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.fakes.iiagent import FakeServer, iiagent_server
from tests.fakes.iiagent.raw_client import Start, raw_client, starting, stored
from tests.fakes.iiagent.scenarios import EXPECTED_ROWS, FIRST_PART
from tests.fakes.iiagent.steps import Append, Call, Fail, Say, Write

LOOK = Call("shell_exec", {"command": "ls"}, "")
LATE = "a call that lasts"


@pytest.fixture
async def happy() -> AsyncIterator[FakeServer]:
    """A server whose runs go well."""
    async with iiagent_server("happy") as fake:
        yield fake


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Makes a client whose query is being worked on, and that stays until the test ends."""
    async with starting() as started:
        yield started


async def test_run_tells_its_turns_in_the_order_of_the_real_one(happy: FakeServer) -> None:
    async with raw_client(happy.url) as client:
        await client.init()
        last = await client.run()

    turn = ["tool_call", "tool_result"]
    expected = ["connection_established", "agent_initialized", "processing", "agent_thinking", *turn]
    assert client.types == [*expected, "tool_call", "file_edit", "tool_result", *turn, *turn, "agent_response"]
    assert last["content"] == {"text": "Task completed"}
    kept = ["user_message", *client.types[3:]]
    assert await stored(happy, client.session_id) == kept


async def test_second_query_knows_of_the_first_and_a_new_conversation_does_not(happy: FakeServer) -> None:
    async with raw_client(happy.url) as client:
        await client.init()
        await client.run("one")
        await client.run("two")
        await client.run("three", resume=False)

    knew = [[message["text"] for message in run.history if message["role"] == "user"] for run in happy.runs]
    assert knew == [[], ["one"], []]


async def test_history_of_a_run_that_ended_well_is_there_for_the_next_connection(happy: FakeServer) -> None:
    async with raw_client(happy.url) as client:
        await client.init()
        await client.run("one")
    async with raw_client(happy.url, client.session_id) as again:
        await again.init()
        await again.run("two")

    assert again.session_id == client.session_id
    assert happy.runs[1].history[0] == {"role": "user", "text": "one"}
    assert happy.peak_agents == 1


async def test_error_keeps_the_history_in_memory_only() -> None:
    async with iiagent_server([[Fail(429, "slow down")], []]) as fake:
        async with raw_client(fake.url) as client:
            await client.init()
            failed = await client.run("one")
            await client.run("same socket")
        async with iiagent_server([Fail(500, "down")]) as other, raw_client(other.url) as first:
            await first.init()
            await first.run("one")
            kept = await stored(other, first.session_id)
            async with raw_client(other.url, first.session_id) as second:
                await second.init()
                await second.run("two")

            assert failed["content"]["message"].startswith("Error running agent: Error code: 429 - {")
            assert kept == ["user_message"]
            assert [run.outcome for run in fake.runs] == ["error", "done"]
            assert fake.runs[1].history
            assert other.runs[1].history == []


async def test_only_so_many_calls_are_worked_on_at_once(start: Start) -> None:
    steps = [Call("shell_exec", gate=LATE)]
    async with iiagent_server(steps, slots=2) as fake:
        clients = [await start(fake) for _ in range(5)]
        await fake.until(lambda: len(fake.runs) == 5)
        await fake.reached(LATE)
        fake.open(LATE)
        await asyncio.gather(*(client.until("agent_response") for client in clients))

        assert fake.peak_working == 2
        assert fake.peak_sockets == 5
        assert fake.peak_agents == 1


async def test_run_without_end_stops_after_the_turns_that_it_has() -> None:
    async with iiagent_server("max_turns") as fake, raw_client(fake.url) as client:
        await client.init()
        last = await client.run()
        again = await client.run("continue")

        assert last["content"]["text"] == "Agent did not complete after max turns"
        assert [run.turns for run in fake.runs] == [5, 4]
        assert again["content"]["text"] == "Task completed"


async def test_editor_refuses_to_create_a_file_that_has_content() -> None:
    script = [Write("a.txt", "one\n"), Write("a.txt", "two\n"), Append("a.txt", "three\n"), Write("b", "x", shell=True)]
    async with iiagent_server(script) as fake, raw_client(fake.url) as client:
        await client.init()
        await client.run()

        edits = [event["content"] for event in client.events if event["type"] == "file_edit"]
        assert [edit["content"] for edit in edits] == ["one\n", "one\nthree\n"]
        assert (fake.workspace(client.session_id) / "a.txt").read_text() == "one\nthree\n"
        assert (fake.workspace(client.session_id) / "b").read_text() == "x"


async def test_container_has_to_be_made_by_a_connection_without_a_session() -> None:
    async with iiagent_server("docker_mode") as fake:
        new = "6e4ef3a5-44be-4a0c-8c2e-0a59a1ffb0a1"
        async with raw_client(fake.url, new) as client:
            refused = await client.init()
        async with raw_client(fake.url) as client:
            await client.init()
            await client.run()
        async with raw_client(fake.url, client.session_id) as again:
            accepted = await again.init()

        edit = next(event for event in client.events if event["type"] == "file_edit")
        assert refused["content"]["message"].startswith("Error initializing agent: ")
        assert edit["content"]["path"] == "/workspace/output.csv"
        assert accepted["type"] == "agent_initialized"


async def test_key_that_is_no_longer_good_fails_and_the_next_one_works() -> None:
    async with iiagent_server("error_401", models=("a", "b")) as fake, raw_client(fake.url) as client:
        unknown = await client.init("c")
        await client.init("a")
        failed = [(await client.run())["type"] for _ in range(2)]
        await client.init("b")
        last = await client.run()

        assert unknown["content"]["message"] == "Error initializing agent: LLM config not found for model: c"
        assert failed == ["error", "error"]
        assert last["type"] == "agent_response"


async def test_new_agent_of_the_same_connection_does_not_free_it_from_the_old_run() -> None:
    async with iiagent_server("waiting") as fake, raw_client(fake.url) as client:
        await client.init()
        await client.query("one")
        await fake.reached("go")
        await client.send("init_agent", model_name="other")
        await client.until("agent_initialized")
        await client.query("two")
        refused = await client.until("error")
        fake.open("go")
        await client.until("agent_response")

        assert refused["content"]["message"] == "A query is already being processed"
        assert fake.peak_agents == 1


async def test_short_table_is_filled_when_it_is_asked_for_the_rest() -> None:
    async with iiagent_server("short_csv") as fake, raw_client(fake.url) as client:
        await client.init()
        rows: list[int] = []
        for _ in range(2):
            await client.run()
            rows.append(len((fake.workspace(client.session_id) / "output.csv").read_text().splitlines()) - 1)

        assert rows == [FIRST_PART, EXPECTED_ROWS]


async def test_fault_of_a_script_is_the_fault_of_the_test(start: Start) -> None:
    def broken(_run: object) -> list[Say]:
        raise ValueError("in the script")

    with pytest.raises(AssertionError, match="in the script"):
        async with iiagent_server(broken) as fake:  # pyright: ignore[reportArgumentType]
            await start(fake)
            await fake.until(lambda: fake.faults)
