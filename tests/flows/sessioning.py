"""What tests of tasks for sessions share: servers that the settings name, with limits that let nobody wait."""

from pathlib import Path
from typing import Any

import yaml

from blocks.settings import settings
from tests.blocks.iiagent.opened import QUICK

GOAL = "Write output.csv with the columns id and text."
ROWS = [{"kind": "csv_shape", "path": "output.csv", "columns": ["id", "text"], "rows": 3, "unique": ["id"]}]
"""What proves the goal, as the scenario `happy` reaches it."""

EXPECTED_ROWS = [
    {
        "kind": "csv_shape",
        "path": "output.csv",
        "columns": ["row", "topic", "step", "text"],
        "rows": 600,
        "unique": ["row", "topic", "step"],
    }
]
"""The same of `short_csv`."""


def write_servers(path: Path, urls: dict[str, str], *, limits: dict[str, Any] | None = None, **fields: Any) -> Path:
    """A file of servers by name; the settings of this process lead to it where AGENT_SERVERS_FILE does."""
    common = {"model_keys": ["claude@a", "claude@b"], "limits": QUICK | (limits or {}), **fields}
    listed = [{"name": name, "base_url": url, "ui_url": f"{url}/ui", **common} for name, url in urls.items()]
    path.write_text(yaml.safe_dump({"servers": listed}))
    settings.cache_clear()
    return path
