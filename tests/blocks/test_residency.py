"""Models stay loaded between their users, and only one at a time."""

import asyncio
from pathlib import Path

import pytest

from blocks.residency import keep_loaded, loaded
from tests.fakes.gpu import CountingModel, SimulatedGpu, waiting_at
from tests.processes import eventually


async def test_without_a_keeper_a_model_is_unloaded_after_each_use() -> None:
    for model in (CountingModel(), CountingModel()):
        async with loaded(model) as same:
            assert same is model
            assert model.process.pid is not None
        assert model.process.pid is None


async def test_within_a_keeper_users_of_one_kind_share_one_model() -> None:
    models = [CountingModel() for _ in range(4)]
    seen: list[int | None] = []

    async def use(model: CountingModel) -> None:
        async with loaded(model) as shared:
            seen.append(shared.process.pid)

    async with keep_loaded() as resident:
        await asyncio.gather(*(use(model) for model in models))
        assert resident.loads == 1
    assert len(set(seen)) == 1
    assert [model.process.pid for model in models] == [None] * 4


async def test_another_model_waits_until_nobody_uses_the_first_and_takes_its_place() -> None:
    first, second = CountingModel("first"), CountingModel("second")
    entered, leave = asyncio.Event(), asyncio.Event()

    async def use_first() -> None:
        async with loaded(first):
            entered.set()
            await leave.wait()
            assert second.loads == 0

    async def use_second() -> None:
        await entered.wait()
        asyncio.get_running_loop().call_soon(leave.set)
        async with loaded(second):
            assert first.process.pid is None
            assert second.process.pid is not None

    async with keep_loaded():
        await asyncio.gather(use_first(), use_second())
    assert second.process.pid is None


async def test_a_failed_load_reaches_the_user_and_leaves_the_keeper_usable() -> None:
    broken, whole = CountingModel("broken", fail="load"), CountingModel("whole")
    async with keep_loaded():
        with pytest.raises(Exception, match="no such thing"):
            async with loaded(broken):
                pass
        async with loaded(whole) as model:
            assert model.process.pid is not None


async def test_a_user_cancelled_while_the_model_loads_leaves_nothing_behind(tmp_path: Path) -> None:
    model = CountingModel(**waiting_at(tmp_path / "never"))

    async def use() -> None:
        async with loaded(model):
            pass

    async with keep_loaded():
        user = asyncio.create_task(use())
        await eventually((tmp_path / "never.began").exists)
        user.cancel()
        with pytest.raises(asyncio.CancelledError):
            await user
    assert model.process.pid is None


async def test_a_model_whose_slot_was_lost_is_loaded_again(prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefect cancels the holder when the lease of a slot cannot be renewed."""
    gpu = SimulatedGpu(index=6)
    monkeypatch.setattr("blocks.residency.Gpu.of_settings", lambda: gpu)
    model, successor = CountingModel(meter=gpu._simulated), CountingModel(meter=gpu._simulated)
    async with keep_loaded() as resident:
        async with loaded(model):
            pass
        assert resident._owner is not None
        resident._owner.cancel()
        await asyncio.wait([resident._owner])
        assert model.process.pid is None
        async with loaded(successor) as again:
            assert again is successor
        assert resident.loads == 2
    assert gpu._simulated.used_bytes() == 0
