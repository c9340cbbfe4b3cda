"""Reports of swarms, batches, fleets and sessions, written by those that write them."""

from blocks.accounts.capacity import Bound
from tasks.batch_prompts.report import BatchPromptsReport, GroupCoverage
from tasks.batch_prompts.told import report_markdown as prompts_markdown
from tasks.sessions.fleet_plan import FleetPlan, PlanLimit
from tasks.sessions.fleet_report import FleetReport, fleet_markdown
from tasks.sessions.outcome import Outcome
from tasks.sessions.report import result_markdown
from tasks.sessions.result import AgentResult
from tasks.swarm.estimate import Estimate
from tasks.swarm.report import SwarmReport, report_markdown

ESTIMATE = Estimate(
    due=1_300,
    models=("small",),
    accounts=("first",),
    first_choice=("first/small",),
    prompt_tokens=1,
    counted="estimated",
    longest_tokens=1,
    longest_fits=True,
    output_tokens_most=1,
    latency_s=1,
    latency_is_measured=False,
    bounds=(Bound(limit="rpm", permitted=1, seconds=1),),
    seconds=1,
)
PLAN = FleetPlan(jobs=4, asked=None, slots=1, limits=(PlanLimit(name="x", sessions=1, how="1"),), servers=())


def reports_of_all_kinds() -> dict[str, str]:
    """Markdown by the beginning of its key; rehearsals too."""
    swarm = SwarmReport(
        swarm_id="a", output="o", failures="f", rows=2_000, found=700, answered=1_200, failed=7, estimate=ESTIMATE
    )
    group = GroupCoverage(group="north | south", rows=1_500, answered=1_490, review=2, rejected=1, partial=7)
    prompts = BatchPromptsReport(name="a plan: of mine", plan_id="a", output="o", ledger="l", groups=(group,))
    fleet = FleetReport(fleet_id="a", plan=PLAN, done=3, failed=1, kept=2)
    session = AgentResult(
        task_id="a", server="s", session_id="i", outcome=Outcome(kind="silent_stop"), stopped_by="max_silent"
    )
    return {
        "swarm": report_markdown(swarm),
        "batch-prompts": prompts_markdown(prompts),
        "agent-fleet": fleet_markdown(fleet),
        "agent-task": result_markdown(session),
        "swarm-0": report_markdown(swarm.model_copy(update={"dry_run": True})),
        "batch-prompts-0": prompts_markdown(prompts.model_copy(update={"dry_run": True})),
        "agent-fleet-0": fleet_markdown(fleet.model_copy(update={"dry_run": True})),
    }
