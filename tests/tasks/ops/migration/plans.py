"""Plans for tests."""

from pathlib import Path
from typing import Any

import yaml

from tasks.ops.migration.plan import MigrationPlan, read_plan

HOLDS: dict[str, Any] = {"name": "holds", "kind": "command", "argv": ["true"]}


def phase(name: str, **facts: Any) -> dict[str, Any]:
    """A phase that writes its name into `done.txt`, and takes it out again where it is undone."""
    return {
        "name": name,
        "action": {"kind": "command", "argv": ["sh", "-c", f"echo {name} >> done.txt"]},
        "checks": [HOLDS],
        "compensation": {"action": {"kind": "command", "argv": ["sh", "-c", f"echo undo-{name} >> done.txt"]}},
    } | facts


def plan_file(folder: Path, *phases: dict[str, Any], **facts: Any) -> Path:
    """A plan's file."""
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump({"name": "move", "phases": [*phases]} | facts, sort_keys=False))
    return path


def plan(folder: Path, *phases: dict[str, Any], **facts: Any) -> MigrationPlan:
    """A plan."""
    return read_plan(plan_file(folder, *phases, **facts))
