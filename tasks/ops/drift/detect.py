"""Looking at all that is declared, and correcting what is marked as safe."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from blocks.errors import C500Error, NotFound, Stopped
from blocks.hosts import Inventory, Machine, open_host
from blocks.store.files import Files
from tasks.ops.deed import Consent
from tasks.ops.drift.change import On, Seen
from tasks.ops.drift.correct import Correcting
from tasks.ops.drift.declared import Cluster, Declared, Object, Target, TerraformFolder
from tasks.ops.drift.files import look_at_file, look_for_others
from tasks.ops.drift.found import Found
from tasks.ops.drift.kubernetes import look_at_object, look_for_other_objects
from tasks.ops.drift.packages import look_at_packages
from tasks.ops.drift.terraform import look_at_terraform
from tasks.ops.drift.units import look_at_unit, look_at_users
from tasks.ops.performer import Performer

Look = Callable[[], Awaitable[list[Seen]]]


@dataclass(frozen=True)
class Part:
    """What is looked at on one host.

    Attributes:
        name: In the declared state.
        machine: The host.
        become: Whether as root.
        consent: Who must agree to corrections.
        looks: How it is looked at there.
    """

    name: str
    machine: Machine
    become: bool
    consent: Consent
    looks: Callable[[On], list[Look]]


async def detect(
    performer: Performer,
    declared: Declared,
    inventory: Inventory,
    files: Files,
    *,
    only: Sequence[str] = (),
    correct: bool = True,
) -> tuple[Found, ...]:
    """Look at all that is declared, on several hosts at once.

    Args:
        performer: Does the corrections.
        declared: The state.
        inventory: The hosts.
        files: The store.
        only: Names of parts; empty: all.
        correct: Whether what is marked as safe is corrected.

    Raises:
        NotFound: there is no such part or host; nothing is done then.
        Stopped: a switch stops it.
    """
    if unknown := [name for name in only if name not in declared.names]:
        known = ", ".join(declared.names)
        raise NotFound(f"nothing is declared as {', '.join(unknown)}", fix=f"use one of {known}", field="only")
    parts = [one for one in parts_of(declared, inventory) if not only or one.name in only]
    at_once = {machine: asyncio.Semaphore(1) for machine in {one.machine.name for one in parts}}
    hosts_at_once = asyncio.Semaphore(declared.parallel)
    keep = f"{declared.keep}/{performer.run_id}"

    async def on(part: Part) -> list[Found]:
        found: list[Found] = []
        # One part after the other on a host: two that change packages there would be in each other's way.
        async with at_once[part.machine.name], hosts_at_once:
            try:
                async with open_host(part.machine) as host:
                    await _at(performer, files, On(host, part.become, keep), part, found, correct=correct)
            except Stopped:
                raise
            except C500Error as error:
                facts: dict[str, Any] = {
                    "target": part.name,
                    "host": part.machine.name,
                    "name": part.name,
                    "why": error.message,
                }
                found.append(Found(**facts, kind="target", state="unknown"))
        return found

    # All end before any of what they raise is raised: a correction must not be cut off by what goes wrong beside it.
    ends = await asyncio.gather(*map(on, parts), return_exceptions=True)
    found: list[Found] = []
    for end in ends:
        if isinstance(end, BaseException):
            raise end
        found += end
    return tuple(found)


def parts_of(declared: Declared, inventory: Inventory) -> list[Part]:
    """What is looked at, where. Raises `NotFound`."""
    targets = [
        Part(one.name, machine, one.become, one.consent, partial(_target_looks, one))
        for one in declared.targets
        for machine in inventory.chosen(one.hosts)
    ]
    clusters = [
        Part(one.name, machine, False, one.consent, partial(_cluster_looks, one, declared.objects[one.name]))
        for one in declared.kubernetes
        for machine in inventory.chosen([one.host])
    ]
    folders = [
        Part(one.name, machine, False, "rules", partial(_folder_looks, one, declared.folder))
        for one in declared.terraform
        for machine in inventory.chosen([one.host])
    ]
    return [*targets, *clusters, *folders]


async def _at(performer: Performer, files: Files, on: On, part: Part, found: list[Found], *, correct: bool) -> None:
    """Add what is found to a list, which has all that was corrected also where the host is lost in the middle."""
    correcting = Correcting(performer, files, on, part.consent)
    for look in part.looks(on):
        for seen in await look():
            found.append(await correcting.correct(seen, partial(_again, look, seen.found)) if correct else seen.found)


async def _again(look: Look, before: Found) -> Found:
    """What is found of the same thing now; what is not told any more is as it should be."""
    for seen in await look():
        if (seen.found.kind, seen.found.name) == (before.kind, before.name):
            return seen.found
    return before.model_copy(update={"state": "same"})


def _target_looks(target: Target, on: On) -> list[Look]:
    name = target.name
    return [
        *(partial(_one, partial(look_at_file, on, name, file)) for file in target.files),
        *(partial(look_for_others, on, name, only, target.files) for only in target.only_declared),
        partial(look_at_packages, on, target),
        *(partial(_one, partial(look_at_unit, on, name, unit)) for unit in target.units),
        partial(look_at_users, on, target),
    ]


def _cluster_looks(cluster: Cluster, objects: Sequence[Object], on: On) -> list[Look]:
    return [
        *(partial(_one, partial(look_at_object, on, cluster, one)) for one in objects),
        *(partial(look_for_other_objects, on, cluster, kind, objects) for kind in cluster.only),
    ]


def _folder_looks(folder: TerraformFolder, place: Path, on: On) -> list[Look]:
    return [partial(look_at_terraform, on, folder, place)]


async def _one(look: Callable[[], Awaitable[Seen]]) -> list[Seen]:
    return [await look()]
