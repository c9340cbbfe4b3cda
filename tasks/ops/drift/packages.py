"""Debian packages against what is declared of them."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from tasks.ops.drift.change import Change, Command, Commands, On, Seen
from tasks.ops.drift.declared import DeclaredPackage, Target
from tasks.ops.drift.found import Found, difference, not_known

ASKED = "${Package}\\t${db:Status-Status}\\t${Version}\\n"
QUIET = ("-y", "-q", "-o", "Dpkg::Options::=--force-confold", "-o", "Dpkg::Options::=--force-confdef")


async def look_at_packages(on: On, target: Target) -> list[Seen]:
    """All packages of a target."""
    if not target.packages:
        return []
    admindir = (f"--admindir={target.dpkg_admindir}",) if target.dpkg_admindir else ()
    done = await on.look("dpkg-query", *admindir, "-W", "-f", ASKED)
    if why := not_known(done):
        return [Seen(_found(on, target, one, one.name, "unknown", why=why)) for one in target.packages]
    versions = installed(done.stdout)
    return [seen for one in target.packages for seen in await _seen(on, target, one, versions)]


def installed(told: str) -> dict[str, str]:
    """Installed packages with their versions."""
    found: dict[str, str] = {}
    for line in told.splitlines():
        name, _, rest = line.partition("\t")
        status, _, version = rest.partition("\t")
        if status == "installed":
            found[name] = version
    return found


async def _seen(on: On, target: Target, one: DeclaredPackage, versions: Mapping[str, str]) -> list[Seen]:
    if one.state == "absent":
        names = [name for name in versions if fnmatchcase(name, one.name)]
        same = [Seen(_found(on, target, one, one.name, "same"))]
        return [await _unexpected(on, target, one, name, versions[name]) for name in names] or same
    actual = versions.get(one.name)
    if actual is None:
        return [Seen(_found(on, target, one, one.name, "missing"), _install(target, one, None))]
    if one.version is None or fnmatchcase(actual, one.version):
        return [Seen(_found(on, target, one, one.name, "same"))]
    differences = (difference("version", one.version, actual),)
    found = _found(on, target, one, one.name, "drifted", differences=differences)
    return [Seen(found, _install(target, one, actual))]


async def _unexpected(on: On, target: Target, one: DeclaredPackage, name: str, version: str) -> Seen:
    differences = (difference("version", "absent", version),)
    found = _found(on, target, one, name, "unexpected", differences=differences)
    if not one.correct:
        return Seen(found)
    # Only looked: what else would go with it, since it needs this one?
    done = await on.look(*_apt(target, "--simulate", "remove", name))
    going = [line.split()[1].partition(":")[0] for line in done.stdout.splitlines() if line.startswith("Remv ")]
    if not done.ok or going != [name]:
        others = ", ".join(sorted({*going} - {name}))
        why = f"others need it: {others}" if others else "apt does not say what would go with it"
        return Seen(found.model_copy(update={"corrected_why": why[:300]}))
    return Seen(
        found,
        Commands(
            says=f"remove the package {name}",
            commands=(Command(argv=_apt(target, "remove", *QUIET, name)),),
            undo=(Command(argv=_apt(target, "install", *QUIET, "--allow-downgrades", f"{name}={version}")),),
        ),
    )


def _install(target: Target, one: DeclaredPackage, before: str | None) -> Change:
    # Of a pattern apt itself takes the best version that fits; without it, it might take one that does not.
    what = one.name if one.version is None else f"{one.name}={one.version}"
    back = (
        _apt(target, "remove", *QUIET, one.name)
        if before is None
        else _apt(target, "install", *QUIET, "--allow-downgrades", f"{one.name}={before}")
    )
    return Commands(
        says=f"install the package {what}",
        commands=(Command(argv=_apt(target, "install", *QUIET, "--no-remove", "--allow-downgrades", what)),),
        undo=(Command(argv=back),),
    )


def _apt(target: Target, *words: str) -> tuple[str, ...]:
    config: Sequence[str] = (f"APT_CONFIG={target.apt_config}",) if target.apt_config else ()
    return ("env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", *config, "apt-get", *words)


def _found(on: On, target: Target, one: DeclaredPackage, name: str, state: Any, **more: Any) -> Found:
    facts: dict[str, Any] = {"target": target.name, "host": on.host.name, "kind": "package", "safe": one.correct}
    return Found(**facts, name=name, state=state, **more)
