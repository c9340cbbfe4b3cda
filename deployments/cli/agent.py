"""`c500 agent`: have an agent work on a goal; `c500 agents`: which there are, and what their runs came to."""

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
from deployments.cli.agent_runs import found_result, run_line, run_rows, show_result
from deployments.cli.given import made_of, text_or_stdin
from deployments.cli.output import Json, echo_json, local_time

if TYPE_CHECKING:
    from blocks.approvals import ApprovalRequest
    from tasks.agents.result import AgentOptions

commands = typer.Typer(help="Agents, and what their runs came to.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(commands, name="agents")


@app.command("agent")
def agent(
    context: typer.Context,
    goal: Annotated[str, typer.Argument(help="What it is to reach, in plain words, or - for standard input.")] = "",
    name: Annotated[str, typer.Option("--agent", help="Which agent; `c500 agents list` names them.")] = "operator",
    profile: Profile = None,
    session: Annotated[str | None, typer.Option(help="Conversation to continue, or to begin.")] = None,
    workspace: Annotated[
        Path | None, typer.Option(help="Folder it may work in; by default one of its own in AGENTS_HOME.")
    ] = None,
    user: User = None,
    budget_usd: Annotated[
        float | None,
        typer.Option(min=0, help="Most dollars it may cost, within the agent's own limit; also beside --resume."),
    ] = None,
    approval_s: ApprovalS = 3600,
    dry_run: DryRun = False,
    unattended: Unattended = False,
    resume: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Go on with a run that was stopped, died or was limited, as it was begun."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Have an agent work on a goal within its rules. Exit 1 when it reached a limit before the goal."""
    if resume is not None:
        refuse_beside_resume(context, ("budget_usd",))
    options = _options(
        profile=profile,
        session=session,
        workspace=folder_of(workspace),
        user=user,
        budget_usd=budget_usd,
        approval_s=approval_s,
        dry_run=dry_run,
        attended=False if unattended else None,
    )
    text = text_or_stdin(goal)
    _check_before_start(text, name, options, resume)
    run_id = resume or token_hex(8)
    go_on_with(f"run `c500 agent --resume {run_id}`")
    if resume is not None and _resumed_in_prefect(resume, budget_usd):
        typer.echo(f"run {resume} goes on in its worker; follow it with `c500 audit why {resume}`")
        return

    from deployments.cli.session import run_flow

    def start() -> Any:
        from flows import run_agent
        from flows.approvals import on_asked

        on_asked.set(_tell_of_question)
        typer.echo(f"run {run_id} begins", err=True)
        return run_agent(text, name, options, run_id=run_id)

    result = run_flow(start, quiet=as_json)
    show_result(result, as_json=as_json)
    if result.status != "done":
        raise typer.Exit(1)


@commands.command("list")
def list_all(as_json: Json = False) -> None:
    """List the agents that there are."""
    from blocks.settings import settings
    from tasks.agents.definition import agent_names, read_agent

    folder = settings().agents_dir
    found = [read_agent(name, folder) for name in agent_names(folder)]
    if as_json:
        echo_json(found)
        return
    for one in found:
        typer.echo(f"{one.name:16} {one.description}")


@commands.command("check")
def check(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Which agent; by default all.")] = None,
) -> None:
    """Check that what agents name is there: tools, servers, context files, specialists; exit 2 when it is not.

    Says too which tools of MCP servers wait to be accepted; servers are not started for it.
    """
    from blocks.plain_text import plain
    from blocks.settings import settings
    from tasks.agents.checked import notes_of, troubles_of
    from tasks.agents.definition import agent_names

    wrong = False
    for one in [name] if name else agent_names(settings().agents_dir):
        troubles = troubles_of(one, settings())
        wrong = wrong or bool(troubles)
        typer.echo(f"{one}: {'fine' if not troubles else 'cannot begin'}")
        for error in troubles:
            typer.echo(f"  {error.message}\n  fix: {error.fix}", err=True)
        for note in () if troubles else notes_of(one, settings()):
            typer.echo(f"  {plain(note)}", err=True)
    if wrong:
        raise typer.Exit(2)


@commands.command("runs")
def runs(as_json: Json = False) -> None:
    """List runs of agents and teams, the newest last: how they ended, or that they have not."""
    from blocks.plain_text import plain

    rows = run_rows()
    if as_json:
        echo_json(rows)
        return
    for row in rows:
        typer.echo(plain(run_line(row)))
    if not rows:
        typer.echo('no agent has run yet; try `c500 agent --agent reader "what is in my workspace?"`', err=True)


@commands.command("result")
def result(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, of an agent or a team.")],
    as_json: Json = False,
) -> None:
    """Show what came of a run."""
    from deployments.cli.team import show
    from tasks.agents.result import AgentResult

    found = found_result(run)
    if isinstance(found, AgentResult):
        show_result(found, as_json=as_json)
    else:
        show(found, as_json=as_json)


def _tell_of_question(request: "ApprovalRequest") -> None:
    """Say on the terminal that the run waits for a person."""
    from blocks.plain_text import plain

    until = local_time(request.expires_at)
    typer.echo(
        f"waits until {until} for {request.persons} person(s) to agree to {plain(request.tool)} (risk {request.risk}): "
        f"somebody else runs `c500 approve show {request.approval_id}`",
        err=True,
    )


def _options(**fields: Any) -> "AgentOptions":
    from tasks.agents.result import AgentOptions

    return made_of(AgentOptions, fields, fix="give another value; see `c500 agent --help`")


def _check_before_start(goal: str, name: str, options: "AgentOptions", resume: str | None) -> None:
    """What is wrong with goal, agent, rules or accounts should not wait for a server to start."""
    from blocks.errors import NotFound
    from blocks.settings import settings
    from blocks.store import open_store
    from tasks.agents.begin import LONGEST_GOAL
    from tasks.agents.definition import read_agent
    from tasks.agents.given import checked_goal, checked_id
    from tasks.agents.retired import refuse_retired
    from tasks.agents.runs import RunStore

    if resume is None:
        checked_goal(goal, "the agent", LONGEST_GOAL)
        read_agent(name, settings().agents_dir)
    else:
        files = open_store()
        if RunStore(files).begun(checked_id(resume)) is None:
            raise NotFound(f"there is no run {resume}", fix="list runs with `c500 agents runs`", field="--resume")
        refuse_retired(files, resume)
        warn_of_doubts([resume])
    check_rules_and_accounts(options.profile)


def _resumed_in_prefect(run_id: str, budget_usd: float | None) -> bool:
    """Resume the flow run that a worker left; False when there is none that waits, or no server that knows of it."""
    import asyncio
    import os

    from blocks.store import open_store
    from deployments.server import client_auth, running_server
    from tasks.agents.runs import RunStore

    if (suspended := RunStore(open_store()).suspended(run_id)) is None or (api_url := running_server()) is None:
        return False
    os.environ.update({"PREFECT_API_URL": api_url} | client_auth(api_url))
    return asyncio.run(_resume(suspended, budget_usd))


async def _resume(flow_run_id: str, budget_usd: float | None = None) -> bool:
    from uuid import UUID

    from prefect.client.orchestration import get_client
    from prefect.client.schemas.responses import SetStateStatus
    from prefect.exceptions import ObjectNotFound

    from blocks.errors import BadInput, Conflict

    async with get_client() as client:
        try:
            state = (await client.read_flow_run(UUID(flow_run_id))).state
        except ObjectNotFound:
            return False
        if state is None or not state.is_paused():
            return False
        if budget_usd is not None:
            raise BadInput(
                "--budget-usd: the run waits in a worker, and goes on there with the budget that it was begun with",
                fix="leave --budget-usd out; should the run end as limited, resume it with another budget then",
                field="--budget-usd",
            )
        # Prefect answers 200 to what it refuses, too.
        resumed = await client.resume_flow_run(UUID(flow_run_id))
        if resumed.status != SetStateStatus.ACCEPT:
            raise Conflict(f"flow run {flow_run_id} is not resumed: {resumed.details}", fix="try again in a moment")
        return True
