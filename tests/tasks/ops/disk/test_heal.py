"""Full disks, healed: a real file system of a few megabytes, measured before and after."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import BadInput
from blocks.hosts import Inventory, Machine
from blocks.resource_locks import ResourceLocks
from blocks.store import open_store
from tasks.ops.disk.report import DiskHealed, HealReport, headline, report_markdown
from tasks.ops.disk.rules import USUAL, read_rules
from tests.tasks.ops.conftest import MakePerformer
from tests.tasks.ops.disk.conftest import MB, Heal, fill, removing
from tests.tasks.ops.killing import COMMANDS, Counts, killed_at


async def test_actions_are_done_in_order_until_there_is_room(heal: Heal, disk: Path) -> None:
    fill(disk / "cache/a", 15 * MB), fill(disk / "old/b", 15 * MB), fill(disk / "work/precious", 15 * MB)
    (healed,) = await heal(removing(disk / "cache"), removing(disk / "old"), removing(disk / "work"))
    assert healed.status == "healed" and [one.action for one in healed.steps] == ["cache"]
    assert not (disk / "cache/a").exists() and (disk / "old/b").exists() and (disk / "work/precious").exists()
    (step,) = healed.steps
    assert step.gained_bytes == pytest.approx(15 * MB, rel=0.01) and step.before and step.after
    assert (step.before.used_percent, step.after.used_percent) == pytest.approx((90, 60), abs=1)


async def test_a_disk_that_is_not_full_is_left_alone(heal: Heal, disk: Path) -> None:
    kept = fill(disk / "cache/a", 25 * MB)
    (healed,) = await heal(removing(disk / "cache"))
    assert healed.status == "well" and not healed.steps and kept.exists()


async def test_a_dry_run_tells_what_a_run_does(heal: Heal, disk: Path) -> None:
    fill(disk / "cache/a", 8 * MB), fill(disk / "old/b", 12 * MB), fill(disk / "work/c", 25 * MB)
    own = [{"name": name, "paths": [str(disk / name)]} for name in ("cache", "old", "work")]
    actions = [removing(disk / name, when={"finding": name}) for name in ("cache", "old", "work")]
    (planned,) = await heal(*actions, rules={"findings": own}, dry_run=True, run_id="dry")
    assert planned.status == "planned" and (disk / "cache/a").exists()
    (healed,) = await heal(*actions, rules={"findings": own})
    assert [one.action for one in planned.steps] == [one.action for one in healed.steps] == ["cache", "old"]
    for told, done in zip(planned.steps, healed.steps, strict=True):
        assert told.expected_bytes == pytest.approx(done.gained_bytes, rel=0.01)


async def test_a_dry_run_tells_what_will_not_be_enough(heal: Heal, disk: Path) -> None:
    fill(disk / "cache/a", 8 * MB), fill(disk / "work/b", 35 * MB)
    own = {"findings": [{"name": "cache", "paths": [str(disk / "cache")]}]}
    some = removing(disk / "cache", when={"finding": "cache"})
    for actions in ([some], [some | {"place": "/no/such/place"}]):
        (told,) = await heal(*actions, rules=own, dry_run=True, run_id="dry")
        assert told.status == "insufficient" and told.needs_a_person
        report = HealReport(run_id="dry", rules="r.yaml", dry_run=True, disks=(told,))
        assert "would be healed" not in headline(report) and "STAY FULL" in report_markdown(report)
    unknown = removing(disk / "cache")
    (told,) = await heal(unknown, rules=own, dry_run=True, run_id="dry")
    assert told.status == "planned"  # nobody knows what it makes


def test_a_host_without_a_disk_is_named_alone() -> None:
    away = DiskHealed(host="dead", mount="", status="unknown", why="it cannot be reached")
    assert headline(HealReport(run_id="r", rules="r", dry_run=False, disks=(away,))).endswith("need a person: dead")


async def test_an_action_without_gain_ends_it_unless_its_rule_says_otherwise(heal: Heal, disk: Path) -> None:
    fill(disk / "work/a", 40 * MB)
    in_vain = {"name": "vain", "place": str(disk), "argv": ["true"]}
    (stopped,) = await heal(in_vain, removing(disk / "work"))
    assert stopped.status == "no_gain" and (disk / "work/a").exists() and stopped.needs_a_person
    (healed,) = await heal(in_vain | {"on_no_gain": "next"}, removing(disk / "work"), run_id="run-2")
    assert healed.status == "healed" and [one.gained_bytes for one in healed.steps] == [0, pytest.approx(40 * MB, 0.01)]


async def test_what_no_rule_names_is_told_and_left(heal: Heal, disk: Path) -> None:
    fill(disk / "work/precious\n# not a heading", 44 * MB), fill(disk / "cache/a", 2 * MB)
    (healed,) = await heal(removing(disk / "cache"))
    assert healed.status == "exhausted" and (disk / "work/precious\n# not a heading").exists()
    assert healed.findings is not None and healed.findings.folders[0][0] == str(disk / "work")
    report = HealReport(run_id="run-1", rules="r.yaml", dry_run=False, disks=(healed,))
    text = report_markdown(report)
    assert "STILL FULL" in text and "need a person" in headline(report) and str(disk / "work") in text
    assert "\n# not" not in text


async def test_conditions_hold_an_action_back(heal: Heal, disk: Path) -> None:
    fill(disk / "cache/a", 30 * MB), fill(disk / "more/b", 15 * MB)
    own = {"findings": [{"name": "cache", "paths": [str(disk / "cache")]}]}
    actions = [
        removing(disk / "cache", when={"finding": "cache", "at_least": "40MB"}) | {"name": "too-little"},
        removing(disk / "cache", when={"used_percent_above": 95}) | {"name": "not-so-full"},
        removing(disk / "cache", when={"check": ["false"]}) | {"name": "checked"},
        removing(disk / "cache") | {"name": "elsewhere", "place": "/"},
        removing(disk / "cache") | {"name": "nowhere", "place": "/no/such/place"},
        removing(disk / "more"),
    ]
    (healed,) = await heal(*actions, rules=own)
    assert [one.status for one in healed.steps] == ["skipped"] * 5 + ["done"] and (disk / "cache/a").exists()
    assert all(one.why for one in healed.steps[:5])


async def test_a_deed_that_nobody_allows_is_not_done(heal: Heal, disk: Path) -> None:
    fill(disk / "cache/a", 20 * MB), fill(disk / "old/b", 20 * MB)
    (healed,) = await heal(removing(disk / "cache", consent="one"), removing(disk / "old"))
    assert [one.status for one in healed.steps] == ["refused", "done"] and healed.status == "healed"
    fill(disk / "old/b", 20 * MB)
    (production,) = await heal(removing(disk / "old"), profile="production", attended=False, run_id="run-2")
    assert production.status == "exhausted" and (disk / "old/b").exists()


async def test_files_that_are_too_many_fill_a_disk_too(heal: Heal, disk: Path) -> None:
    (disk / "tiny").mkdir()
    for number in range(190):
        (disk / "tiny" / str(number)).touch()
    (healed,) = await heal(removing(disk / "tiny"))
    assert healed.status == "healed" and healed.before is not None and healed.before.lacks_inodes
    assert healed.steps[0].gained_inodes == 190


async def test_deleted_files_that_are_open_are_found(heal: Heal, disk: Path) -> None:
    held = fill(disk / "log", 40 * MB)
    with held.open("rb"):
        held.unlink()
        (healed,) = await heal({"name": "none", "place": "/no/such", "argv": ["true"]})
    assert healed.status == "exhausted" and healed.findings is not None
    (found,) = [one for one in healed.findings.found if one.name == "deleted_open"]
    assert found.size_bytes == pytest.approx(40 * MB, rel=0.01)
    assert f"/proc/{os.getpid()}/fd/" in found.examples[0][0] and " of " in found.examples[0][0]
    # Its own descriptors are gone when it comes to them, and of a process only those count.
    assert all("/fd" in gap and "No such" not in gap for gap in healed.findings.gaps if "deleted_open" in gap)


async def test_a_failed_command_is_told_and_the_next_one_done(heal: Heal, disk: Path) -> None:
    fill(disk / "work/a", 40 * MB)
    broken = {"name": "broken", "place": str(disk), "argv": ["find", str(disk / "none"), "-delete"]}
    (healed,) = await heal(broken, {"name": "absent", "place": str(disk), "argv": ["no-such"]}, removing(disk / "work"))
    assert [one.status for one in healed.steps] == ["failed", "failed", "done"] and healed.status == "healed"
    assert "No such file" in healed.steps[0].why


async def test_the_same_run_again_does_nothing_twice(heal: Heal, disk: Path, tmp_path: Path) -> None:
    fill(disk / "cache/a", 20 * MB), fill(disk / "old/b", 20 * MB)
    log = tmp_path / "log"
    counting = {"argv": ["sh", "-c", f"echo x >> {log}; rm -f {disk}/cache/a"], "repeatable": False}
    (first,) = await heal(removing(disk / "cache") | counting)
    fill(disk / "cache/a", 20 * MB)  # whatever came since: this run did its deed
    (again,) = await heal(removing(disk / "cache") | counting)
    assert log.read_text() == "x\n" and again.steps == first.steps


async def test_of_two_runs_one_makes_room(heal: Heal, disk: Path) -> None:
    fill(disk / "cache/a", 40 * MB)
    ResourceLocks(open_store()).take("disks/local", "another", term_s=60)
    (held,) = await heal(removing(disk / "cache"))
    assert held.status == "unknown" and "another" in held.why and (disk / "cache/a").exists()


async def test_a_host_that_cannot_be_reached_is_told(heal: Heal, disk: Path, tmp_path: Path) -> None:
    fill(disk / "cache/a", 40 * MB)
    known = tmp_path / "known"
    known.touch()
    away = Machine(name="away", address="127.0.0.1", port=1, known_hosts=known)
    inventory = Inventory([away, Machine(name="here")])
    found = {one.host: one for one in await heal(removing(disk / "cache"), inventory=inventory)}
    assert found["away"].status == "unknown" and "cannot be reached" in found["away"].why
    assert found["here"].status == "healed"


async def test_a_file_system_that_is_not_there_is_no_well_one(heal: Heal, disk: Path) -> None:
    (found,) = await heal(removing(disk / "cache"), rules={"filesystems": ["/no/such/place"]})
    assert found.status == "unknown"


def kill_everywhere(heal: Heal, disk: Path, make_performer: MakePerformer, counts: Counts) -> int:
    """Kill a run at each moment, have it go on, and look at what it did; how many moments there were."""
    places = [disk / name for name in ("cache", "old", "work")]
    actions = [removing(place) for place in places]

    def run(name: str) -> Any:
        return heal(*actions, rules={"target_percent": 40}, owner=make_performer(run_id=name))

    moment, killed = 0, True
    while killed:
        moment += 1
        name = f"run-{moment}"
        for place in places:
            fill(place / "a", 15 * MB)
        killed = killed_at(moment, lambda name=name: run(name), *COMMANDS, counts=counts)
        (healed,) = asyncio.run(run(name))
        assert healed.status == "healed" and [one.action for one in healed.steps] == ["cache", "old"], moment
        assert healed.before is not None and healed.before.used_percent > 85
        assert [place.joinpath("a").exists() for place in places] == [False, False, True]
    return moment - 1


def test_a_run_that_was_killed_around_an_effect_goes_on(heal: Heal, disk: Path, make_performer: MakePerformer) -> None:
    assert kill_everywhere(heal, disk, make_performer, lambda argv: argv[0] == "find") == 4


@pytest.mark.soak
def test_a_run_that_was_killed_anywhere_goes_on(heal: Heal, disk: Path, make_performer: MakePerformer) -> None:
    assert kill_everywhere(heal, disk, make_performer, lambda _: True) > 50


def test_the_usual_rules_can_be_read() -> None:
    assert [action.name for action in read_rules(USUAL).actions][:2] == ["package-cache", "journal"]


def test_rules_tell_all_their_faults(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(
        "threshold_percent: 80\n"
        "target_percent: 90\n"
        "actions:\n"
        "  - {name: one, place: /, argv: ['true'], when: {finding: jornal}}\n"
        "  - {name: one, place: relative, argv: []}\n"
    )
    with pytest.raises(BadInput) as caught:
        read_rules(path)
    assert "rules.yaml:5" in caught.value.message and caught.value.details["field"] == "rules"
    path.write_text(path.read_text().replace("relative", "/").replace("[]", "[a]"))
    with pytest.raises(BadInput) as caught:
        read_rules(path)
    assert "there is no finding jornal" in caught.value.message and "name of another" in caught.value.message
    assert "above threshold_percent" in caught.value.message
