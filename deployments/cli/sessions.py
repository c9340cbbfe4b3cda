"""`c500 session`: tasks for agents on II-Agent servers, one or a fleet of them, and the files of conversations."""

from pathlib import Path
from typing import Annotated, Any

import typer

from deployments.cli import app
from deployments.cli.output import Json, echo_json, local_time
from deployments.cli.session_options import (
    Again,
    Answer,
    Checks,
    Files,
    Into,
    MaxContinues,
    MaxSilent,
    Name,
    Output,
    Prompt,
    PromptFile,
    Server,
    ToolCalls,
    Unpack,
    WallS,
    allowance_of,
    prompt_of,
)

commands = typer.Typer(
    help="Agents on II-Agent servers: tasks, fleets of them, files of conversations.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(commands, name="session")


@commands.command("run")
def run(
    prompt: Prompt = None,
    prompt_file: PromptFile = None,
    file: Files = None,
    checks: Checks = None,
    server: Server = None,
    session: Annotated[str | None, typer.Option(help="Id of a conversation to go on with.")] = None,
    answer: Answer = None,
    pause: Annotated[bool, typer.Option("--pause", help="Questions wait for people in the Prefect UI.")] = False,
    output: Output = None,
    manifest: Annotated[str | None, typer.Option(help="A list of files that the agent writes, to collect.")] = None,
    into: Into = None,
    unpack: Unpack = False,
    name: Name = "",
    max_continues: MaxContinues = None,
    max_silent: MaxSilent = None,
    wall_s: WallS = None,
    tool_calls: ToolCalls = None,
    again: Again = False,
    as_json: Json = False,
) -> None:
    """Have an agent do something and prove it; exit 1 where it is not done. The same command goes on after a crash."""
    given: dict[str, Any] = {
        "prompt": prompt_of(prompt, prompt_file),
        "files": [str(path.absolute()) for path in file or ()],
        "checks": () if checks is None else str(checks.absolute()),
        "server": server,
        "session_id": session,
        "answer": answer,
        "on_question": "pause" if pause else "end",
        "allowance": allowance_of(max_continues, max_silent, wall_s, tool_calls),
        "outputs": tuple(output or ()),
        "manifest": manifest,
        "into": None if into is None else str(into.absolute()),
        "name": name,
        "unpack": unpack,
        "again": again,
    }
    _look_before_start(server, given)

    def start() -> Any:
        from flows.agent_sessions import agent_task

        return agent_task(**given)

    _ended(_run(start, quiet=as_json), as_json=as_json)


@commands.command("download")
def download(
    session: Annotated[str, typer.Argument(help="Id of the conversation, as in its address.")],
    only: Annotated[list[str] | None, typer.Option("--only", help="Only this file; repeatable.")] = None,
    server: Server = None,
    manifest: Annotated[str | None, typer.Option(help="A list of files that the agent wrote.")] = None,
    into: Into = None,
    unpack: Unpack = False,
    as_json: Json = False,
) -> None:
    """Bring all files of one conversation here; no model is used. Exit 1 where there is none."""
    _look_before_start(server, None, conversation=session)

    def start() -> Any:
        from flows.agent_sessions import download_workspace

        place = None if into is None else str(into.absolute())
        names = only or "auto"
        return download_workspace(session, names, server=server, manifest=manifest, into=place, unpack=unpack)

    found = _run(start, quiet=as_json)
    from tasks.sessions.report import download_markdown

    _show(found, download_markdown(found), as_json=as_json)
    if not found.files.files:
        raise typer.Exit(1)


@commands.command("combined")
def combined(
    source: Annotated[str, typer.Argument(help="Id of the conversation that the files are of.")],
    prompt: Prompt = None,
    prompt_file: PromptFile = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="Only this of its files; repeatable.")] = None,
    source_server: Annotated[str | None, typer.Option(help="Where it is; by default the server that has it.")] = None,
    file: Files = None,
    checks: Checks = None,
    server: Annotated[str | None, typer.Option(help="Where the task is done; by default there, too.")] = None,
    session: Annotated[str | None, typer.Option(help="Id of a conversation to go on with.")] = None,
    answer: Answer = None,
    output: Output = None,
    into: Into = None,
    name: Name = "",
    max_continues: MaxContinues = None,
    max_silent: MaxSilent = None,
    wall_s: WallS = None,
    tool_calls: ToolCalls = None,
    again: Again = False,
    as_json: Json = False,
) -> None:
    """Give the files of one conversation to another: download, upload, run, collect. Exit 1 where it is not done."""
    given: dict[str, Any] = {
        "names": only or "auto",
        "source_server": source_server,
        "files": [str(path.absolute()) for path in file or ()],
        "checks": () if checks is None else str(checks.absolute()),
        "server": server,
        "session_id": session,
        "name": name,
        "answer": answer,
        "allowance": allowance_of(max_continues, max_silent, wall_s, tool_calls),
        "outputs": tuple(output or ()),
        "into": None if into is None else str(into.absolute()),
        "again": again,
    }
    text = prompt_of(prompt, prompt_file)
    _look_before_start(server, given | {"prompt": text}, conversation=source)

    def start() -> Any:
        from flows.agent_sessions import combined

        return combined(source, text, **given)

    _ended(_run(start, quiet=as_json), as_json=as_json)


@commands.command("fleet")
def fleet(
    jobs: Annotated[Path, typer.Argument(help="YAML or JSONL file of jobs; see docs/sessions.md.")],
    n: Annotated[
        int | None, typer.Option("-n", "--sessions", help="Sessions at once; by default as many as can.")
    ] = None,
    server: Annotated[list[str] | None, typer.Option(help="Only servers of this name; repeatable.")] = None,
    duty: Annotated[float, typer.Option(help="Share of a session's time in which a model or tool is at work.")] = 1.0,
    requests_per_min: Annotated[float | None, typer.Option(help="Of the accounts behind the model keys.")] = None,
    mean_turn_s: Annotated[float, typer.Option(help="Seconds of one call of a model.")] = 10.0,
    docker_free_gib: Annotated[float | None, typer.Option(help="Free memory of servers with Docker sandboxes.")] = None,
    start_every_s: Annotated[float, typer.Option(help="Between two sessions that begin on one server.")] = 0.1,
    quarantine_after: Annotated[int, typer.Option(help="Failures in a row that end a server's part.")] = 3,
    allow_failures: Annotated[float, typer.Option(help="Share of the jobs that may fail, 0 to 1.")] = 0.0,
    into: Into = None,
    name: Annotated[str, typer.Option(help="Of the fleet, for going on with it; by default the file.")] = "",
    again: Again = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only look at all jobs, and plan.")] = False,
    as_json: Json = False,
) -> None:
    """Run many tasks at once; exit 1 where more failed than may. The same command does only what is not done."""
    given: dict[str, Any] = {
        "duty": duty,
        "requests_per_min": requests_per_min,
        "mean_turn_s": mean_turn_s,
        "docker_free_gib": docker_free_gib,
        "start_every_s": start_every_s,
        "quarantine_after": quarantine_after,
    }
    _plan_before_start(jobs, server or [], {"n": n, "allow_failures": allow_failures, **given})

    def start() -> Any:
        from flows.agent_fleet import agent_fleet

        place = None if into is None else str(into.absolute())
        more: dict[str, Any] = {
            "only_servers": tuple(server or ()),
            "name": name,
            "into": place,
            "again": again,
            "dry_run": dry_run,
        }
        # What may fail is looked at below, after the report is shown.
        return agent_fleet(str(jobs.absolute()), n, allow_failures=1.0, **given, **more)

    report = _run(start, quiet=as_json)
    from tasks.sessions.fleet_report import fleet_markdown

    _show(report, fleet_markdown(report), as_json=as_json)
    if not dry_run and not report.is_within(allow_failures):
        raise typer.Exit(1)


@commands.command("show")
def show(
    session: Annotated[str | None, typer.Argument(help="Id of a session; without one all are listed.")] = None,
    events: Annotated[int, typer.Option(help="So many of its latest events, too.")] = 0,
    as_json: Json = False,
) -> None:
    """Show a session of this machine: its state, its tasks, what each turn came to. Nothing is asked of a server."""
    from tasks.sessions.shown import session_markdown, session_shown, sessions_markdown, sessions_shown

    if session is None:
        listed = sessions_shown()
        _show(listed, sessions_markdown(listed), as_json=as_json)
        return
    found = session_shown(session, events)
    _show(found, session_markdown(found, local_time(found.updated_at)), as_json=as_json)


@commands.command("servers")
def list_servers(
    recycled: Annotated[str | None, typer.Option(help="This server was restarted: count its sessions anew.")] = None,
    as_json: Json = False,
) -> None:
    """List the servers of AGENT_SERVERS_FILE: whether each is there, what it can carry. Exit 1 where one is not."""
    import asyncio

    from blocks.iiagent.books import recycled as begin_anew
    from blocks.iiagent.server import servers
    from tasks.sessions.shown import servers_markdown, servers_shown

    known = servers()
    if recycled is not None:
        begin_anew(known.named(recycled).name)
    found = asyncio.run(servers_shown(known.servers))
    _show(found, servers_markdown(found), as_json=as_json)
    if not all(one.is_there for one in found):
        raise typer.Exit(1)


def _look_before_start(server: str | None, asked: dict[str, Any] | None, *, conversation: str | None = None) -> None:
    """What is wrong with the task or the files should not wait for Prefect's server to start.

    Args:
        server: As it was given.
        asked: Of the task, what the flow is given; None: there is none.
        conversation: The one that is only read.
    """
    from blocks.iiagent.paths import session_id
    from blocks.iiagent.server import servers
    from tasks.sessions.task import AgentTask, agent_task_of, check_for, checks_of

    known = servers()
    named = None if server is None else known.named(server)
    if conversation is not None:
        session_id(conversation)
    if asked is None:
        return
    fields: dict[str, Any] = {name: value for name, value in asked.items() if name in AgentTask.model_fields}
    fields |= {"checks": checks_of(asked["checks"]), "server": server or ""}
    task = agent_task_of(**fields)
    if named is not None:
        check_for(task, named)


def _plan_before_start(jobs: Path, names: list[str], options: dict[str, Any]) -> None:
    from blocks.iiagent.server import servers
    from tasks.sessions.fleet_jobs import ready_jobs
    from tasks.sessions.fleet_plan import options_of, plan_of

    known = servers()
    taking_part = tuple(known.named(name) for name in names) or known.servers
    made = options_of(**options)
    plan_of(ready_jobs(jobs, taking_part), taking_part, made).check()


def _run(start: Any, *, quiet: bool) -> Any:
    from deployments.cli.session import run_flow

    return run_flow(start, quiet=quiet)


def _ended(result: Any, *, as_json: bool) -> None:
    from tasks.sessions.report import result_markdown

    _show(result, result_markdown(result), as_json=as_json)
    if not result.done:
        raise typer.Exit(1)


def _show(value: Any, page: str, *, as_json: bool) -> None:
    if as_json:
        echo_json(value)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    from blocks.plain_text import visible

    Console().print(Markdown(visible(page)))
