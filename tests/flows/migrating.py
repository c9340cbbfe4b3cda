"""What tests of migrations share: a shop, a runner that can be killed, and what must hold whatever was killed."""

from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import yaml

from tasks.ops.migration.kept import open_migrations
from tasks.ops.migration.states import AT_WORK, MOVES, MigrationState, PhaseState
from tests.tasks.ops.migration.shop import DEMO, PLAN, checksums, psql


def copy_of(template: str) -> str:
    """URL of a new database like that one, to which nobody is connected."""
    parts, name = urlsplit(template), f"test_{uuid4().hex[:12]}"
    psql(parts._replace(path="/postgres").geturl(), "-c", f"CREATE DATABASE {name} TEMPLATE {parts.path.strip('/')}")
    return parts._replace(path=f"/{name}").geturl()


def failing_plan(folder: Path) -> Path:
    """The example's plan, whose last phase fails its check, so that all is undone."""
    content = yaml.safe_load(PLAN.read_text())
    check = {"name": "never", "kind": "sql", "database": "shop", "query": "SELECT false"}
    content["phases"][-1] |= {
        "name": "prove",
        "consent": "rules",
        "compensation": "nothing",
        "action": {"kind": "sql", "database": "shop", "script": "ANALYZE orders"},
        "checks": [check],
    }
    for phase in content["phases"]:
        if phase["name"] == "index":
            phase["action"]["cwd"] = str(DEMO)
        for action in (
            phase["action"],
            *([phase["compensation"]["action"]] if "action" in phase["compensation"] else []),
        ):
            if "file" in action:
                action["file"] = str(DEMO / action["file"])
    path = folder / "failing.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def check_history(migration: str) -> MigrationState:
    """The manifest moved along its table only, with never two phases at work."""
    state = open_migrations().read(migration)
    now: dict[str, PhaseState] = {one.name: "blocked" for one in state.phases}
    for moment in state.history:
        if moment.state is not None:
            assert moment.state in MOVES[now[moment.phase]], moment
            now[moment.phase] = moment.state
            assert sum(one in AT_WORK for one in now.values()) <= 1
    assert now == {one.name: one.state for one in state.phases}
    assert all(before.token <= after.token for before, after in pairwise(state.history))
    return state


def check_rows(dsn: str) -> None:
    """No row was lost, doubled or changed."""
    table, mirror = checksums(dsn)
    assert table == mirror


def ledger(dsn: str) -> dict[str, int]:
    """What was done in the database, and how many rows of it."""
    lines = psql(dsn, "-c", "SELECT entry || '=' || rows FROM c500.ledger WHERE done").splitlines()
    return {entry.rpartition("/")[0]: int(rows) for entry, rows in (line.split("=") for line in lines)}
