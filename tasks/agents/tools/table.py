"""The tools as a table for people."""

from collections.abc import Iterable
from typing import Any

from tasks.agents.tool import Tool

HEAD = ("tool", "arguments", "risk", "does", "others see it", "its result is")


def tools_table(tools: Iterable[Tool[Any]]) -> str:
    """A Markdown table of tools: what the rules know of each."""
    rows = [HEAD, ("---",) * len(HEAD), *map(_row, tools)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _row(tool: Tool[Any]) -> tuple[str, ...]:
    schema = tool.arguments.model_json_schema()
    needed = schema.get("required", [])
    names = [f"`{name}`" if name in needed else f"`{name}`?" for name in schema.get("properties", {})]
    labels = ", ".join(sorted(tool.labels)) or "–"
    return f"`{tool.name}`", ", ".join(names) or "–", tool.risk, _effect(tool), "yes" if tool.outside else "no", labels


def _effect(tool: Tool[Any]) -> str:
    if tool.read_only:
        return "reads"
    return "changes, can be undone" if tool.reversible else "changes"
