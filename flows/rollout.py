"""A rollout watched: canary against baseline, and back on evidence, once."""

from prefect import flow
from prefect.runtime import flow_run

from blocks.hosts import read_inventory
from blocks.store import open_store
from flows.names import plain
from flows.operating import operating, show_markdown
from tasks.ops.options import DEFAULTS, OperationsOptions
from tasks.ops.rollout.plan import RolloutPlan
from tasks.ops.rollout.watch import Watch


def run_name() -> str:
    """Service and version."""
    plan = flow_run.parameters.get("plan")
    return plain(f"{plan.service} {plan.version}" if isinstance(plan, RolloutPlan) else "rollout")


@flow(name="watch-rollout", flow_run_name=run_name, persist_result=False)
async def watch_rollout(plan: RolloutPlan, options: OperationsOptions = DEFAULTS) -> Watch:
    """Watch a rollout until it has passed, or take it back.

    Which looks lead to what is in docs/operations/rollouts.md. A version that was rolled back is refused by
    `deploy-service` until a person clears it, so that deploying and rolling back never go round in circles.

    Args:
        plan: Metrics, thresholds, times and the way back.
        options: How the flow is run; a dry run looks once.

    Returns:
        How it ended; it lies in the store under `operations/rollouts/`.

    Raises:
        BadInput, NotFound: the plan cannot be carried out.
        Conflict: another process does this run.
        Stopped: a switch stops it; the same `run_id` goes on.
    """
    from tasks.ops.rollout.report import markdown
    from tasks.ops.rollout.watch import watch

    async with operating("watch-rollout", options, f"{plan.service} {plan.version}") as performer:
        inventory = read_inventory()
        watched = await watch(performer, open_store(), inventory, plan)
        await show_markdown(f"rollout-{performer.run_id}", markdown(watched), watched.status)
        return watched
