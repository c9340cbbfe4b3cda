"""One tree cleaned: looked through, decided as a whole, done as one deed, with a line for each file in the store."""

import asyncio
import fcntl
import os
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from blocks.action import Touched
from blocks.errors import C500Error, Conflict, NotAllowed, Stopped
from blocks.progress import in_thread
from blocks.store.files import Files
from tasks.ops.cleanup.bin import Batch, batch_name, batches, purge, recover
from tasks.ops.cleanup.choose import Hold, Plan, choose
from tasks.ops.cleanup.clock import Clock
from tasks.ops.cleanup.holders import open_files
from tasks.ops.cleanup.remove import Check, Remover, line
from tasks.ops.cleanup.report import Lines, Part, key_of, read_lines
from tasks.ops.cleanup.rules import Tree
from tasks.ops.cleanup.scan import Folder, Scan, Skipped
from tasks.ops.deed import Deed, Outcome
from tasks.ops.performer import Performer

LOOK_EVERY_S = 1.0

MakeHold = Callable[[list[Folder]], Hold]
"""Given all that was seen, gives further reasons to stay."""


@dataclass(frozen=True)
class Cleanup:
    """One cleanup, whatever it cleans.

    Attributes:
        performer: Does its deeds.
        files: The store, for reports.
        clock: The time.
    """

    performer: Performer
    files: Files
    clock: Clock

    async def clean(self, tree: Tree, make_hold: MakeHold | None = None) -> Part:
        """Clean a tree; one that is not there is no fault.

        Raises:
            Stopped: a switch stops it.
            ClockJumped: the clock was set meanwhile.
        """
        root = tree.root.expanduser()
        part = Part(name=tree.name, place=str(root))
        if not root.is_dir():
            return part.model_copy(update={"why": "there is no such folder"})
        try:
            with alone(root):
                return await self._cleaned(tree.model_copy(update={"root": root.resolve()}), part, make_hold)
        except Stopped:
            raise
        except (NotAllowed, Conflict) as error:
            return part.model_copy(update={"status": "failed", "why": f"{error.message} ({error.fix})"})
        except OSError as error:
            return part.model_copy(update={"status": "failed", "why": error.strerror or str(error)})

    async def purge_trash(self, tree: Tree, older_than_s: float) -> Part:
        """Delete for good what has been in the trash of a tree for so many seconds. Raises `Stopped`."""
        root = tree.root.expanduser()
        part = Part(name=f"{tree.name}-trash", place=str(root))
        if not root.is_dir():
            return part
        before = datetime.fromtimestamp(self.clock.began.wall_s, UTC) - timedelta(seconds=older_than_s)
        try:
            due = [one for one in await in_thread(batches, root) if one.at <= before]
            if not due:
                return part
            with alone(root):
                return await self._purged(root.resolve(), tree, due, part)
        except Stopped:
            raise
        except (C500Error, OSError) as error:
            return part.model_copy(update={"status": "failed", "why": str(error)})

    async def _purged(self, root: Path, tree: Tree, due: list[Batch], part: Part) -> Part:
        size_bytes = sum(one.size_bytes for one in due)
        counts = {"batches": len(due), "files": sum(one.files for one in due)}
        deed = Deed(
            name=f"{tree.name}/purge-trash/{due[0].batch_id}",
            tool="purge_trash",
            arguments={"root": str(root), "batches": [one.batch_id for one in due]},
            says=f"delete {counts['files']} files of {tree.name} in the trash for good",
            risk="low",
            repeatable=True,
            touched=Touched(writes=(str(root),), size_bytes=size_bytes),
        )

        async def perform() -> Any:
            for batch in due:
                with suppress(FileNotFoundError):  # a killed run got as far
                    await in_thread(purge, root, batch)
            return {"counts": counts, "freed_bytes": size_bytes}

        free = free_bytes(root)
        outcome = await self.performer.do(deed, perform)
        planned = {"counts": counts, "freed_bytes": size_bytes, "disk_bytes": free_bytes(root) - free}
        return _part(part, outcome, planned)

    async def _cleaned(self, tree: Tree, part: Part, make_hold: MakeHold | None) -> Part:
        now = datetime.fromtimestamp(self.clock.began.wall_s, UTC)
        async with self._watched() as watch:
            if not self.performer.dry_run:
                await in_thread(recover, tree.root, now)
            plan, skipped = await in_thread(self._planned, tree, make_hold, watch)
            wanted = await in_thread(self._intended, tree, plan)
            done: dict[str, Any] = _expected(plan)
            if plan.files:
                batch = await in_thread(batch_name, tree.root, tree.name, self.performer.run_id, now)

                async def perform() -> Any:
                    return await in_thread(self._done, tree, plan, batch, wanted, watch)

                free = free_bytes(tree.root)
                outcome = await self.performer.do(_deed(tree), perform)
                done["disk_bytes"] = free_bytes(tree.root) - free
            else:
                outcome = await self._nothing(tree, wanted)
        stay = {why: number for why, number in (*plan.counts.items(), *skipped.counts.items()) if number}
        found = _part(part, outcome, done)
        key = found.report or await in_thread(self._told, tree, plan, skipped, wanted)
        return found.model_copy(update={"counts": {**found.counts, **stay}, "more": plan.more, "report": key})

    async def _nothing(self, tree: Tree, wanted: dict[str, dict[str, Any]]) -> Outcome:
        """What to say where nothing is left to do; a killed attempt of the run may have done it all."""
        deed = _deed(tree)
        known = None if self.performer.dry_run else self.performer.effects.look(self.performer.effect_id(deed))
        if known is None:
            return Outcome(name=deed.name, says=deed.says, status="done", result={"counts": {}})

        async def perform() -> Any:
            return {"counts": _add_earlier(wanted, Lines())}

        return await self.performer.do(deed, perform)

    def _planned(self, tree: Tree, make_hold: MakeHold | None, watch: "Watch") -> tuple[Plan, Skipped]:
        skipped = Skipped()
        scan = Scan(tree.root, tree.below, tree.retention.cross_mounts, skipped, watch.check)
        opened, now_ns = open_files(), self.clock.now_ns
        with watch.busy:
            if make_hold is None:
                return choose(scan.folders(), tree, now_ns=now_ns, opened=opened), skipped
            folders = list(scan.folders())
            return choose(folders, tree, now_ns=now_ns, opened=opened, hold=make_hold(folders)), skipped

    def _intended(self, tree: Tree, plan: Plan) -> dict[str, dict[str, Any]]:
        """What killed attempts of this run meant to do, by path; and have what this one means written down."""
        if self.performer.dry_run:
            return {}
        key = key_of(self.performer.run_id, tree.name, ".intended")
        earlier = {one["path"]: one for one in read_lines(self.files, key)}
        lines = Lines()
        mine: set[str] = set()
        for folder, items in plan.folders:
            for item in items:
                told = line(folder, item, "intended")
                mine.add(told["path"])
                lines.add(told)
        for path in earlier.keys() - mine:
            lines.add(earlier[path])
        if mine:
            lines.put(self.files, key)  # without room for it, only a report after a kill lacks what was done before
        return {path: told for path, told in earlier.items() if not os.path.lexists(tree.root / path)}

    def _done(
        self, tree: Tree, plan: Plan, batch: str, wanted: dict[str, dict[str, Any]], watch: "Watch"
    ) -> dict[str, Any]:
        lines = Lines()
        with watch.busy:
            removed = Remover(tree.root, batch, lines.add, watch.check).run(plan)
        held = open_files(deleted=True) if removed.inodes else set[Any]()
        counts = dict(removed.counts) | _add_earlier(wanted, lines)
        result: dict[str, Any] = {
            "counts": counts,
            "freed_bytes": removed.freed_bytes,
            "trashed_bytes": removed.trashed_bytes,
            "held_bytes": sum(size for one, size in removed.inodes.items() if one in held),
            "troubles": removed.troubles,
        }
        _add_kept(plan, lines)
        return result | {"report": lines.put(self.files, key_of(self.performer.run_id, tree.name))}

    def _told(self, tree: Tree, plan: Plan, skipped: Skipped, wanted: dict[str, dict[str, Any]]) -> str | None:
        """The lines of a run that did nothing, as a dry run."""
        lines = Lines()
        for folder, items in plan.folders:
            for item in items:
                lines.add(line(folder, item, "planned", item.way))
        _add_kept(plan, lines)
        _add_earlier(wanted, lines)
        for path, why in skipped.paths:
            lines.add({"path": path, "status": "skipped", "why": why})
        kind = ".planned" if self.performer.dry_run else ""
        return lines.put(self.files, key_of(self.performer.run_id, tree.name, kind))

    @asynccontextmanager
    async def _watched(self) -> AsyncGenerator["Watch"]:
        """Ends work in threads when a switch stops us; none is left at work after the block, also when cancelled."""
        stopped = threading.Event()
        why: list[Stopped] = []

        async def watch() -> None:
            while not stopped.is_set():
                try:
                    await self.performer.check_stopped()
                except Stopped as error:
                    why.append(error)
                    stopped.set()
                await asyncio.sleep(LOOK_EVERY_S)

        def check() -> None:
            if stopped.is_set():
                raise why[0] if why else Stopped("the cleanup was cancelled", fix="run it again; it goes on")
            self.clock.check()

        watching, busy = asyncio.create_task(watch()), threading.Lock()
        try:
            yield Watch(check, busy)
        finally:
            stopped.set()
            watching.cancel()
            await asyncio.shield(in_thread(busy.acquire))
            with suppress(asyncio.CancelledError):
                await watching


@dataclass(frozen=True)
class Watch:
    """How work in a thread is ended.

    Attributes:
        check: Raises `Stopped` or `ClockJumped`; also when nobody waits for the work any more.
        busy: Held while it is at work.
    """

    check: Check
    busy: threading.Lock


@contextmanager
def alone(root: Path) -> Generator[None]:
    """Be the only cleanup of a folder. Nothing is written for it: the disk may be full. Raises `Conflict`."""
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise Conflict(f"another cleanup of {root} is at work", fix="wait until it has ended") from error
    finally:
        os.close(handle)


def free_bytes(place: Path) -> int:
    """What the disk has free, in bytes, also what only root may use."""
    found = os.statvfs(place)
    return found.f_bfree * found.f_frsize


def _deed(tree: Tree) -> Deed:
    """The deed of cleaning a tree: the same in all attempts of a run, whatever they find."""
    kept = tree.retention
    return Deed(
        name=f"{tree.name}/clean",
        tool="clean_tree",
        arguments={"root": str(tree.root), "rules": tree.model_dump(mode="json", exclude={"root", "name"})},
        says=f"clean {tree.name} in {tree.root}: what is older than {kept.days:g} days",
        risk="low",
        reversible=kept.trash_days > 0,
        repeatable=True,
        touched=Touched(writes=(str(tree.root),)),
    )


def _expected(plan: Plan) -> dict[str, Any]:
    """What a plan would do."""
    ways: dict[str, int] = {}
    for _, items in plan.folders:
        for item in items:
            ways[f"to {item.way}"] = ways.get(f"to {item.way}", 0) + 1
    return {"counts": ways, "freed_bytes": plan.freed_bytes, "trashed_bytes": plan.left_bytes}


def _part(part: Part, outcome: Outcome, planned: dict[str, Any]) -> Part:
    found: dict[str, Any] = {"status": outcome.status, "why": outcome.why}
    if outcome.error is not None:
        found["why"] = f"{outcome.error.message} ({outcome.error.fix})"
    if outcome.status == "planned":
        found |= planned | {"disk_bytes": None}
    elif outcome.status == "done":
        found |= {"disk_bytes": planned.get("disk_bytes"), **outcome.result}
    return Part.model_validate(part.model_dump() | found)


def _add_kept(plan: Plan, lines: Lines) -> None:
    for path, why in plan.kept:
        lines.add({"path": path, "status": "kept", "why": why})


def _add_earlier(wanted: dict[str, dict[str, Any]], lines: Lines) -> dict[str, int]:
    """Add what a killed attempt had done: what it meant to do, and is not there any more."""
    for told in wanted.values():
        lines.add(told | {"status": "done before", "why": "by an attempt of this run that was killed"})
    return {"done before": len(wanted)} if wanted else {}
