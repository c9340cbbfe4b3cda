"""Sockets cut at every frame of every kind of run, once and twice: the heavy form of `test_lost_sockets`."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.blocks.iiagent.opened import session_at
from tests.fakes.iiagent import iiagent_server

SCENARIOS = ["happy", "error_401", "error_429", "error_500", "error_400", "busy", "docker_mode", "drop_mid_run"]
QUICKER = {"start_window_s": 0.15, "idle_window_s": 0.4, "retries": 9, "reconnects": 9}


async def holds(scenario: str, cuts: Iterator[tuple[str, int]] | list[tuple[str, int]], folder: Path) -> bool:
    """The task is done once with these cuts; whether all of them came."""
    async with iiagent_server(scenario) as fake:
        for side, frames in cuts:
            fake.cut_after(frames, side)
        sandbox = "docker" if scenario == "docker_mode" else "local"
        async with session_at(fake.url, folder, limits=QUICKER, sandbox=sandbox) as session:
            turn = await session.turn("Write output.csv.")
            assert turn.check().ended == "response", cuts
            assert (fake.workspace(session.session_id) / "output.csv").exists(), cuts
        assert fake.peak_agents == 1, cuts
        assert [run.outcome for run in fake.runs].count("done") == 1, cuts
        assert fake.peak_sockets == 1, cuts
        return not any(fake.breaks._cuts.values())  # pyright: ignore[reportPrivateUsage]


@pytest.mark.soak
@pytest.mark.parametrize("side", ["sent", "received"])
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_cut_once_at_every_frame(scenario: str, side: str) -> None:
    for frames in itertools.count(1):
        if not await holds(scenario, [(side, frames)], Path(f"cut-{frames}")):
            break
    assert frames > (10 if side == "sent" else 2)


@pytest.mark.soak
@pytest.mark.parametrize("scenario", ["happy", "error_429"])
async def test_cut_twice_at_every_pair_of_frames(scenario: str) -> None:
    for first, second in itertools.product(range(1, 15), range(1, 18, 2)):
        await holds(scenario, [("sent", first), ("sent", second)], Path(f"cut-{first}-{second}"))
