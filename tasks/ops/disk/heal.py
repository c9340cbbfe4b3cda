"""Healing the disks of hosts: one safe action after the other, measured before and after, until there is room."""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from blocks.action import Touched
from blocks.errors import C500Error, Stopped
from blocks.hosts import Host, Inventory, Machine, open_host
from blocks.model import Frozen
from blocks.plain_text import plain
from blocks.resource_locks import ResourceLocks
from tasks.ops.deed import JSON, Deed, Outcome
from tasks.ops.disk.findings import Findings, Looking
from tasks.ops.disk.report import DiskHealed, DiskStatus, Step
from tasks.ops.disk.rules import DiskAction, DiskRules
from tasks.ops.disk.usage import FileSystem, Usage, filesystem_of, filesystems_of, usage_of
from tasks.ops.on_host import ran
from tasks.ops.performer import Performer

SAID_CHARS = 1000
CHECK_S = 60.0
MARGIN_S = 120.0
"""Longer than an action may take, a host is held: measuring takes time, too."""


class First(Frozen):
    """How a file system was when the run began.

    Attributes:
        usage: How full.
        is_full: Whether that is too full.
        findings: What takes the room.
    """

    usage: Usage
    is_full: bool
    findings: Findings


async def heal_hosts(
    performer: Performer, rules: DiskRules, inventory: Inventory, locks: ResourceLocks
) -> tuple[DiskHealed, ...]:
    """Heal the full disks of the hosts of the rules, some hosts at once; what came of each disk.

    Raises:
        NotFound: the rules name a host that there is not; nothing is done then.
        Stopped: a switch stops it.
    """
    machines = inventory.chosen(rules.hosts)
    applied = {action.name: {one.name for one in inventory.chosen(action.hosts)} for action in rules.actions}
    at_once = asyncio.Semaphore(rules.parallel)

    async def on(machine: Machine) -> list[DiskHealed]:
        own = [action for action in rules.actions if machine.name in applied[action.name]]
        async with at_once:
            try:
                async with open_host(machine) as host:
                    found = await filesystems_of(host, rules.filesystems)
                    return [await Healing(performer, host, one, rules, own, locks).heal() for one in found]
            except Stopped:
                raise
            except C500Error as error:
                return [DiskHealed(host=machine.name, mount="", status="unknown", why=error.message)]

    # All end before any of what they raise is raised: an effect must not be cut off by what goes wrong beside it.
    ends = await asyncio.gather(*map(on, machines), return_exceptions=True)
    disks: list[DiskHealed] = []
    for end in ends:
        if isinstance(end, BaseException):
            raise end
        disks += end
    return tuple(disks)


@dataclass(frozen=True)
class Healing:
    """A file system that is looked at, and healed where it is full.

    Attributes:
        performer: Does the deeds.
        host: Where.
        on: The file system.
        rules: What is full, and when it is not any more.
        actions: Those that are for this host, in order.
        locks: One run at a time makes room on a host: two could not tell whose gain it was.
    """

    performer: Performer
    host: Host
    on: FileSystem
    rules: DiskRules
    actions: Sequence[DiskAction]
    locks: ResourceLocks

    async def heal(self) -> DiskHealed:
        """Heal it; what cannot be done is told in the result. Raises `Stopped`."""
        first, steps = None, list[Step]()
        try:
            first = await self._first()
            if not first.is_full:
                return self._ended("well", first, first.usage, ())
            return await self._healed(first, steps)
        except Stopped:
            raise
        except C500Error as error:
            return DiskHealed(
                host=self.host.name,
                mount=self.on.mount,
                status="unknown",
                why=error.message,
                before=first and first.usage,
                findings=first and first.findings,
                steps=tuple(steps),
            )

    async def _healed(self, first: First, steps: list[Step]) -> DiskHealed:
        """Heal it; the steps that were done are in the list also where an error ends it."""
        now = first.usage
        for number, action in enumerate(self.actions):
            if not self.performer.dry_run:
                now = await usage_of(self.host, self.on.mount)
            if now.fullest_percent <= self.rules.target and not self._was_begun(action):
                if any(self._was_begun(one) for one in self.actions[number:]):
                    continue  # what an earlier attempt did after it is told, too
                break
            step = await self._step(action, now, first.findings)
            steps.append(step)
            if step.status == "planned":
                now = now.without(step.expected_bytes or 0)
            elif self._was_in_vain(action, step):
                now = await usage_of(self.host, self.on.mount)
                if now.fullest_percent > self.rules.target:
                    return self._ended("no_gain", first, now, steps, f"{action.name} made no room")
        if self.performer.dry_run:
            status = "planned" if self._may_be_enough(now, steps) else "insufficient"
            return self._ended(status, first, first.usage, steps)
        now = await usage_of(self.host, self.on.mount)
        has_room = now.fullest_percent <= self.rules.target
        return self._ended("healed" if has_room else "exhausted", first, now, steps)

    def _may_be_enough(self, now: Usage, steps: Sequence[Step]) -> bool:
        """Whether what a dry run plans may make enough room; of what nobody foretells, it may."""
        planned = [one for one in steps if one.status == "planned"]
        is_open = now.lacks_inodes or any(one.expected_bytes is None for one in planned)
        return now.fullest_percent <= self.rules.target or (bool(planned) and is_open)

    async def _first(self) -> First:
        """How it was at first, kept: an attempt after a crash tells, and decides by, what the first one saw."""

        async def look() -> JSON:
            usage = await usage_of(self.host, self.on.mount)
            is_full = usage.fullest_percent > self.rules.threshold_percent
            looking = Looking(self.host, self.on, usage, self.rules.look_s, self.rules.become)
            findings = await looking.look(self.rules.places) if is_full else Findings()
            return First(usage=usage, is_full=is_full, findings=findings).model_dump(mode="json")

        deed = Deed(
            name=f"{self._name}/look",
            tool="look_at_disk",
            arguments={"host": self.host.name, "mount": self.on.mount},
            says=f"look at {self.on.mount} on {self.host.name}",
            risk="low",
            read_only=self.performer.dry_run,
            reversible=True,
            repeatable=True,
        )
        return First.model_validate((await self.performer.do(deed, look)).checked().result)

    async def _step(self, action: DiskAction, now: Usage, findings: Findings) -> Step:
        """Do an action, where it applies."""
        expected = action.expects
        if expected is None and action.when.finding is not None:
            expected = findings.size_of(action.when.finding)
        if not self._was_begun(action) and (why := await self._why_not(action, now, findings)):
            return Step(action=action.name, status="skipped", why=why)
        known = self.performer.effects.look(self.performer.effect_id(self._deed(action)))
        again = known is not None and known.state == "begun"
        with self._holding(action):
            outcome = await self.performer.do(self._deed(action), lambda: self._act(action, again=again))
        return _step_of(action, outcome, None if expected is None else int(expected))

    async def _why_not(self, action: DiskAction, now: Usage, findings: Findings) -> str:
        """Why an action does not apply; empty: it does."""
        when = action.when
        place = await filesystem_of(self.host, action.place)
        if place is None or place.device != self.on.device:
            return f"there is no {action.place} here"
        if when.used_percent_above is not None and now.fullest_percent <= when.used_percent_above:
            return f"it is not fuller than {when.used_percent_above:g} %"
        if when.finding is not None and findings.size_of(when.finding) < when.at_least:
            return f"less than {when.at_least.human_readable(decimal=True)} of {when.finding} found"
        if when.check is not None:
            done = await self.host.run(when.check, timeout_s=CHECK_S, become=action.become)
            if not done.ok:
                return f"its check ended with {done.exit_code}"
        return ""

    async def _act(self, action: DiskAction, *, again: bool) -> JSON:
        """The command, and how full the file system was before and after it, so that no attempt has to guess.

        Args:
            action: Which.
            again: Whether an earlier attempt died in the middle of it, who may have had the gain.
        """
        before = await usage_of(self.host, self.on.mount)
        how = {"timeout_s": action.timeout_s, "become": action.become}
        done = await ran(self.host, action.argv, is_safe=action.repeatable, **how)
        said = (done.stderr.strip() or done.stdout.strip())[-SAID_CHARS:]
        return {
            "ended": "well" if done.ok else "was too slow" if done.timed_out else f"ended with {done.exit_code}",
            "said": said,
            "again": again,
            "before": before.model_dump(mode="json"),
            "after": (await usage_of(self.host, self.on.mount)).model_dump(mode="json"),
        }

    def _deed(self, action: DiskAction) -> Deed:
        arguments = {"host": self.host.name, "argv": list(action.argv), "become": action.become}
        return Deed(
            name=f"{self._name}/{action.name}",
            tool="run_on_host",
            arguments=arguments,
            says=f"run {' '.join(action.argv)} on {self.host.name}, to make room in {self.on.mount}",
            risk=action.risk,
            reversible=action.reversible,
            repeatable=action.repeatable,
            outside=True,
            consent=action.consent,
            touched=Touched(argv=action.argv),
        )

    def _was_begun(self, action: DiskAction) -> bool:
        """Whether an earlier attempt of the run has begun it: what was decided then stands."""
        return self.performer.effects.look(self.performer.effect_id(self._deed(action))) is not None

    def _was_in_vain(self, action: DiskAction, step: Step) -> bool:
        """Whether an action made no room, so that something is not as the rules think."""
        if step.status != "done" or step.is_again or action.on_no_gain == "next":
            return False
        lacks_inodes = step.before is not None and step.before.lacks_inodes
        return step.gained_inodes <= 0 if lacks_inodes else step.gained_bytes < self.rules.least_gain

    @contextmanager
    def _holding(self, action: DiskAction) -> Generator[None]:
        """Be the only run that makes room on the host. Raises `Conflict`."""
        if self.performer.dry_run:
            yield
            return
        waits_s = self.performer.approval_s if self.performer.attended else 0.0
        term_s = action.timeout_s + waits_s + MARGIN_S
        lock = self.locks.take(f"disks/{self.host.name}", self.performer.run_id, term_s=term_s)
        try:
            yield
        finally:
            self.locks.release(lock)

    @property
    def _name(self) -> str:
        return f"{self.host.name}{plain(self.on.mount)}"[:300]

    def _ended(self, status: DiskStatus, first: First, now: Usage, steps: Sequence[Step], why: str = "") -> DiskHealed:
        return DiskHealed(
            host=self.host.name,
            mount=self.on.mount,
            status=status,
            why=why,
            before=first.usage,
            after=now,
            findings=first.findings,
            steps=tuple(steps),
        )


def _step_of(action: DiskAction, outcome: Outcome, expected_bytes: int | None) -> Step:
    if outcome.status != "done":
        why = outcome.error.message if outcome.error else outcome.why
        return Step(action=action.name, status=outcome.status, why=why, expected_bytes=expected_bytes)
    before, after = (Usage.model_validate(outcome.result[moment]) for moment in ("before", "after"))
    ended_well, is_again = outcome.result["ended"] == "well", bool(outcome.result["again"])
    why = "an attempt that died had begun it, and may have had the gain" if is_again else ""
    return Step(
        action=action.name,
        status="done" if ended_well else "failed",
        why=why if ended_well else f"{action.argv[0]} {outcome.result['ended']}: {outcome.result['said']}",
        is_again=is_again,
        expected_bytes=expected_bytes,
        gained_bytes=before.used_bytes - after.used_bytes,
        gained_inodes=before.inodes_used - after.inodes_used,
        before=before,
        after=after,
    )
