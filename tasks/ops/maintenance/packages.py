"""Updates of Debian packages, taken back where the host is not well afterwards."""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from blocks.errors import EngineFailed
from tasks.ops.maintenance.doing import OnHost
from tasks.ops.maintenance.plan import PackageUpdates
from tasks.ops.maintenance.result import TaskResult
from tasks.ops.on_host import result_of

# apt-get(8), --simulate: `Inst libc6 [2.36-9+deb12u9] (2.36-9+deb12u10 Debian:12.11/stable [amd64])`
INSTALL = re.compile(r"^Inst (?P<name>\S+) \[(?P<old>\S+)\] \((?P<new>\S+) ")
QUIET = ("-y", "-q", "-o", "Dpkg::Options::=--force-confold", "-o", "Dpkg::Options::=--force-confdef")
PLAN_CHARS = 500_000
"""Of what apt would do; a line for each package and step. The ledger takes twice as much."""


Update = tuple[str, str, str]
"""Name, version before, version after."""


async def update_packages(at: OnHost, task: PackageUpdates) -> TaskResult:
    """Update what the task names; see `PackageUpdates`."""
    if not at.performer.dry_run:
        refreshed = await at.do(
            "refresh",
            ("apt-get", "update", "-q"),
            "read the lists of packages",
            repeatable=True,
            risk="low",
            env=_env(task),
        )
        if (failed := at.not_done(refreshed)) is not None:
            return failed
    if (before := await at.unwell("before")) is not None:
        return at.result("failed", "the host was not well before, so nothing was updated", before)
    # Recorded as a deed: an attempt after a crash must know the versions that were there at first.
    looked = await at.do(
        "plan", ("apt-get", "--simulate", "-q", "upgrade"), "look which packages are new", repeatable=True, risk="low",
        read_only=at.performer.dry_run, consent="rules", shown_chars=PLAN_CHARS, env=_env(task),
    )  # fmt: skip
    if (failed := at.not_done(looked)) is not None:
        return failed
    if result_of(looked).truncated:
        return at.result("failed", "apt tells of more updates than can be looked through; name some in `only`")
    updates = _chosen(updates_in(result_of(looked).stdout), task)
    if not updates:
        return at.result("ok", "all packages are up to date")
    return await _updated(at, task, updates)


async def _updated(at: OnHost, task: PackageUpdates, updates: Sequence[Update]) -> TaskResult:
    details = [f"{name} {old} → {new}" for name, old, new in updates]
    done = await at.do(
        "install",
        _install(((name, new) for name, _, new in updates)),
        f"update {len(updates)} packages",
        reversible=True,
        repeatable=True,
        env=_env(task),
    )
    if done.status in ("planned", "refused"):
        result = at.not_done(done)
        assert result is not None  # noqa: S101 - of these two it gives one
        return result.model_copy(update={"details": (*result.details, *details)})
    broken = at.not_done(done)
    if broken is None:
        if (unwell := await at.unwell()) is None:
            return at.result("changed", f"{len(updates)} packages updated", details)
        broken = at.result("failed", "the check failed after the update", unwell)
    undone = await at.do(
        "roll-back",
        _install(((name, old) for name, old, _ in updates), "--allow-downgrades"),
        f"put {len(updates)} packages back to their old versions",
        repeatable=True,
        consent="rules",
        reversible=True,
        env=_env(task),
    )
    back = at.not_done(undone)
    told = "; the old versions are back" if back is None else f"; rolling back failed, too: {back.summary}"
    return at.result("failed", broken.summary + told, [*broken.details, *details])


def updates_in(simulated: str) -> list[Update]:
    """The updates that `apt-get --simulate upgrade` tells of; new packages are none."""
    found = (INSTALL.match(line) for line in simulated.splitlines())
    return [(one["name"], one["old"], one["new"]) for one in found if one]


def _chosen(updates: Iterable[Update], task: PackageUpdates) -> list[Update]:
    def is_in(name: str, patterns: Sequence[str]) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in patterns)

    return [one for one in updates if (not task.only or is_in(one[0], task.only)) and not is_in(one[0], task.hold)]


def _install(versions: Iterable[tuple[str, str]], *more: str) -> tuple[str, ...]:
    words = tuple(f"{name}={version}" for name, version in versions)
    if not all(re.fullmatch(r"[a-z0-9][a-z0-9+.:-]*=[A-Za-z0-9.+:~-]+", word) for word in words):
        raise EngineFailed("apt tells of packages with names that no package has", fix="run apt-get on the host")
    return ("apt-get", "install", "--only-upgrade", "--no-remove", *QUIET, *more, *words)


def _env(task: PackageUpdates) -> dict[str, str]:
    config = {"APT_CONFIG": task.apt_config} if task.apt_config else {}
    return {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"} | config
