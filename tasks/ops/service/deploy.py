"""Deploying a version of a service: check, deploy, verify, and back where it does not run."""

from typing import Literal

from blocks.hosts import Inventory
from blocks.markdown import code
from blocks.model import Frozen
from blocks.plain_text import plain
from blocks.progress import in_thread
from blocks.resource_locks import ResourceLocks
from blocks.store.files import Files
from tasks.ops.performer import Performer
from tasks.ops.service.commands import Ran, longest_s, run_all
from tasks.ops.service.history import Histories
from tasks.ops.service.plan import DeployPlan
from tasks.ops.service.rolling_back import RollbackResult, roll_back

DeployStatus = Literal[
    "deployed", "planned", "checks_failed", "failed", "rolled_back", "rollback_failed", "not_rolled_back", "in_doubt"
]


class Deployment(Frozen):
    """What came of a deployment.

    Attributes:
        run_id: Of its run.
        service, version: What.
        status: How it ended; `failed`: it does not run, and the plan has no rollback.
        why: Why.
        ran: Checks, commands and verification, in their order.
        rollback: What came of the rollback, where there was one.
        watched: How the watch ended that the plan wants.
    """

    run_id: str
    service: str
    version: str
    status: DeployStatus
    why: str = ""
    ran: tuple[Ran, ...] = ()
    rollback: RollbackResult | None = None
    watched: str = ""


async def deploy(performer: Performer, files: Files, inventory: Inventory, plan: DeployPlan) -> Deployment:
    """Deploy a version of a service.

    Args:
        performer: Does it; a dry run does the checks only.
        files: The store.
        inventory: The hosts.
        plan: How.

    Raises:
        NotAllowed: the version was rolled back, and no person has cleared it.
        LimitReached: it was tried too often.
        Conflict: the service is being deployed or rolled back.
        NotFound: there is no such host.
        Stopped: a switch stops it; the same `run_id` goes on.
    """
    for command in plan.commands:
        inventory.chosen([command.host])
    histories, run_id = Histories(files), performer.run_id
    if performer.dry_run:
        await in_thread(histories.check_deployable, plan.service, plan.version, run_id, plan.attempts)
        return await _steps(performer, files, inventory, plan)
    locks = ResourceLocks(files)
    lock = locks.take(f"services/{plan.service}", run_id, term_s=longest_s(plan.commands) + 60)
    try:
        made = await _steps(performer, files, inventory, plan)
    finally:
        locks.release(lock)
    await performer.note("notified", "deploy/ended", outcome=f"{made.status}: {made.why}"[:1000])
    if made.status not in ("deployed", "planned"):
        await performer.tell(f"{plan.service} {plan.version}: {made.status}", made.why)
    return made


async def _steps(performer: Performer, files: Files, inventory: Inventory, plan: DeployPlan) -> Deployment:
    histories, values = Histories(files), {"service": plan.service, "version": plan.version}

    def ended(status: DeployStatus, why: str = "") -> Deployment:
        return Deployment(
            run_id=performer.run_id,
            service=plan.service,
            version=plan.version,
            status=status,
            why=why,
            ran=tuple(ran),
        )

    harmless = {"read_only": True, "risk": "low"}
    ran: list[Ran] = []
    history = await in_thread(histories.find, plan.service)
    if history.is_taken_back_by(plan.version, performer.run_id):
        return await _back(performer, files, inventory, plan, ran, history.versions[plan.version].why)
    await in_thread(histories.check_deployable, plan.service, plan.version, performer.run_id, plan.attempts)
    if not history.is_begun_by(plan.version, performer.run_id):
        ran += await run_all(performer, inventory, plan.checks, values, prefix="checks", **harmless)
        if failed := _failed(ran):
            return ended("checks_failed", failed)
        if not performer.dry_run:
            await in_thread(histories.begin_attempt, plan.service, plan.version, performer.run_id, plan.attempts)
    # What a plan can roll back can be taken back.
    ran += await run_all(performer, inventory, plan.deploy, values, prefix="deploy", reversible=bool(plan.rollback))
    if performer.dry_run:
        return ended("planned")
    if ran[-1].status in ("in_doubt", "refused"):
        return ended("in_doubt" if ran[-1].status == "in_doubt" else "failed", f"{ran[-1].name}: {ran[-1].why}")
    if not _failed(ran):
        ran += await run_all(performer, inventory, plan.verify, values, prefix="verify", **harmless)
    if failed := _failed(ran):
        return await _back(performer, files, inventory, plan, ran, failed)
    await in_thread(histories.note, plan.service, plan.version, "deployed")
    return ended("deployed")


async def _back(
    performer: Performer, files: Files, inventory: Inventory, plan: DeployPlan, ran: list[Ran], why: str
) -> Deployment:
    """Take back what was deployed and does not run."""
    made = Deployment(
        run_id=performer.run_id, service=plan.service, version=plan.version, status="failed", why=why, ran=tuple(ran)
    )
    if not plan.rollback:
        await in_thread(Histories(files).note, plan.service, plan.version, "failed", why)
        return made
    result = await roll_back(performer, files, inventory, plan.service, plan.version, plan.rollback, plan.limits, why)
    whole = "; ".join(filter(None, (why, result.why)))
    return made.model_copy(update={"status": result.status, "rollback": result, "why": whole})


def _failed(ran: list[Ran]) -> str:
    """Why the last command did not go well; empty where it did."""
    return "" if not ran or ran[-1].ok else f"{ran[-1].name}: {ran[-1].why}"


def markdown(made: Deployment) -> str:
    """A deployment for people."""
    lines = [f"# {made.service} {made.version}: {made.status.replace('_', ' ')}", ""]
    if made.why:
        lines += [f"Why: {code(plain(made.why))}", ""]
    every = (*made.ran, *(made.rollback.ran if made.rollback else ()))
    for one in every:
        says = "planned" if one.status == "planned" else "ok" if one.ok else code(plain(one.why))
        lines += [f"- {code(plain(one.name))}: {says}"]
    if made.watched:
        lines += ["", f"The watch ended: {made.watched.replace('_', ' ')}."]
    return "\n".join(lines) + "\n"
