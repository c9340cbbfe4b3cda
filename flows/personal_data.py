"""The data of one person or one job: given out, and erased."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from prefect import flow
from pydantic import Field

from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.redact import default_redactor
from blocks.subjects.subject import Subject
from flows.operating import operating, show_markdown
from tasks.ops.deed import Deed
from tasks.ops.options import DEFAULTS, OperationsOptions

if TYPE_CHECKING:
    from tasks.ops.performer import Performer
    from tasks.personal_data.erase import Erasure
    from tasks.personal_data.export import Export
    from tasks.personal_data.holder import World
    from tasks.personal_data.plan import Plan

LONGEST_S = 4 * 3600

R = TypeVar("R")


class ExportReport(Frozen):
    """What an export holds.

    Attributes:
        run_id: Of the run.
        output: Path of the archive on the machine that wrote it; None of a dry run.
        files: So many files.
        size_bytes: Of them, before they were compressed.
        counts: How many files of each place.
    """

    run_id: str
    output: str | None
    files: int = 0
    size_bytes: int = 0
    counts: dict[str, int] = Field(default_factory=dict[str, int])


class ErasureReport(Frozen):
    """What an erasure took away.

    Attributes:
        run_id: Of the run; with the same one it goes on.
        plan_id: Of its plan.
        subject: The pseudonym of whose data it was.
        status: `done`; `planned` of a dry run.
        counts: How many items of each place.
    """

    run_id: str
    plan_id: str
    subject: str
    status: str
    counts: dict[str, int] = Field(default_factory=dict[str, int])


@flow(name="export-data", persist_result=False, timeout_seconds=LONGEST_S)
async def export_data(subject: Subject, output: str, options: OperationsOptions = DEFAULTS) -> ExportReport:
    """Write all that is kept about a person or a job into one ZIP file: plain files, and an index with their hashes.

    Secrets are taken out of texts. The archive appears whole or not at all.

    Args:
        subject: Whose data.
        output: Path of the archive on this machine; it must not exist.
        options: How it is run.

    Raises:
        Conflict, BadInput: the archive cannot be made there.
        NotAllowed: the rules, or a person, refuse it.
        StoreFailed: a place cannot be read: an export that lacks it is none.
    """
    from tasks.personal_data.export import checked_output, export
    from tasks.personal_data.world import pseudonym_of

    path = checked_output(Path(output))
    alias = await in_thread(pseudonym_of, subject)
    async with operating("export-data", options, alias, same_subject=True) as performer:
        deed = Deed(
            name="export",
            tool="export_data",
            arguments={"subject": alias, "kind": subject.kind},  # the archive's name may be that of the person
            says=f"write all data of a {subject.kind} into an archive",
            risk="low",
            repeatable=True,
        )

        async def perform() -> Any:
            made = await _in_world(lambda world: export(world, subject, path, default_redactor()))
            return _facts(made)

        outcome = (await performer.do(deed, perform)).checked()
        told = outcome.result if outcome.status == "done" else {"output": None}
        report = ExportReport.model_validate({"run_id": performer.run_id, "output": output, **told})
        await show_markdown("export-data", _counted(f"Export of {alias}", report.counts))
        return report


@flow(name="erase-data", persist_result=False, timeout_seconds=LONGEST_S)
async def erase_data(plan_id: str, confirmed: bool = False, options: OperationsOptions = DEFAULTS) -> ErasureReport:
    """Erase what a plan of `c500 data erase` names: all that is kept about a person or a job.

    A run that was killed goes on with the same plan. At the end it is looked whether anything is left. What is on
    legal hold, or in use, is not erased.

    Args:
        plan_id: The plan, whose data must be just what is there.
        confirmed: Whether who begins it has seen the plan and wants it; else another person is asked.
        options: How it is run.

    Raises:
        NotFound: there is no such plan.
        Conflict: other data is there than the plan names; the new plan's id is told.
        NotAllowed: it is on hold or in use, or the rules or a person refuse it.
        ErasureIncomplete: something is left.
    """
    from tasks.personal_data.erase import checked_plan
    from tasks.personal_data.world import pseudonym_of

    plan = await _in_world(lambda world: checked_plan(world, plan_id))
    subject = plan.traces.subject
    alias = await in_thread(pseudonym_of, subject)
    async with operating("erase-data", options, plan_id, same_subject=True) as performer:
        deed = Deed(
            name=f"erase/{plan_id}",
            tool="erase_data",
            arguments={"plan": plan_id, "subject": alias, "kind": subject.kind},
            says=f"erase all data of a {subject.kind}, as plan {plan_id} shows it",
            risk="low" if confirmed else "high",
            repeatable=True,
            consent="rules" if confirmed else "one",
        )

        async def perform() -> Any:
            done = await _erased(performer, plan, alias)
            return {"counts": done.counts}

        outcome = (await performer.do(deed, perform)).checked()
        counts = outcome.result["counts"] if outcome.status == "done" else plan.counts
        report = ErasureReport(
            run_id=performer.run_id, plan_id=plan_id, subject=alias, status=outcome.status, counts=counts
        )
        await show_markdown("erase-data", _counted(f"Erasure of {alias}: {outcome.status}", counts))
        return report


async def plan_erasure(subject: Subject, *, keep: bool = True) -> "Plan":
    """What an erasure would take away. It is no flow, so that its parameters name nobody to Prefect.

    Args:
        subject: Whose data.
        keep: Whether the plan is kept, to be erased by its id.
    """
    from tasks.personal_data.plan import keep_plan, make_plan

    def look(world: "World") -> "Plan":
        plan = make_plan(world, subject)
        return keep_plan(world.known.files, plan) if keep else plan

    return await _in_world(look)


async def _erased(performer: "Performer", plan: "Plan", alias: str) -> "Erasure":
    from tasks.personal_data.erase import checked_plan, erase
    from tasks.personal_data.plan import CHANGE

    loop = asyncio.get_running_loop()

    def check() -> None:
        asyncio.run_coroutine_threadsafe(performer.check_stopped(), loop).result()

    def work(world: "World") -> "Erasure":
        with world.known.files.lock(CHANGE):
            # Since the plan was looked at a person may have been asked: by now it may be held, at work, or more.
            return erase(world, checked_plan(world, plan.plan_id), alias, check)

    return await _in_world(work)


async def _in_world(work: "Callable[[World], R]") -> R:
    """Do work with all places, in a thread: it is of the disk, the databases and Prefect's server."""
    from tasks.personal_data.world import open_world

    def opened() -> R:
        with open_world() as world:
            return work(world)

    return await in_thread(opened)


def _facts(made: "Export") -> dict[str, Any]:
    counts: dict[str, int] = {}
    for one in made.files:
        counts[one.holder] = counts.get(one.holder, 0) + 1
    return {"files": len(made.files), "size_bytes": sum(one.size_bytes for one in made.files), "counts": counts}


def _counted(title: str, counts: dict[str, int]) -> str:
    return "\n".join(
        [f"# {title}", "", "| place | items |", "|---|---|", *(f"| {k} | {v} |" for k, v in counts.items())]
    )
