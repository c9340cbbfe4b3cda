"""Deploying a version of a service: check, deploy, verify, and back where it does not run."""

from collections.abc import Sequence
from typing import Literal

from blocks.errors import Conflict
from blocks.hosts import Inventory
from blocks.markdown import code
from blocks.model import Frozen
from blocks.plain_text import plain
from blocks.progress import in_thread
from blocks.store.files import Files
from tasks.ops.performer import Performer
from tasks.ops.service.commands import Ran, run_all
from tasks.ops.service.history import Histories, ServiceHistory
from tasks.ops.service.holding import kept, take
from tasks.ops.service.plan import DeployPlan
from tasks.ops.service.rolling_back import RollbackResult, roll_back_held

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
        Conflict: the service is being deployed or rolled back, or the run goes on after another version was deployed.
        Fenced: another run has taken the service over.
        NotFound: there is no such host.
        Stopped: a switch stops it; the same `run_id` goes on.
    """
    for command in plan.commands:
        inventory.chosen([command.host])
    if performer.dry_run:
        return await _rehearsed(performer, files, inventory, plan)
    async with kept(files, await take(files, plan.service, performer.run_id)):
        made = await _steps(performer, files, inventory, plan)
    await performer.note("notified", "deploy/ended", outcome=f"{made.status}: {made.why}"[:1000])
    if made.status not in ("deployed", "planned"):
        await performer.tell(f"{plan.service} {plan.version}: {made.status}", made.why)
    return made


async def _rehearsed(performer: Performer, files: Files, inventory: Inventory, plan: DeployPlan) -> Deployment:
    """Do the checks, and say what would be done."""
    subject = (plan.service, plan.version, performer.run_id)
    await in_thread(Histories(files).check_deployable, *subject, plan.attempts)
    ran = await _run(performer, inventory, plan, "checks")
    if failed := _failed(ran):
        return _ended(performer, plan, "checks_failed", ran, failed)
    ran += await _run(performer, inventory, plan, "deploy")
    return _ended(performer, plan, "planned", ran)


async def _steps(performer: Performer, files: Files, inventory: Inventory, plan: DeployPlan) -> Deployment:
    histories, subject = Histories(files), (plan.service, plan.version, performer.run_id)
    history = await in_thread(histories.find, plan.service)
    if history.is_verified_by(*subject[1:]):
        return _ended(performer, plan, "deployed")
    if history.is_taken_back_by(*subject[1:]) or history.is_failed_by(*subject[1:]):
        return await _back(performer, files, inventory, plan, [], history.versions[plan.version].why)
    await in_thread(histories.check_deployable, *subject, plan.attempts)
    ran: list[Ran] = []
    if history.is_begun_by(*subject[1:]):
        _check_not_replaced(history, plan)
    else:
        ran += await _run(performer, inventory, plan, "checks")
        if failed := _failed(ran):
            return _ended(performer, plan, "checks_failed", ran, failed)
        await in_thread(histories.begin_attempt, *subject, plan.attempts)
    ran += await _run(performer, inventory, plan, "deploy")
    if ran[-1].status in ("in_doubt", "refused"):
        status, why = "in_doubt" if ran[-1].status == "in_doubt" else "failed", f"{ran[-1].name}: {ran[-1].why}"
        if status == "failed":  # not a judgement of the version: the same run may ask again, and go on
            await in_thread(histories.note, plan.service, plan.version, "failed", why)
        return _ended(performer, plan, status, ran, why)
    if not _failed(ran):
        ran += await _run(performer, inventory, plan, "verify")
    await in_thread(histories.judge, *subject, _failed(ran))
    if failed := _failed(ran):
        return await _back(performer, files, inventory, plan, ran, failed)
    return _ended(performer, plan, "deployed", ran)


async def _run(
    performer: Performer, inventory: Inventory, plan: DeployPlan, part: Literal["checks", "deploy", "verify"]
) -> list[Ran]:
    # What a plan can roll back can be taken back.
    facts = {"reversible": bool(plan.rollback)} if part == "deploy" else {"read_only": True, "risk": "low"}
    values = {"service": plan.service, "version": plan.version}
    return await run_all(performer, inventory, getattr(plan, part), values, prefix=part, **facts)


def _ended(
    performer: Performer, plan: DeployPlan, status: DeployStatus, ran: Sequence[Ran] = (), why: str = ""
) -> Deployment:
    return Deployment(
        run_id=performer.run_id, service=plan.service, version=plan.version, status=status, why=why, ran=tuple(ran)
    )


async def _back(
    performer: Performer, files: Files, inventory: Inventory, plan: DeployPlan, ran: list[Ran], why: str
) -> Deployment:
    """Take back what was deployed and does not run."""
    made = _ended(performer, plan, "failed", ran, why)
    if not plan.rollback:
        return made
    result = await roll_back_held(
        performer, files, inventory, plan.service, plan.version, plan.rollback, plan.limits, why
    )
    whole = "; ".join(filter(None, (why, result.why)))
    return made.model_copy(update={"status": result.status, "rollback": result, "why": whole})


def _check_not_replaced(history: ServiceHistory, plan: DeployPlan) -> None:
    if history.is_replaced(plan.version):
        raise Conflict(
            f"{plan.service} {history.current} was deployed since this run began with {plan.version}",
            fix="begin a new run to deploy it again",
            field="run_id",
        )


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
