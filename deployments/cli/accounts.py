"""`c500 accounts`: the LLM accounts, whether they work, their limits, and files of sealed secrets."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli import app
from deployments.cli.costs import aligned, books
from deployments.cli.output import Json, echo_json

if TYPE_CHECKING:
    from blocks.accounts.account import Account, Accounts, Model, Price, Quota
    from blocks.accounts.check import Checked
    from blocks.accounts.health import Health
    from blocks.limits.limit import Limit, Standing

commands = typer.Typer(
    help="LLM accounts of ACCOUNTS_FILE; docs/accounts.md tells its form.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(commands, name="accounts")


@commands.command("list")
def list_all(as_json: Json = False) -> None:
    """List accounts and models with limits, prices, and how they answered in the last 10 minutes; never a secret."""
    from blocks.accounts.health import health

    healths = health(books())
    rows = [
        _row(account, name, model, healths.get((account.name, name)))
        for account in _accounts().accounts
        for name, model in account.models.items()
    ]
    if as_json:
        echo_json(rows)
        return
    heads = ("account", "provider", "model", "limits", "price", "state")
    for line in aligned([list(heads), *([row[head] for head in heads] for row in rows)], left=len(heads)):
        typer.echo(line)


@commands.command("check")
def check(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Accounts; all without a name.")] = None,
    as_json: Json = False,
) -> None:
    """Ask each model of each account for one token; exit 1 when one does not answer.

    The calls count against limits and budgets as all others, and are in the books under the user accounts-check.
    """
    from blocks.accounts.check import check_accounts
    from blocks.accounts.open import open_pool

    async def run() -> "list[Checked]":
        async with open_pool() as pool:
            return await check_accounts(pool, names or ())

    checked = asyncio.run(run())
    if as_json:
        echo_json([_facts(one) for one in checked])
    else:
        _show_checked(checked)
    if any(one.error for one in checked):
        raise typer.Exit(1)


@commands.command("show-limits")
def show_limits(
    user: Annotated[list[str] | None, typer.Option(help="Also the budgets of this user; several times.")] = None,
    session: Annotated[list[str] | None, typer.Option(help="Also the budgets of this session; several times.")] = None,
    run: Annotated[list[str] | None, typer.Option(help="Also money and tokens of this run of an agent.")] = None,
    as_json: Json = False,
) -> None:
    """Show how every limit stands now: what is used, and what calls that run hold."""
    standings = asyncio.run(_standings(user or [], session or [], _purses(run or [])))
    if as_json:
        rows = [_standing(one) for one in standings]
        echo_json(rows)
        return
    heads = ["limit", "used", "held", "of", "share", "blocked"]
    for line in aligned([heads, *map(_cells, standings)], left=1):
        typer.echo(line)


@commands.command("new-key")
def new_key() -> None:
    """Make a key for files of sealed secrets; set it as C500_SEAL_KEY, and keep it apart from the files."""
    from blocks.accounts.sealed import new_seal_key

    typer.echo(new_seal_key())


@commands.command("seal")
def seal(
    file: Annotated[Path, typer.Argument(help="File of sealed secrets; made when it is not there.")],
    name: Annotated[str, typer.Argument(help="Name of the secret in the file.")],
) -> None:
    """Put a secret, from standard input or typed unseen, into a file that C500_SEAL_KEY opens."""
    from blocks.accounts.sealed import seal
    from blocks.errors import BadInput

    typed: str = typer.prompt("secret", hide_input=True) if sys.stdin.isatty() else sys.stdin.read()
    if not (secret := typed.strip()):
        raise BadInput("no secret was given", fix="pipe it in: c500 accounts seal FILE NAME < secret.txt")
    seal(file, name, secret)
    typer.echo(f"accounts.yaml: key: file:{file}#{name}")


def _accounts() -> "Accounts":
    from blocks.accounts.file import read_accounts
    from blocks.settings import settings

    return read_accounts(settings().accounts_file.expanduser())


def _row(account: "Account", name: str, model: "Model", health: "Health | None") -> dict[str, Any]:
    return {
        "account": account.name,
        "provider": account.provider,
        "model": name,
        "limits": " + ".join(filter(None, (_quota(account.quota), _quota(model.quota)))) or "none",
        "price": _price(model.price),
        "state": _state(account, health),
    }


def _quota(quota: "Quota") -> str:
    return ", ".join(f"{name} {value:g}" for name, value in quota.model_dump().items() if value is not None)


def _price(price: "Price | None") -> str:
    return "unknown" if price is None else f"${price.input_usd:g} in, ${price.output_usd:g} out"


def _state(account: "Account", health: "Health | None") -> str:
    if not account.enabled:
        return "disabled"
    if missing := _missing_key(account):
        return missing
    if health is None:
        return "not called lately"
    p95 = "" if health.p95_ms is None else f", p95 {health.p95_ms:.0f} ms"
    last = f", last fault {health.last_fault}" if health.last_fault else ""
    return f"{health.ok_share:.1%} of {health.calls} ok{p95}{last}"


def _missing_key(account: "Account") -> str:
    """What is wrong with its key; empty when nothing is. A block of Prefect is not looked at: that needs its server."""
    from blocks.accounts.secrets import Secrets
    from blocks.errors import C500Error
    from blocks.settings import settings

    if account.key.startswith("prefect:"):
        return ""
    try:
        asyncio.run(Secrets(settings().accounts_file.expanduser().parent).secret(account))
    except C500Error as error:
        return f"no key: {error.message}"
    return ""


def _show_checked(checked: "list[Checked]") -> None:
    rows = [
        [one.account, one.model, "failed" if one.error else "ok", f"{1000 * one.latency_s:.0f} ms"] for one in checked
    ]
    for one, line in zip(checked, aligned(rows, left=3), strict=True):
        typer.echo("  ".join((line, _told(one))).rstrip())
        if one.error:
            typer.echo(f"    {one.error.code}: {one.error.message}\n    fix: {one.error.fix}")


def _told(one: "Checked") -> str:
    """Limits by the headers, against the configured ones."""
    parts: list[str] = []
    for told in one.told:
        same = told.amount == told.configured
        parts.append(f"{told.limit} {told.amount}" + ("" if same else f" (accounts.yaml: {told.configured or 'none'})"))
    return ", ".join(parts)


def _facts(one: "Checked") -> dict[str, Any]:
    error = one.error
    return {
        "account": one.account,
        "model": one.model,
        "ok": error is None,
        "latency_ms": round(1000 * one.latency_s, 1),
        "limits": [vars(told) for told in one.told],
        "error": None if error is None else {"code": error.code, "message": error.message, "fix": error.fix},
    }


def _purses(runs: list[str]) -> "list[Limit]":
    """The limits of agents' runs. Raises `NotFound`."""
    from blocks.errors import NotFound
    from blocks.store import open_store
    from tasks.agents.purse import purse_of
    from tasks.agents.runs import RunStore

    found: list[Limit] = []
    for run_id in runs:
        if (begun := RunStore(open_store()).begun(run_id)) is None:
            raise NotFound(f"there is no run {run_id}", fix="list runs with `c500 agents runs`", field="--run")
        found += purse_of(run_id, begun.definition.limits)
    return found


async def _standings(users: list[str], sessions: list[str], more: "list[Limit]") -> "list[Standing]":
    from blocks.accounts.open import with_home
    from blocks.accounts.standing import account_limits, budget_limits
    from blocks.errors import BadInput
    from blocks.limits import open_limiter
    from blocks.settings import settings

    if settings().limiter_url == "memory://":
        raise BadInput(
            "LIMITER_URL is memory://: each process counts by itself, and this one has counted nothing",
            fix="use sqlite:///path or redis://… to share limits between processes",
            field="LIMITER_URL",
        )
    accounts = _with_key_budgets(_accounts())
    limiter = open_limiter(with_home(settings().limiter_url))
    try:
        found = [*account_limits(accounts), *budget_limits(accounts, users, sessions), *more]
        return await limiter.standing(list({limit.key: limit for limit in found}.values()))
    finally:
        await limiter.close()


def _with_key_budgets(accounts: "Accounts") -> "Accounts":
    """The same with the budgets of the gateway's keys."""
    from blocks.accounts.standing import quota_of, with_quotas
    from blocks.keys import KeyRing
    from blocks.store import open_store

    keys = KeyRing(open_store()).list()
    return with_quotas(accounts, {key.key_id: quota_of(key) for key in keys if not key.revoked_at})


def _standing(one: "Standing") -> dict[str, Any]:
    unit = _unit(one.key)
    return {
        "limit": one.key,
        "used": one.settled / unit if unit > 1 else one.settled,
        "held": one.held / unit if unit > 1 else one.held,
        "of": one.amount / unit if unit > 1 else one.amount,
        "share": (one.settled + one.held) / one.amount if one.amount else 1.0,
        "blocked_s": one.blocked_s,
    }


def _cells(one: "Standing") -> list[str]:
    from blocks.accounts.chat import UNBOUNDED

    row, unit = _standing(one), _unit(one.key)
    amounts = [f"${row[name]:.4f}" if unit > 1 else f"{row[name]}" for name in ("used", "held", "of")]
    if one.amount >= UNBOUNDED:
        return [one.key, *amounts[:2], "any", "-", "-"]
    return [one.key, *amounts, f"{row['share']:.0%}", f"{one.blocked_s:.0f} s" if one.blocked_s else "-"]


def _unit(key: str) -> int:
    """Money is counted in parts of a dollar."""
    from blocks.accounts.account import USD_UNIT

    return USD_UNIT if key.rsplit("/", 1)[-1].startswith("usd") else 1
