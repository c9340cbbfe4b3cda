"""A version of a service deployed: checked, verified, watched, and taken back where it does not run."""

from prefect import flow
from prefect.runtime import flow_run

from blocks.hosts import read_inventory
from blocks.store import open_store
from flows.names import plain
from flows.operating import operating, own_run_id, show_markdown
from flows.rollout import watch_rollout
from tasks.ops.options import DEFAULTS, OperationsOptions
from tasks.ops.service.deploy import Deployment
from tasks.ops.service.plan import DeployPlan


def run_name() -> str:
    """Service and version."""
    plan = flow_run.parameters.get("plan")
    return plain(f"{plan.service} {plan.version}" if isinstance(plan, DeployPlan) else "deployment")


@flow(name="deploy-service", flow_run_name=run_name, persist_result=False)
async def deploy_service(plan: DeployPlan, options: OperationsOptions = DEFAULTS) -> Deployment:
    """Deploy a version of a service; the same `run_id` goes on, and does nothing twice.

    Args:
        plan: Checks, commands, verification, the way back, and perhaps a rollout to watch afterwards.
        options: How the flow is run; a dry run does the checks only.

    Returns:
        How it ended.

    Raises:
        NotAllowed: the version was rolled back, and no person has cleared it.
        LimitReached: it was tried too often.
        BadInput, NotFound: a plan cannot be carried out.
        Conflict: the service is being deployed or rolled back.
        Stopped: a switch stops it; the same `run_id` goes on.
    """
    from tasks.ops.rollout.plan import read_rollout
    from tasks.ops.service.deploy import deploy, markdown

    rollout = plan.watch and read_rollout(plan.folder / plan.watch, version=plan.version).of(plan.service)
    options = options.model_copy(update={"run_id": options.run_id or own_run_id("deploy-service")})
    async with operating("deploy-service", options, f"{plan.service} {plan.version}") as performer:
        made = await deploy(performer, open_store(), read_inventory(), plan)
        if rollout is not None and made.status == "deployed":
            watched = await watch_rollout(rollout, options)
            why = "" if watched.status == "passed" else watched.why
            made = made.model_copy(update={"watched": watched.status, "why": why})
        await show_markdown(f"deployment-{performer.run_id}", markdown(made), made.status)
        return made
