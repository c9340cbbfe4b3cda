"""Chapter 3: an agent reads a log of 2 GB into its context, again and again with other sizes, for 340 dollars."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.llm.agent_model import Turn, agent_model, results_in
from tests.stories.house import House

GOAL = "Find out what is wrong with payments; the log is app.log."
LINE = b"payments: the pool is empty\n"
LOG_BYTES = 2 << 30
MEMORY_BYTES = 400 << 20
"""What this process may take more than before, with all that it imports for its first agent; a fifth of the log."""

PROMPT_TOKENS = 80_000
"""Of the longest request: ten results of 20,000 characters, the most that the model sees of each."""

READS: list[dict[str, Any]] = [
    {},
    {"most_bytes": 2**31},
    {"most_bytes": 16_000},
    {"start_byte": 2**20, "most_bytes": 16_000},
    {"start_byte": -16_000, "most_bytes": 16_000},
    {"start_line": 9_000_000},
]
COMMANDS = (["cat", "app.log"], ["grep", "-a", "", "app.log"], ["tail", "-c", "1000000000", "app.log"])
TRIES: list[Turn] = [
    *([("read_file", {"path": "app.log", **read})] for read in READS),
    [("search_files", {"pattern": "."})],
    *([("run_command", {"argv": argv})] for argv in COMMANDS),
]
"""Ways to have all of it."""


def reader(house: House) -> str:
    return house.agent("reader-of-logs", "read_file", "search_files", "run_command")


def peak_bytes(*, anew: bool = False) -> int:
    """The most memory that this process has had, since it was asked for anew."""
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    [kib] = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(kib) << 10


async def looked_at(house: House, *tries: Turn) -> None:
    """Have an agent try to read the log, and see that it did not get into context, memory or bill."""
    before = peak_bytes(anew=True)
    with agent_model(house.accounts, *tries, "It is too long for me.") as model:
        result = await house.run(GOAL, reader(house), budget_usd=2)
        told = results_in(model.script.asked[-1])
        longest = max(asked.prompt_tokens for asked in model.script.asked)
        charged_usd = model.charged_usd
    assert peak_bytes() - before < MEMORY_BYTES
    assert longest < PROMPT_TOKENS
    assert charged_usd < 1.0
    assert result.status == "done"
    assert sum(LINE.decode().strip() in one for one in told) >= 4  # it did see parts of the log


async def test_a_log_of_2_gb_gets_neither_into_the_context_nor_into_memory(house: House) -> None:
    text = LINE * 50_000
    with (house.workspace / "app.log").open("wb") as file:  # with a hole between its ends
        file.write(text)
        file.seek(LOG_BYTES - len(text))
        file.write(text)
    await looked_at(house, *TRIES)


@pytest.mark.soak
async def test_a_log_of_2_gb_without_a_hole_does_not_either(house: House) -> None:
    text, log = LINE * (2**20 // len(LINE)), house.workspace / "app.log"
    with log.open("wb") as file:
        while file.tell() < LOG_BYTES:
            file.write(text)
    await looked_at(house, *TRIES, [("run_command", {"argv": ["sort", "app.log"]})])
    log.unlink()
