"""Runs of agents and teams, as `c500 agents runs` lists them and `c500 agents result` shows what came of one."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from deployments.cli.output import echo_json, local_time

if TYPE_CHECKING:
    from blocks.errors import StoreFailed
    from tasks.agents.result import AgentResult
    from tasks.agents.team.result import TeamResult


def run_rows() -> list[dict[str, Any]]:
    """All runs, of agents and of teams, as rows for JSON; the oldest first, damaged ones before them."""
    rows = [*_of_agents(), *_of_teams()]
    return sorted(rows, key=lambda row: (row["started_at"] is not None, row["started_at"], row["run_id"]))


def run_line(row: dict[str, Any]) -> str:
    """A row for people."""
    when = local_time(row["started_at"]) if row["started_at"] else "?"
    team = "team of " if row["kind"] == "team" else ""
    return f"{row['run_id']}  {row['status']:8} {when}  {team}{row['agent']}: {row['goal']}"


def found_result(run_id: str) -> "AgentResult | TeamResult":
    """What came of a run of an agent or a team. Raises `NotFound`."""
    from blocks.errors import NotFound
    from blocks.store import open_store
    from tasks.agents.given import checked_id
    from tasks.agents.runs import RunStore
    from tasks.agents.team.team_store import TeamStore

    files = open_store()
    found = RunStore(files).result(checked_id(run_id)) or TeamStore(files, run_id).result()
    if found is None:
        raise NotFound(f"run {run_id} has no result", fix="list runs with `c500 agents runs`", field="RUN")
    return found


def show_result(result: "AgentResult", *, as_json: bool) -> None:
    """Print what the agent said, what a dry run would have changed, what was refused and what it took.

    Nothing that an agent wrote moves the cursor.
    """
    if as_json:
        echo_json(result)
        return
    if result.output:
        _say(result.output)
    for change in result.would_change:
        _say(f"would change: {change}")
    if result.dry_run and not result.would_change:
        typer.echo("nothing would be changed", err=True)
    if result.trouble is not None:
        _say(f"{result.status}: {result.trouble.message}\nfix: {result.trouble.fix}", err=True)
    for name, told in (("refused", result.refused), ("note", result.notices)):
        for one in told:
            _say(f"{name}: {one}", err=True)
    used = result.usage
    typer.echo(
        f"run {result.run_id} · {result.status} · {used.steps} steps, {used.actions} actions, "
        f"{used.prompt_tokens + used.completion_tokens} tokens, ${used.cost_usd:.6f} · "
        f"`c500 audit why {result.run_id}` tells its story",
        err=True,
    )


def _of_agents() -> Iterator[dict[str, Any]]:
    from blocks.errors import StoreFailed
    from blocks.store import open_store
    from tasks.agents.runs import RunStore

    store = RunStore(open_store())
    for run_id in store.ids():
        try:
            if (begun := store.begun(run_id)) is not None:
                yield _row("agent", run_id, begun, begun.definition.name, store.result(run_id))
        except StoreFailed as error:  # one bad record hides no other
            yield _damaged("agent", run_id, error)


def _of_teams() -> Iterator[dict[str, Any]]:
    from blocks.errors import StoreFailed
    from blocks.store import open_store
    from tasks.agents.team.team_store import TeamStore, team_ids

    files = open_store()
    for run_id in team_ids(files):
        store = TeamStore(files, run_id)
        try:
            if (begun := store.begun()) is not None:
                yield _row("team", run_id, begun, begun.coordinator.name, store.result())
        except StoreFailed as error:
            yield _damaged("team", run_id, error)


def _row(kind: str, run_id: str, begun: Any, agent: str, ended: Any) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "kind": kind,
        "status": ended.status if ended else "open",
        "started_at": begun.started_at,
        "agent": agent,
        "goal": " ".join(begun.goal.split())[:80],
    }


def _damaged(kind: str, run_id: str, error: "StoreFailed") -> dict[str, Any]:
    facts = {"run_id": run_id, "kind": kind, "status": "damaged", "started_at": None, "agent": "?"}
    return facts | {"goal": error.message}


def _say(text: str, *, err: bool = False) -> None:
    """Print what others wrote: line ends are the only control characters that stay."""
    from blocks.plain_text import visible
    from tasks.agents.team.text import storable

    typer.echo(storable(visible(text)), err=err)
