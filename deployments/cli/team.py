"""`c500 team`: have a team of agents work on a goal."""

from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli import app, go_on_with
from deployments.cli.agent_options import (
    ApprovalS,
    DryRun,
    Profile,
    Unattended,
    User,
    check_rules_and_accounts,
    folder_of,
    refuse_beside_resume,
    warn_of_doubts,
)
from deployments.cli.given import made_of, text_or_stdin
from deployments.cli.output import Json, echo_json

if TYPE_CHECKING:
    from tasks.agents.team.plan import TeamPlan
    from tasks.agents.team.result import TeamOptions, TeamResult

EXIT = {"done": 0, "stopped": 3}

OPTIONS = {"deadline_s": "deadline", "stagger_s": "stagger"}
"""Of fields that have another name."""


@app.command("team")
def team(
    context: typer.Context,
    goal: Annotated[str, typer.Argument(help="What the team is to reach, or - for standard input.")] = "",
    agent: Annotated[str, typer.Option(help="The coordinator; the team are its specialists.")] = "coordinator",
    plan: Annotated[Path | None, typer.Option(help="Your own plan, YAML or JSON; see docs/agents/teams.md.")] = None,
    profile: Profile = None,
    workspace: Annotated[
        Path | None, typer.Option(help="Folder all work in; by default one of the team's own.")
    ] = None,
    user: User = None,
    budget_usd: Annotated[float | None, typer.Option(min=0, help="Most dollars of the whole team.")] = None,
    deadline: Annotated[float | None, typer.Option(help="Seconds within which it ends, done or not.")] = None,
    at_once: Annotated[int, typer.Option(min=1, help="Most agents side by side.")] = 4,
    stagger: Annotated[float, typer.Option(min=0, help="Seconds between agents that begin together.")] = 2.0,
    approval_s: ApprovalS = 3600,
    dry_run: DryRun = False,
    unattended: Unattended = False,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with a team that was stopped, died or waited for you.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Share a goal out among agents, and put what they find together. Exit 1 unless all of it was done."""
    if resume is not None:
        refuse_beside_resume(context)
    options = _options(
        profile=profile,
        workspace=folder_of(workspace),
        user=user,
        budget_usd=budget_usd,
        deadline_s=deadline,
        at_once=at_once,
        stagger_s=stagger,
        approval_s=approval_s,
        dry_run=dry_run,
        attended=False if unattended else None,
    )
    text, own = text_or_stdin(goal), _plan(plan)
    _check_before_start(text, agent, options, own, resume)
    run_id = resume or token_hex(8)
    go_on_with(f"run `c500 team --resume {run_id}`")

    from deployments.cli.session import run_flow

    def start() -> Any:
        from flows.team import run_team

        typer.echo(f"team {run_id} begins", err=True)
        return run_team(text, agent, own, options, run_id=run_id)

    result = run_flow(start, quiet=as_json)
    show(result, as_json=as_json)
    if status := EXIT.get(result.status, 1):
        raise typer.Exit(status)


def _options(**fields: Any) -> "TeamOptions":
    from tasks.agents.team.result import TeamOptions

    return made_of(TeamOptions, fields, fix="give another value; see `c500 team --help`", options=OPTIONS)


def _plan(path: Path | None) -> "TeamPlan | None":
    from tasks.agents.team.plan import read_team_plan

    return None if path is None else read_team_plan(path)


def _check_before_start(
    goal: str, agent: str, options: "TeamOptions", plan: "TeamPlan | None", resume: str | None
) -> None:
    """What is wrong with goal, plan, agents, rules or accounts should not wait for a server to start."""
    from blocks.errors import NotFound
    from blocks.settings import settings
    from blocks.store import open_store
    from tasks.agents.given import checked_id
    from tasks.agents.team.begin import drafted
    from tasks.agents.team.team_store import TeamStore

    if resume is None:
        drafted(settings(), "new", goal, agent, options, plan)
    else:
        store = TeamStore(open_store(), checked_id(resume))
        if store.begun() is None:
            raise NotFound(f"there is no team run {resume}", fix="list runs with `c500 agents runs`", field="--resume")
        warn_of_doubts([one.run_id for one in store.assignments()])
    check_rules_and_accounts(options.profile)


def show(result: "TeamResult", *, as_json: bool) -> None:
    """Print the answer, what came of each task, and how to go on."""
    if as_json:
        echo_json(result)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    from blocks.plain_text import visible
    from tasks.agents.team.report import team_markdown

    console = Console()
    console.print(Markdown(visible(team_markdown(result))))
    for one in result.outcomes:
        if one.state == "handed_off" and one.handoff_id:
            typer.echo(f"{one.task_id} waits for you: c500 handoff show {one.handoff_id}", err=True)
    typer.echo(f"team {result.run_id} · {result.status} · `c500 audit why {result.run_id}` tells its story", err=True)
