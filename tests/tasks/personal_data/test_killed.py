"""An erasure whose process is killed, wherever it is, is gone on with by the same plan, and leaves nothing."""

import os
import traceback

import pytest

from blocks.audit import verify
from blocks.audit.key import read_key
from blocks.subjects import Subject
from tasks.personal_data.erase import checked_plan, erase, erased_before
from tasks.personal_data.holder import World
from tasks.personal_data.plan import keep_plan, make_plan
from tasks.personal_data.world import open_world
from tests.blocks.crashes import die_at
from tests.tasks.personal_data.planted import Person, bytes_with, plant, plant_shared

ALIAS = "f" * 32


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


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_killed_at_any_call_it_comes_to_its_end(world: World, anna: Person, bob: Person) -> None:
    point = 0
    killed = True
    while killed:
        point += 1
        one, other = Person(f"{anna.name}-{point}"), Person(f"{bob.name}-{point}")
        plan_id = planted(world, one, other)
        killed = killed_at(point, plan_id)
        if killed:
            erase(world, checked_plan(world, plan_id), ALIAS)
        assert bytes_with(world, one.mark) == []
        assert verify(world.home / "audit", read_key(world.home / "audit.key")).ok
    assert point > 500
