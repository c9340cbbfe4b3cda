"""`c500 incident`: give agents the rights they need while something is broken, for some hours."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli import app
from deployments.cli.recorded import write_down

if TYPE_CHECKING:
    from blocks.policy import Activation, Policy

commands = typer.Typer(
    help="Brief the operators on alerts, ask, act, close, write it up; give agents more rights while it lasts.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(commands, name="incident")

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]

HOUR_S = 3600.0
ABOUT = "incident"
"""In place of a run in the audit log: `c500 audit show --run incident`."""


@commands.command("start")
def start(
    reason: Annotated[str, typer.Option(help="What is broken; it is kept in the audit.")],
    hours: Annotated[float, typer.Option(min=0.01, help="For how long, at most 24 hours.")] = 4.0,
    profile: Annotated[str, typer.Option(help="Which profile that expires, where the policy has more.")] = "incident",
    as_json: Json = False,
) -> None:
    """Put the profile `incident` in force: runs made with it are freer until it expires; it takes the place of one."""
    from blocks.policy import activate

    lasts_s = hours * HOUR_S
    _check(_policy(), profile, lasts_s, reason)
    details = {"profile": profile, "lasts_s": lasts_s}
    by = write_down("policy", ABOUT, outcome=f"{profile} in force for {hours:g} h", reason=reason, details=details)
    activation = activate(_folder(), by, reason, lasts_s, profile=profile)
    typer.echo(activation.model_dump_json(indent=2) if as_json else _line(activation))


@commands.command("stop")
def stop(as_json: Json = False) -> None:
    """End it before its time; runs that were made with it go on under the profile that it falls back to."""
    from blocks.policy import deactivate

    was_there = deactivate(_folder())
    if was_there:  # after it, unlike at the start: rights are taken away also where nothing can be written down
        write_down("policy", ABOUT, outcome="ended before its time")
    if as_json:
        typer.echo(json.dumps({"ended": was_there}))
    elif was_there:
        typer.echo("ended")
    else:
        typer.echo("nothing was in force", err=True)


@commands.command("status")
def status(as_json: Json = False) -> None:
    """Show whether a profile that expires is in force: which, until when, by whom and why."""
    from blocks.policy import active

    found = active(_folder(), datetime.now(UTC))
    counts = found is not None and _counts(found)
    if as_json:
        facts: dict[str, Any] | None = found and found.model_dump(mode="json") | {"in_force": counts}
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
    elif found is None:
        typer.echo("nothing is in force", err=True)
    else:
        typer.echo(_line(found) if counts else f"the policy does not take it: {_line(found)}")


def _policy() -> "Policy":
    from blocks.policy import Policy
    from blocks.settings import settings

    chosen = settings().policy_file
    return Policy.read(None if chosen is None else chosen.expanduser()).placed(state=_folder())


def _folder() -> Path:
    from blocks.settings import settings

    return settings().agents_home.expanduser() / "policy"


def _check(policy: "Policy", profile: str, lasts_s: float, reason: str) -> None:
    """Refuse what the policy would not take, or nobody could understand later."""
    from blocks.errors import BadInput, NotFound

    expiring = {name: one for name, one in policy.profiles.items() if one.falls_back_to is not None}
    if profile not in expiring:
        known = ", ".join(sorted(expiring)) or "none"
        raise NotFound(f"no profile {profile[:32]!r} expires", fix=f"those that do: {known}", field="--profile")
    if lasts_s > (most_s := expiring[profile].lasts_at_most_s):
        raise BadInput(f"{profile} may last {most_s / HOUR_S:g} hours", fix="give fewer --hours", field="--hours")
    if not reason.strip() or len(reason) > 500:
        raise BadInput("a reason is needed, of at most 500 characters", fix="say what is broken", field="--reason")


def _counts(activation: "Activation") -> bool:
    """Whether the policy takes it: the profile may have been changed since, or is not there any more."""
    policy = _policy()
    return activation.profile in policy.profiles and policy.in_force(activation.profile) == activation.profile


def _line(activation: "Activation") -> str:
    from blocks.plain_text import plain

    until, at = activation.until.astimezone(), activation.at.astimezone()
    return (
        f"{activation.profile} is in force until {until:%Y-%m-%d %H:%M}, since {at:%Y-%m-%d %H:%M} "
        f"by {plain(activation.by)}: {plain(activation.reason)}"
    )
