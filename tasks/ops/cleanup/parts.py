"""The parts of a cleanup: logs, audio, the store's results, Redis."""

from contextlib import suppress
from glob import escape
from typing import Any

from prefect.client.orchestration import get_client

from blocks.action import Touched
from blocks.errors import C500Error, NotFound, Stopped
from blocks.progress import in_thread
from blocks.settings import Settings
from blocks.steps import RESULTS
from blocks.store.files import Files
from blocks.store.local import LocalFiles
from blocks.subjects.held import ids_held, traces_held
from blocks.subjects.subject import Traces
from tasks.ops.cleanup.audio import JOBS, audio_hold, audio_tree, jobs_known
from tasks.ops.cleanup.cache import (
    CacheRules,
    Useless,
    connected,
    orphaned_keys,
    remove_keys,
    remove_results,
    useless_results,
    utc,
)
from tasks.ops.cleanup.plan import CleanupPlan, at_once, log_trees
from tasks.ops.cleanup.report import Lines, Part, key_of
from tasks.ops.cleanup.rules import Tree
from tasks.ops.cleanup.scan import TRASH
from tasks.ops.cleanup.tree import Cleanup
from tasks.ops.deed import Deed, Outcome

DAY_S = 86_400.0


async def logs_parts(cleanup: Cleanup, plan: CleanupPlan, chosen: Settings, *, urgent: bool = False) -> list[Part]:
    """Clean the folders of log files, and their trash.

    Args:
        cleanup: Does it.
        plan: What is cleaned.
        chosen: The settings.
        urgent: Whether the room is needed at once: then nothing goes through the trash.
    """
    parts: list[Part] = []
    for tree in log_trees(plan, chosen.log_dir):
        parts += await _tree_parts(cleanup, tree, urgent=urgent)
    return parts


async def audio_parts(cleanup: Cleanup, plan: CleanupPlan, *, urgent: bool = False) -> list[Part]:
    """Clean the audio of jobs that are over, and its trash; see `logs_parts`."""
    if not isinstance(cleanup.files, LocalFiles):
        why = "the store is not on this machine; let a lifecycle rule of the bucket expire what lies under jobs/"
        return [Part(name="audio", place="store", why=why)]
    async with get_client() as client:
        known = await jobs_known(client, cleanup.files)
    tree = audio_tree(cleanup.files.root, plan.audio)
    young_ns = cleanup.clock.now_ns - round(plan.audio.days * DAY_S * 1e9)
    held = await in_thread(ids_held, cleanup.files)
    if trashed := [one for one in sorted(held) if any(cleanup.files.root.glob(f"{TRASH}/*/{JOBS}/{escape(one)}"))]:
        why = f"audio of {trashed[0]} lies in the trash, and is on legal hold: nothing of the trash is deleted"
        kept = Part(name="audio-trash", place=str(cleanup.files.root), why=why)
        return [kept, await cleanup.clean(_at(tree, urgent=urgent), audio_hold(known, young_ns, held))]
    return await _tree_parts(cleanup, tree, audio_hold(known, young_ns, held), urgent=urgent)


async def cache_parts(cleanup: Cleanup, plan: CleanupPlan, chosen: Settings) -> list[Part]:
    """Clean what steps keep in the store, and Redis."""
    return [await _results(cleanup), await _redis(cleanup, plan.cache, chosen.redis_url)]


async def _tree_parts(cleanup: Cleanup, tree: Tree, make_hold: Any = None, *, urgent: bool) -> list[Part]:
    tree = _at(tree, urgent=urgent)
    # First, since it frees room: also for the folders that the trash needs.
    purged = await cleanup.purge_trash(tree, 0 if urgent else tree.retention.trash_days * DAY_S)
    cleaned = await cleanup.clean(tree, make_hold)
    return [*([purged] if purged.status != "skipped" else []), cleaned]


def _at(tree: Tree, *, urgent: bool) -> Tree:
    return tree.model_copy(update={"retention": at_once(tree.retention)}) if urgent else tree


async def _results(cleanup: Cleanup) -> Part:
    now = utc(cleanup.clock.began.wall_s)
    part = Part(name="results", place=f"{RESULTS}/ in the store")
    found, number = await in_thread(useless_results, cleanup.files, now)
    if held := await in_thread(traces_held, cleanup.files):
        found = await in_thread(_not_held, cleanup.files, found, held)
    lines = Lines()
    deed = Deed(
        name="results/clean",
        tool="clean_cache",
        arguments={"place": RESULTS},
        says="delete stored results of steps that are expired, or name files that are gone",
        risk="low",
        repeatable=True,
        touched=Touched(writes=(str(cleanup.files.root / RESULTS),) if isinstance(cleanup.files, LocalFiles) else ()),
    )

    async def perform() -> Any:
        for line in await in_thread(remove_results, cleanup.files, found, now):
            lines.add(line)
        return told_lines(cleanup, "results", lines)

    planned = [{"path": key, "status": "planned", "why": why} for key, why in found.items()]
    return await done_part(cleanup, part, deed, perform, planned, number)


def _not_held(files: Files, found: dict[str, Useless], held: tuple[Traces, ...]) -> dict[str, Useless]:
    """Results of steps without those that name what is on legal hold."""
    kept: dict[str, Useless] = {}
    for key, why in found.items():
        with suppress(NotFound):
            content = files.read_bytes(key)
            kept |= {} if any(one.in_text(content) for one in held) else {key: why}
    return kept


async def _redis(cleanup: Cleanup, rules: CacheRules, url: str) -> Part:
    part = Part(name="redis", place=url.rsplit("@", 1)[-1])
    deed = Deed(
        name="redis/clean",
        tool="clean_cache",
        arguments={"place": part.place, "rules": rules.model_dump(mode="json")},
        says="delete keys of the cache in Redis that never expire and were not used for long",
        risk="low",
        repeatable=True,
    )
    try:
        async with connected(url) as redis:
            found, number = await orphaned_keys(redis, rules)
            lines = Lines()

            async def perform() -> Any:
                for line in await remove_keys(redis, found, rules):
                    lines.add(line)
                return told_lines(cleanup, "redis", lines)

            planned = [
                {"path": key.decode(errors="backslashreplace"), "status": "planned", "bytes": size}
                for key, size in found.items()
            ]
            return await done_part(cleanup, part, deed, perform, planned, number)
    except Stopped:
        raise
    except C500Error as error:
        return part.model_copy(update={"why": f"{error.message} ({error.fix})"})


async def done_part(
    cleanup: Cleanup, part: Part, deed: Deed, perform: Any, planned: list[dict[str, Any]], number: int
) -> Part:
    """Do a deed, if there is something to do.

    Args:
        cleanup: Does it.
        part: What is cleaned.
        deed: The same in all attempts.
        perform: Does it; gives counts and the report's key, see `told_lines`.
        planned: Lines of what is to go.
        number: So many things were looked at.
    """
    stay = {"kept": number - len(planned)} if number > len(planned) else {}
    if not planned:
        return part.model_copy(update={"status": "done", "counts": stay})
    outcome: Outcome = await cleanup.performer.do(deed, perform)
    found: dict[str, Any] = {"status": outcome.status, "why": outcome.why}
    if outcome.error is not None:
        found["why"] = f"{outcome.error.message} ({outcome.error.fix})"
    if outcome.status == "planned":
        lines = Lines()
        for line in planned:
            lines.add(line)
        key = lines.put(cleanup.files, key_of(cleanup.performer.run_id, part.name, ".planned"))
        found |= {"counts": {"to delete": len(planned)}, "report": key}
    elif outcome.status == "done":
        found |= outcome.result
    found["counts"] = found.get("counts", {}) | stay
    return Part.model_validate(part.model_dump() | found)


def told_lines(cleanup: Cleanup, name: str, lines: Lines) -> dict[str, Any]:
    """What a deed gives: counts, and where its lines are."""
    counts = lines.counts()
    return {"counts": counts, "report": lines.put(cleanup.files, key_of(cleanup.performer.run_id, name))}
