"""Units of systemd, and accounts, against what is declared of them."""

from collections.abc import Iterator, Mapping
from typing import Any

from tasks.ops.drift.change import Change, Command, Commands, On, Seen
from tasks.ops.drift.declared import DeclaredUnit, DeclaredUser, Target
from tasks.ops.drift.found import Difference, Found, difference, not_known, state_of

RUNS = {"active", "reloading", "activating", "refreshing"}
STARTS = {"enabled", "enabled-runtime", "alias"}
FIXED = {"static", "indirect", "generated", "transient"}
"""States of units that nobody enables or disables."""

NO_SUCH_USER = 2
PEOPLE = range(1000, 65_534)


async def look_at_unit(on: On, target: str, unit: DeclaredUnit) -> Seen:
    """A unit against what is declared of it."""
    done = await on.look(
        "systemctl", "show", "--no-pager", "--property=LoadState,ActiveState,UnitFileState", "--", unit.name
    )
    told = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    facts: dict[str, Any] = {"target": target, "host": on.host.name, "kind": "unit", "name": unit.name}
    if (why := not_known(done)) or not told.get("LoadState"):
        return Seen(Found(**facts, state="unknown", why=why or "systemctl says nothing"))
    if told["LoadState"] == "not-found":
        return Seen(Found(**facts, state="missing", safe=unit.correct, corrected_why="a unit has no content here"))
    differences = tuple(_unit_differences(unit, told))
    found = Found(**facts, state=state_of(differences), differences=differences, safe=unit.correct)
    return Seen(found, _unit_change(unit, told) if differences else None)


async def look_at_users(on: On, target: Target) -> list[Seen]:
    """The accounts of a target."""
    seen = [Seen(await _user(on, target.name, one)) for one in target.users]
    return [*seen, *[Seen(one) for one in await _other_users(on, target)]]


def _unit_differences(unit: DeclaredUnit, told: Mapping[str, str]) -> Iterator[Difference]:
    enabled, active = told.get("UnitFileState", ""), told.get("ActiveState", "")
    if unit.enabled is not None and (enabled in STARTS) != unit.enabled and (unit.enabled or enabled not in FIXED):
        yield difference("enabled", "enabled" if unit.enabled else "disabled", enabled or "not enabled")
    if unit.active is not None and (active in RUNS) != unit.active:
        yield difference("active", "active" if unit.active else "inactive", active)


def _unit_change(unit: DeclaredUnit, told: Mapping[str, str]) -> Change | None:
    changed = {one.field for one in _unit_differences(unit, told)}
    if told.get("UnitFileState") in {*FIXED, "masked"} and "enabled" in changed:
        return None
    there: list[str] = []
    back: list[str] = []
    if "enabled" in changed:
        there.append("enable" if unit.enabled else "disable")
        back.append("disable" if unit.enabled else "enable")
    if "active" in changed:
        there.append("start" if unit.active else "stop")
        back.append("stop" if unit.active else "start")
    return Commands(
        says=f"{' and '.join(there)} {unit.name}",
        commands=tuple(Command(argv=("systemctl", verb, "--", unit.name)) for verb in there),
        undo=tuple(Command(argv=("systemctl", verb, "--", unit.name)) for verb in back),
        tool="change_unit",
    )


async def _user(on: On, target: str, user: DeclaredUser) -> Found:
    facts: dict[str, Any] = {"target": target, "host": on.host.name, "kind": "user", "name": user.name}
    done = await on.look("getent", "passwd", "--", user.name)
    if done.exit_code == NO_SUCH_USER:
        return Found(**facts, state="missing" if user.state == "present" else "same")
    if why := not_known(done):
        return Found(**facts, state="unknown", why=why)
    if user.state == "absent":
        return Found(**facts, state="unexpected")
    fields = done.stdout.splitlines()[0].split(":")
    if len(fields) != 7:
        return Found(**facts, state="unknown", why="getent says nothing that can be read")
    actual: dict[str, Any] = {"uid": int(fields[2]), "home": fields[5], "shell": fields[6]}
    if user.groups is not None:
        groups = await on.look("id", "-nG", "--", user.name)
        if why := not_known(groups):
            return Found(**facts, state="unknown", why=why)
        actual["groups"] = " ".join(sorted(groups.stdout.split()))
    differences = tuple(_user_differences(user, actual))
    return Found(**facts, state=state_of(differences), differences=differences)


def _user_differences(user: DeclaredUser, actual: Mapping[str, Any]) -> Iterator[Difference]:
    for name, there in actual.items():
        declared = getattr(user, name)
        if name == "groups":
            declared = " ".join(sorted(declared))
        if declared is not None and declared != there:
            yield difference(name, declared, there)


async def _other_users(on: On, target: Target) -> list[Found]:
    if not target.only_users:
        return []
    facts: dict[str, Any] = {"target": target.name, "host": on.host.name, "kind": "user"}
    done = await on.look("getent", "passwd")
    if why := not_known(done):
        return [Found(**facts, name="*", state="unknown", why=why)]
    known = {one.name for one in target.users}
    # Not by `splitlines`: the name of a person may hold what it takes for the end of a line.
    lines = [line.split(":") for line in done.stdout.split("\n")]
    people = [one[0] for one in lines if len(one) == 7 and one[2].isdigit() and int(one[2]) in PEOPLE]
    return [Found(**facts, name=name, state="unexpected") for name in people if name not in known]
