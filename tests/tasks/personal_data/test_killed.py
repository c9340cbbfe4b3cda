"""An erasure whose process is killed, wherever it is, is gone on with by the same plan, and leaves nothing."""

import os
import shutil
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from blocks.audit import verify
from blocks.audit.key import read_key
from blocks.errors import NotFound
from blocks.settings import settings
from blocks.subjects import Subject
from tasks.personal_data.erase import checked_plan, erase, erased_before
from tasks.personal_data.holder import World
from tasks.personal_data.plan import keep_plan, make_plan
from tasks.personal_data.world import open_world
from tests.blocks.crashes import die_at
from tests.tasks.personal_data.planted import Person, bytes_with, plant, plant_shared

ALIAS = "f" * 32
SHARES = 8
"""Of the calls at which an erasure is killed. Each waits for seconds for late lines of logs: `-n 8` is far faster."""


def killed_at(point: int, plan_id: str) -> bool:
    """Whether a process that erases was killed at that call to the system; else it has ended by itself."""
    if not (child := os.fork()):
        try:
            with open_world() as own:
                plan = checked_plan(own, plan_id)
                die_at(point)
                erase(own, plan, ALIAS)
            os._exit(0)
        except BaseException:  # noqa: BLE001 - told to the test
            traceback.print_exc()
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def planted(world: World, anna: Person, bob: Person) -> str:
    plant(world, anna)
    plant(world, bob)
    plant_shared(world, anna, bob)
    plan = make_plan(world, Subject(kind="person", id=anna.name))
    return keep_plan(world.known.files, plan).plan_id


def check(world: World, anna: Person, bob: Person) -> None:
    assert bytes_with(world, anna.mark) == []
    assert bytes_with(world, anna.name) == []
    assert len(list(world.known.files.list(f"jobs/{bob.job}/"))) == 6
    assert verify(world.home / "audit", read_key(world.home / "audit.key")).ok
    assert len(erased_before(world, ALIAS)) == 1


def test_killed_again_and_again_it_comes_to_its_end(world: World, anna: Person, bob: Person) -> None:
    plan_id = planted(world, anna, bob)
    kills = 0
    while killed_at(60 + 60 * kills, plan_id):
        kills += 1
    assert kills > 3
    check(world, anna, bob)


@pytest.fixture
def place_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes a folder the place of store, logs, books and home."""

    def take(folder: Path) -> None:
        for name, where in (("AUDIO_DIR", "store"), ("LOG_DIR", "logs"), ("AGENTS_HOME", "agents")):
            monkeypatch.setenv(name, str(folder / where))
        for name in ("LIMITER_URL", "BOOKS_URL"):
            monkeypatch.setenv(name, f"sqlite:///{folder}/{name}.db")
        folder.mkdir()
        settings.cache_clear()

    return take


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("share", range(SHARES))
def test_killed_at_any_call_it_comes_to_its_end(
    share: int, prefect_api: str, anna: Person, bob: Person, tmp_path: Path, place_in: Callable[[Path], None]
) -> None:
    assert prefect_api
    point = share + 1 - SHARES
    killed = True
    while killed:
        point += SHARES
        folder = tmp_path / str(point)  # in one that others were planted in before there would be more calls each time
        place_in(folder)
        one, other = Person(f"{anna.name}-{point}"), Person(f"{bob.name}-{point}")
        with open_world() as world:
            plan_id = planted(world, one, other)
            killed = killed_at(point, plan_id)
            with suppress(NotFound):  # killed when all was done: the plan goes last
                erase(world, checked_plan(world, plan_id), ALIAS)
            check(world, one, other)
        shutil.rmtree(folder)
    print(f"killed at calls {share + 1}, {share + 1 + SHARES} … {point - SHARES}")
    assert point > 300
