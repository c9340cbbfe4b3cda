"""`c500 policy`: whether rules are well written, and what they would decide."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli import app

if TYPE_CHECKING:
    from blocks.policy import Policy
    from tasks.agents.explain import Explained

commands = typer.Typer(help="The rules of agents.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(commands, name="policy")

File = Annotated[Path | None, typer.Option("--policy", help="File of rules; by default POLICY_FILE.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


@commands.command("check")
def check(
    file: Annotated[Path | None, typer.Argument(help="By default POLICY_FILE, or the shipped rules.")] = None,
    as_json: Json = False,
) -> None:
    """Check a file of rules; every fault is told with its line, and the exit code is 2."""
    from blocks.errors import BadInput
    from blocks.settings import settings

    try:
        policy = _policy(file)
        policy.in_force(settings().agent_profile)
    except BadInput as error:
        if not as_json:
            raise
        problems = error.details.get("problems") or [error.message]
        typer.echo(json.dumps({"ok": False, "problems": problems}, indent=2, ensure_ascii=False, default=str))
        raise typer.Exit(error.exit_code) from None
    rules, profiles = len(policy.content.rules), sorted(policy.profiles)
    warnings = _warnings(policy)
    if as_json:
        facts = {
            "ok": True,
            "version": policy.version,
            "rules": rules,
            "profiles": profiles,
            "warnings": warnings,
        }
        typer.echo(json.dumps(facts, indent=2))
        return
    typer.echo(f"well written: {rules} rules with those that are shipped, profiles {', '.join(profiles)}")
    typer.echo(f"version {policy.version}")
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)


def _warnings(policy: "Policy") -> list[str]:
    """Rules that name a tool which there is not: such a rule may protect nothing."""
    from tempfile import TemporaryDirectory

    from blocks.memory import Memory
    from blocks.plain_text import plain
    from blocks.policy import Policy
    from blocks.redact import default_redactor
    from blocks.settings import settings
    from tasks.agents.registry import unknown_tools

    with TemporaryDirectory() as empty:
        memory = Memory(Path(empty) / "memory.db", default_redactor())
        named = {rule.id: (*rule.tools, *rule.tools_except) for rule in policy.content.rules}
        unknown = set(unknown_tools((name for names in named.values() for name in names), settings(), memory))
        # What is shipped names tools, too, that only other versions or MCP servers have.
        unknown -= {name for rule in Policy.read().content.rules for name in (*rule.tools, *rule.tools_except)}
        memory.close()
    return [
        f"rule {plain(rule)} names {plain(name)!r}, which is no tool of C500; those of MCP servers begin with mcp_"
        for rule, names in named.items()
        for name in names
        if name in unknown
    ]


@commands.command("profiles")
def profiles(policy: File = None, as_json: Json = False) -> None:
    """List the profiles: how free an agent is in each, and which of those that expire are in force."""
    from blocks.settings import settings

    rules = _policy(policy)
    rows = [_profile(rules, name) for name in sorted(rules.profiles)]
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        marks = [f"sandbox {row['sandbox']}", *(["plans only"] if row["dry_run"] else [])]
        if row["in_force"] != row["name"]:
            marks.append(f"not in force: {row['in_force']} is in its place")
        own = "*" if row["name"] == settings().agent_profile else " "
        typer.echo(f"{own} {row['name']:12} {'; '.join(marks)}; {row['about']}")
    typer.echo("* is AGENT_PROFILE", err=True)


@commands.command("explain")
def explain(
    tool: Annotated[str, typer.Argument(help="Name of a tool.")],
    arguments: Annotated[str, typer.Option(help="Its arguments, a JSON object.")] = "{}",
    profile: Annotated[str | None, typer.Option(help="By default AGENT_PROFILE.")] = None,
    agent: Annotated[str, typer.Option(help="Which agent would call it.")] = "operator",
    user: Annotated[str | None, typer.Option(help="For whom; by default you.")] = None,
    workspace: Annotated[
        Path | None, typer.Option(help="Folder that it works in; by default an empty one, as of a new run.")
    ] = None,
    labels: Annotated[str, typer.Option(help="What the run has seen: untrusted, private, or both with a comma.")] = "",
    unattended: Annotated[bool, typer.Option("--unattended", help="Nobody can be asked.")] = False,
    at: Annotated[str | None, typer.Option(help="When, as 2026-12-24T23:00+07:00; by default now.")] = None,
    policy: File = None,
    as_json: Json = False,
) -> None:
    """Say what would be decided of a call, and by which rule; nothing is done, and no server is asked."""
    from blocks.approvals import login_name
    from blocks.settings import settings
    from tasks.agents.explain import Asked, explained

    asked = Asked(
        tool=tool,
        arguments=_arguments(arguments),
        profile=profile or settings().agent_profile,
        agent=agent,
        user=user or login_name(),
        labels=_labels(labels),
        attended=not unattended,
        at=_moment(at),
    )
    found = explained(asked, settings(), _policy(policy), workspace)
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
        return
    for line in _page(found):
        typer.echo(line)


def _policy(file: Path | None) -> "Policy":
    from blocks.policy import Policy
    from blocks.settings import settings

    chosen = settings()
    path = file or chosen.policy_file
    rules = Policy.read(None if path is None else path.expanduser())
    return rules.placed(state=chosen.agents_home.expanduser() / "policy")


def _profile(policy: "Policy", name: str) -> dict[str, Any]:
    return {"name": name, "in_force": policy.in_force(name)} | policy.profiles[name].model_dump(mode="json")


def _arguments(text: str) -> dict[str, Any]:
    from blocks.errors import BadInput

    try:
        arguments: Any = json.loads(text)
    except ValueError as error:
        raise BadInput(f"--arguments is no JSON: {error}", fix="give a JSON object", field="--arguments") from None
    if not isinstance(arguments, dict):
        raise BadInput("--arguments is no JSON object", fix="give them by name", field="--arguments")
    return arguments  # pyright: ignore[reportUnknownVariableType]


def _labels(text: str) -> frozenset[Any]:
    from typing import get_args

    from blocks.action import Label
    from blocks.errors import BadInput

    wanted = {part.strip() for part in text.split(",") if part.strip()}
    if unknown := wanted - set(get_args(Label)):
        fix = f"use {', '.join(get_args(Label))}"
        raise BadInput(f"there is no label {min(unknown)[:80]!r}", fix=fix, field="--labels")
    return frozenset(wanted)


def _moment(text: str | None) -> datetime:
    from blocks.errors import BadInput

    try:
        return datetime.now(UTC) if text is None else datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise BadInput(
            f"--at {text!r:.80} is no time", fix="give one as 2026-12-24T23:00+07:00", field="--at"
        ) from None


def _page(found: "Explained") -> list[str]:
    from blocks.plain_text import plain

    decision, action = found.decision, found.action
    persons = f", {decision.persons} persons" if decision.persons > 1 else ""
    lines = [
        f"verdict  {decision.verdict}{persons}",
        f"rule     {decision.rule}",
        f"because  {plain(decision.reason)}",
        f"profile  {decision.profile}",
        f"policy   {decision.policy_version}",
    ]
    if action is not None:
        changes = "only reads" if action.read_only else "can be undone" if action.reversible else "cannot be undone"
        seen_by_others = ", others see its effect" if action.outside else ""
        lines.append(f"tool     {plain(action.tool)}, risk {action.risk}, {changes}{seen_by_others}")
        touched = action.touched
        reached = {
            "reads": touched.reads,
            "writes": (*touched.writes, *touched.removes),
            "hosts": touched.hosts,
            "runs": touched.argv or (),
        }
        lines += [f"{name:8} {plain(' '.join(places))}" for name, places in reached.items() if places]
    return [*lines, *(f"note     {plain(note)}" for note in found.notes)]
