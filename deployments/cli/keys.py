"""`c500 keys`: who may use the gateway."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli import app
from deployments.cli.output import Json, echo_json
from deployments.cli.service_store import service_store

if TYPE_CHECKING:
    from blocks.keys import ApiKey, KeyRing, Scope

commands = typer.Typer(help="API keys of the gateway.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(commands, name="keys")

KeyId = Annotated[str, typer.Argument(metavar="ID", help="Id of a key; see `c500 keys list`.")]
Limit = Annotated[str | None, typer.Option(metavar="NUMBER|none", help="The new limit.", show_default=False)]

SHOWN_ONCE = "this is the only time the secret is shown; clients send it as Authorization: Bearer, or in X-API-Key"


@commands.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    scopes: Annotated[
        str,
        typer.Option(help="Comma list of submit, read, admin (all jobs, templates), approve, chat (LLMs), alert."),
    ] = "submit,read",
    requests_per_min: Annotated[int | None, typer.Option(min=1, help="Most requests a minute.")] = None,
    bytes_per_day: Annotated[int | None, typer.Option(min=0, help="Most bytes uploaded in a day (UTC).")] = None,
    usd_per_day: Annotated[
        float | None, typer.Option(min=0, help="Most dollars its chat completions may cost in a day (UTC).")
    ] = None,
    tokens_per_day: Annotated[
        int | None, typer.Option(min=1, help="Most tokens of its chat completions in a day (UTC).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key and print its secret, once."""
    secret, key = _ring().create(
        name[:200],
        _scopes(scopes),
        requests_per_min=requests_per_min,
        bytes_per_day=bytes_per_day,
        usd_per_day=usd_per_day,
        tokens_per_day=tokens_per_day,
    )
    _show_secret(secret, key, as_json=as_json)


@commands.command("list")
def list_all(as_json: Json = False) -> None:
    """List all keys, also revoked ones; secrets are not kept and so not shown."""
    from blocks.plain_text import plain

    keys = _ring().list()
    if as_json:
        echo_json([_facts(key) for key in keys])
        return
    for key in keys:
        typer.echo(f"{key.key_id}  {_state(key):28}  {','.join(key.scopes):26}  {_limits(key)}  {plain(key.name)}")
    if not keys:
        typer.echo("there are no keys yet; make one with `c500 keys create NAME`", err=True)


@commands.command("limit")
def limit(
    key_id: KeyId,
    requests_per_min: Limit = None,
    bytes_per_day: Limit = None,
    usd_per_day: Limit = None,
    tokens_per_day: Limit = None,
    as_json: Json = False,
) -> None:
    """Change a key's limits, see `c500 keys create`; a running gateway goes by them within a second.

    What is not named stays as it is; `none` takes a limit away. What was used before counts.
    """
    from blocks.errors import BadInput

    named = {
        "requests_per_min": requests_per_min,
        "bytes_per_day": bytes_per_day,
        "usd_per_day": usd_per_day,
        "tokens_per_day": tokens_per_day,
    }
    limits = {name: _amount(name, text) for name, text in named.items() if text is not None}
    if not limits:
        raise BadInput("no limit is named", fix="name one, as --usd-per-day 5, or --usd-per-day none for no limit")
    key = _ring().limit(key_id, limits)
    _tell(key, _limits(key), as_json=as_json)


@commands.command("revoke")
def revoke(key_id: KeyId, as_json: Json = False) -> None:
    """Withdraw a key; a running gateway refuses it within a second."""
    _tell(_ring().revoke(key_id), "revoked", as_json=as_json)


@commands.command("rotate")
def rotate(
    key_id: KeyId,
    grace_s: Annotated[float, typer.Option(min=0, max=366 * 86_400, help="Seconds the old secret stays valid.")] = (
        86_400
    ),
    as_json: Json = False,
) -> None:
    """Give a key a new secret and print it, once; its jobs and quotas stay its own."""
    secret, key = _ring().rotate(key_id, grace_s=grace_s)
    _show_secret(secret, key, as_json=as_json)


def _ring() -> "KeyRing":
    from blocks.keys import KeyRing

    return KeyRing(service_store())


def _scopes(text: str) -> tuple["Scope", ...]:
    from blocks.errors import BadInput
    from blocks.keys import SCOPES

    wanted = {part.strip() for part in text.split(",")}
    if unknown := wanted - set(SCOPES):
        raise BadInput(f"there is no scope {sorted(unknown)[0]!r}", fix=f"use a comma list of {', '.join(SCOPES)}")
    return tuple(scope for scope in SCOPES if scope in wanted)


def _amount(name: str, text: str) -> float | None:
    from blocks.errors import BadInput

    try:
        return None if text == "none" else float(text)
    except ValueError:
        option = f"--{name.replace('_', '-')}"
        raise BadInput(f"{option} is {text!r}", fix="give a number, or none for no limit", field=option) from None


def _show_secret(secret: str, key: "ApiKey", *, as_json: bool) -> None:
    if as_json:
        echo_json(_facts(key) | {"secret": secret})
        return
    typer.echo(secret)
    typer.echo(f"key {key.key_id} ({', '.join(key.scopes)}); {SHOWN_ONCE}", err=True)


def _tell(key: "ApiKey", told: str, *, as_json: bool) -> None:
    if as_json:
        echo_json(_facts(key))
    else:
        typer.echo(f"{key.key_id}: {told}")


def _facts(key: "ApiKey") -> dict[str, Any]:
    return key.model_dump(mode="json", exclude={"secrets"}) | {"state": _state(key)}


def _state(key: "ApiKey") -> str:
    if key.revoked_at:
        return f"revoked {_day(key.revoked_at)}"
    ends = [one.expires_at for one in key.secrets if one.expires_at and not one.expired]
    return f"valid, old until {max(ends):%m-%d %H:%M}" if ends else f"valid since {_day(key.created_at)}"


def _day(moment: datetime) -> str:
    return moment.date().isoformat()


def _limits(key: "ApiKey") -> str:
    limits = f"{_limit(key.requests_per_min)} requests/min, {_limit(key.bytes_per_day)} bytes/day"
    if "chat" not in key.scopes:
        return limits
    return f"{limits}, {_limit(key.usd_per_day)} $/day, {_limit(key.tokens_per_day)} tokens/day"


def _limit(value: float | None) -> str:
    return "any" if value is None else f"{value:.15g}"
