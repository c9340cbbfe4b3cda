"""`c500 simulate-llm`: rehearse an accounts.yaml before spending money."""

from pathlib import Path
from typing import Annotated, Any

import typer

from deployments.cli import app


@app.command("simulate-llm")
def simulate_llm(
    accounts: Annotated[Path, typer.Argument(metavar="ACCOUNTS.yaml", help="The accounts to rehearse.")],
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port of 127.0.0.1; 0 for a free one.")] = 8500,
    latency: Annotated[
        str | None, typer.Option(help="fixed:MS, or lognormal:MEAN:P95 in ms, as lognormal:312:487.")
    ] = None,
    faults: Annotated[
        str | None, typer.Option(help="Share of calls that go wrong, as 0.3, or by kind, as error:0.1,hang:0.01.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same requests: same answers and faults.")] = None,
    behaviour: Annotated[
        Path | None, typer.Option(help="YAML file with all that can be set; see docs/simulator.md.")
    ] = None,
    write: Annotated[
        Path | None, typer.Option(help="Where to write the copy of ACCOUNTS.yaml that leads to the simulator.")
    ] = None,
) -> None:
    """Rehearse an accounts.yaml against simulated providers, at no cost."""
    from blocks.accounts.file import read_accounts
    from deployments.simulator.rehearsal import behaviour_of, copy_path, read_behaviour
    from deployments.simulator.simulator import Simulator

    listed = read_accounts(accounts).accounts
    copy = copy_path(accounts, write)
    fields: dict[str, Any] = read_behaviour(behaviour) if behaviour else {}
    single: dict[str, dict[str, Any]] = fields.pop("accounts", None) or {}
    fields |= _given(latency, faults, seed)
    simulator = Simulator(listed, behaviour_of(fields))
    for name, changes in single.items():
        _change(simulator, name, {**fields, **changes}, changes)
    _serve(simulator, accounts, copy, port)


def _given(latency: str | None, faults: str | None, seed: int | None) -> dict[str, Any]:
    """The fields that options set."""
    from deployments.simulator.behaviour import parse_faults, parse_latency

    given = {
        "latency": None if latency is None else parse_latency(latency),
        "faults": None if faults is None else parse_faults(faults),
        "seed": seed,
    }
    return {name: value for name, value in given.items() if value is not None}


def _change(simulator: Any, name: str, whole: dict[str, Any], changes: dict[str, Any]) -> None:
    """Let a single account behave otherwise."""
    from blocks.errors import NotFound
    from deployments.simulator.rehearsal import behaviour_of

    if name not in simulator.tenants:
        fix = f"name one of {', '.join(simulator.tenants)}"
        raise NotFound(f"behaviour: accounts: there is no account {name}", fix=fix, field="--behaviour")
    behaviour_of(whole)
    simulator.change(name, **changes)


def _serve(simulator: Any, original: Path, copy: Path, port: int) -> None:
    """Serve until a signal, then say what came."""
    import asyncio

    from blocks.errors import BadInput
    from deployments.simulator.rehearsal import outcome, write_copy
    from deployments.simulator.serve import serve_until_stopped

    def tell(url: str) -> None:
        write_copy(original, tuple(tenant.account for tenant in simulator.tenants.values()), url, copy)
        typer.echo(f"{len(simulator.tenants)} accounts simulated at {url}; no call leaves this machine")
        typer.echo(f"rehearse: use {copy} in place of {original}")
        typer.echo(f"watch:    curl {url}/simulator/books")
        typer.echo("stop:     Ctrl-C")

    try:
        asyncio.run(serve_until_stopped(simulator.handle, port, tell))
    except OSError as error:
        raise BadInput(
            f"port {port} cannot be used: {error.strerror or error}", fix="give another with --port", field="--port"
        ) from error
    for line in outcome(simulator.books()):
        typer.echo(line)
