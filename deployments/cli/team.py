"""`c500 team`: have a team of agents work on a goal."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli import app

if TYPE_CHECKING:
    from tasks.agents.team.plan import TeamPlan
    from tasks.agents.team.result import TeamOptions, TeamResult

EXIT = {"done": 0, "stopped": 3}


@app.command("team")
def team(
    goal: Annotated[str, typer.Argument(help="What the team is to reach, or - for standard input.")] = "",
    agent: Annotated[str, typer.Option(help="The coordinator; the team are its specialists.")] = "coordinator",
    plan: Annotated[Path | None, typer.Option(help="Your own plan, YAML or JSON; see docs/agents/teams.md.")] = None,
    profile: Annotated[str | None, typer.Option(help="Autonomy profile; by default AGENT_PROFILE.")] = None,
    workspace: Annotated[
        Path | None, typer.Option(help="Folder all work in; by default one of the team's own.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="For whom it works; by default you.")] = None,
    budget_usd: Annotated[float | None, typer.Option(min=0, help="Most dollars of the whole team.")] = None,
    deadline: Annotated[float | None, typer.Option(help="Seconds within which it ends, done or not.")] = None,
    at_once: Annotated[int, typer.Option(min=1, help="Most agents side by side.")] = 4,
    stagger: Annotated[float, typer.Option(min=0, help="Seconds between agents that begin together.")] = 2.0,
    approval_s: Annotated[float, typer.Option(min=1, help="Seconds a question to a person stands.")] = 3600,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only read; say what would be changed.")] = False,
    unattended: Annotated[
        bool, typer.Option("--unattended", help="Nobody can be asked: what needs a person is refused.")
    ] = False,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with a team that was stopped, died, or waited for you.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else.")] = False,
) -> None:
    """Share a goal out among agents, and put what they find together. Exit 1 unless all of it was done."""
    options = _options(
        profile=profile,
        workspace=None if workspace is None else str(workspace.absolute()),
        user=user,
        budget_usd=budget_usd,
        deadline_s=deadline,
        at_once=at_once,
        stagger_s=stagger,
        approval_s=approval_s,
        dry_run=dry_run,
        attended=False if unattended else None,
    )
    text = typer.get_text_stream("stdin").read() if goal == "-" else goal
    own = _plan(plan)
    _check_before_start(text, agent, options, own, resume)

    from deployments.cli.session import run_flow

    def start() -> Any:
        from flows.team import run_team

        return run_team(text, agent, own, options, run_id=resume)

    result = run_flow(start, quiet=as_json)
    show(result, as_json=as_json)
    if status := EXIT.get(result.status, 1):
        raise typer.Exit(status)


def _options(**fields: Any) -> "TeamOptions":
    from pydantic import ValidationError

    from blocks.errors import BadInput
    from tasks.agents.team.result import TeamOptions

    try:
        return TeamOptions(**fields)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        name = str(fault["loc"][0])
        option = f"--{ {'deadline_s': 'deadline', 'stagger_s': 'stagger'}.get(name, name).replace('_', '-') }"
        raise BadInput(f"{option}: {fault['msg']}", fix="give another value", field=option) from None


def _plan(path: Path | None) -> "TeamPlan | None":
    from tasks.agents.team.plan import read_team_plan

    return None if path is None else read_team_plan(path)


def _check_before_start(
    goal: str, agent: str, options: "TeamOptions", plan: "TeamPlan | None", resume: str | None
) -> None:
    """What is wrong with goal, plan, agents, rules or accounts should not wait for a server to start."""
    from blocks.accounts.file import read_accounts
    from blocks.errors import NotFound
    from blocks.policy import Policy
    from blocks.settings import settings
    from blocks.store import open_store
    from tasks.agents.team.begin import checked_id, drafted
    from tasks.agents.team.team_store import TeamStore

    chosen = settings()
    if resume is None:
        drafted(chosen, "new", goal, agent, options, plan)
    elif TeamStore(open_store(), checked_id(resume)).begun() is None:
        raise NotFound(f"there is no team run {resume}", fix="see what lies in the store under agents/teams/")
    policy = Policy.read(None if chosen.policy_file is None else chosen.policy_file.expanduser())
    policy.in_force(options.profile or chosen.agent_profile)
    read_accounts(chosen.accounts_file.expanduser())


def show(result: "TeamResult", *, as_json: bool) -> None:
    """Print the answer, what came of each task, and how to go on."""
    if as_json:
        typer.echo(result.model_dump_json(indent=2))
        return
    from rich.console import Console
    from rich.markdown import Markdown

    from tasks.agents.team.report import team_markdown

    console = Console()
    console.print(Markdown(team_markdown(result)))
    for one in result.outcomes:
        if one.state == "handed_off" and one.handoff_id:
            typer.echo(f"{one.task_id} waits for you: c500 handoff show {one.handoff_id}", err=True)
    typer.echo(f"team {result.run_id} · {result.status} · `c500 audit why {result.run_id}` tells its story", err=True)
