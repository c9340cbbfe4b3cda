"""Corrections that the declared state marks as safe, as deeds; what was before is kept, to take them back."""

import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from blocks.action import Touched
from blocks.errors import BadInput, C500Error, NotFound
from blocks.hosts import Inventory, open_host
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.store.files import Files
from tasks.ops.deed import JSON, Consent, Deed, Outcome
from tasks.ops.drift.change import Change, On, Seen, Undo, changed_since
from tasks.ops.drift.files import actual_file
from tasks.ops.drift.found import Found
from tasks.ops.performer import Performer

FOLDER = "operations/drift"
Look = Callable[[], Awaitable[Found]]


class Correction(Frozen):
    """A correction, as it is kept.

    Attributes:
        host: Where.
        kind, name: Of what.
        says: What it does.
        become: Whether it was done as root.
        undo: How it is taken back.
        begun: Whether it was begun; else there is nothing to take back.
        begun_at_s: When, in Unix time: what was done last is taken back first.
    """

    host: str
    kind: str
    name: str
    says: str
    become: bool
    undo: Undo
    begun: bool = False
    begun_at_s: float = 0.0


@dataclass(frozen=True)
class Correcting:
    """Corrects what was found on a host.

    Attributes:
        performer: Does the deeds.
        files: The store.
        on: The host.
        consent: Who must agree.
    """

    performer: Performer
    files: Files
    on: On
    consent: Consent

    async def correct(self, seen: Seen, look: Look) -> Found:
        """Correct one thing, where it is marked as safe, and look again; what came of it is in the result.

        Raises:
            Stopped: a switch stops it.
        """
        found, change = seen.found, seen.change
        if not found.safe or found.corrected_why or found.state in ("same", "unknown"):
            return found
        if change is None:
            return found.model_copy(update={"corrected_why": "this is for people to put right"})
        if not self.performer.dry_run:
            kept = await self.performer.do(self._keeping(found, change), lambda: self._keep(found, change))
            if not kept.ok:
                return _told(found, kept)
        outcome = await self.performer.do(self._deed(found, change), lambda: self._apply(found, change))
        if outcome.status != "done":
            return _told(found, outcome)
        try:
            after = await look()
        except C500Error as error:
            why = f"it cannot be looked at again: {error.message}"
            return found.model_copy(update={"correction": "failed", "corrected_why": why})
        if after.state != "same":
            return found.model_copy(update={"correction": "failed", "corrected_why": f"it is {after.state} still"})
        return found.model_copy(update={"correction": "done"})

    async def _keep(self, found: Found, change: Change) -> JSON:
        correction = Correction(
            host=found.host,
            kind=found.kind,
            name=found.name,
            says=change.says,
            become=self.on.become,
            undo=await change.keep(self.on),
        )
        key = self._key(found)
        if not await in_thread(_is_begun, self.files, key):  # else what was before the attempt that died is kept
            await in_thread(_put, self.files, key, correction)
        return {"kept": key}

    async def _apply(self, found: Found, change: Change) -> JSON:
        key = self._key(found)
        correction = Correction.model_validate_json(await in_thread(self.files.read_bytes, key))
        if not correction.begun:
            begun = correction.model_copy(update={"begun": True, "begun_at_s": time.time()})
            await in_thread(_put, self.files, key, begun)
        await change.apply(self.on)
        return {"corrected": found.name}

    def _keeping(self, found: Found, change: Change) -> Deed:
        return Deed(
            name=f"{self._name(found)}/keep",
            tool="keep_before",
            arguments={"host": found.host, "keep": self.on.keep, "name": found.name, "change": change.arguments},
            says=f"keep what {found.name} is on {found.host}",
            risk="low",
            reversible=True,
            repeatable=True,
        )

    def _deed(self, found: Found, change: Change) -> Deed:
        return Deed(
            name=self._name(found),
            tool=change.tool,
            arguments={"host": found.host, "become": self.on.become, **change.arguments},
            says=f"{change.says} on {found.host}",
            reversible=True,
            repeatable=True,
            outside=True,
            consent=self.consent,
            touched=change.touched,
        )

    def _name(self, found: Found) -> str:
        return f"{found.host}/{found.target}/{found.kind}/{_slug(found)}"

    def _key(self, found: Found) -> str:
        return f"{FOLDER}/{self.performer.run_id}/corrections/{found.host}-{found.kind}-{_slug(found)}.json"


def corrections_of(files: Files, run_id: str) -> tuple[Correction, ...]:
    """The corrections that a run has begun, the latest first.

    Raises:
        NotFound: it has begun none.
        BadInput: what is kept of one cannot be read.
    """
    try:
        kept = [
            Correction.model_validate_json(files.read_bytes(key))
            for key in files.list(f"{FOLDER}/{run_id}/corrections/")
        ]
    except ValidationError:
        raise BadInput(f"a correction of {run_id} cannot be read", fix="take it back by hand", field="run") from None
    found = tuple(sorted((one for one in kept if one.begun), key=lambda one: -one.begun_at_s))
    if not found:
        raise NotFound(f"the run {run_id} has corrected nothing", fix="give the id of a run that has", field="run")
    return found


async def take_back(performer: Performer, inventory: Inventory, corrections: tuple[Correction, ...]) -> list[Outcome]:
    """Take corrections back, as deeds; what came of each. A file that somebody changed since is left.

    Raises:
        NotFound: a host is in the inventory no more; nothing is done then.
        Stopped: a switch stops it.
    """
    # Each by the name it was found under: `local` may be listed under another one by now.
    machines = {name: inventory.chosen([name])[0] for name in sorted({one.host for one in corrections})}
    outcomes: list[Outcome] = []
    for one in corrections:
        deed = Deed(
            name=f"{one.host}/{one.kind}/{hashlib.sha256(one.name.encode()).hexdigest()[:16]}/back",
            tool="take_back",
            arguments={"host": one.host, "become": one.become, "commands": [list(c.argv) for c in one.undo.commands]},
            says=f"take back: {one.says} on {one.host}",
            reversible=True,
            repeatable=True,
            outside=True,
            touched=Touched(argv=one.undo.commands[0].argv, writes=(one.undo.path,) if one.undo.path else ()),
        )

        async def perform(one: Correction = one) -> JSON:
            async with open_host(machines[one.host]) as host:
                return await _taken_back(On(host, one.become, ""), one)

        outcomes.append(await performer.do(deed, perform))
    return outcomes


async def _taken_back(on: On, one: Correction) -> dict[str, Any]:
    undo = one.undo
    if undo.path is not None:
        now = (await actual_file(on, undo.path)).sha256
        if now == undo.before_sha256 and undo.before_sha256 != undo.sha256:
            return {"taken_back": one.name, "already": True}
        if now != undo.sha256:
            raise changed_since(undo.path)
    for command in undo.commands:
        await on.run(command)
    return {"taken_back": one.name}


def _told(found: Found, outcome: Outcome) -> Found:
    why = outcome.error.message if outcome.error else outcome.why
    return found.model_copy(update={"correction": outcome.status, "corrected_why": why})


def _slug(found: Found) -> str:
    """Names it in keys and deeds: names of files may hold anything."""
    return hashlib.sha256(f"{found.target}/{found.kind}/{found.name}".encode()).hexdigest()[:16]


def _is_begun(files: Files, key: str) -> bool:
    return files.exists(key) and Correction.model_validate_json(files.read_bytes(key)).begun


def _put(files: Files, key: str, correction: Correction) -> None:
    files.put_bytes(key, correction.model_dump_json().encode("utf-8", "surrogatepass"), "application/json")
