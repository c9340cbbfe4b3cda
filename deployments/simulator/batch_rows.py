"""A script of simulated models that answers `c500 batch-prompts`: every row that is asked for, whatever the plan."""

import re
from itertools import product
from typing import Any

from deployments.simulator.asked import Asked
from deployments.simulator.instance import LONGEST, instance
from tasks.batch_prompts.chunk import WANTED
from tasks.batch_prompts.llm import ROWS

ALL = re.compile(r"one for every combination of (.*)\.$", re.MULTILINE)


def answer(asked: Asked) -> dict[str, Any] | None:
    """The rows that a chunk's prompt wants, with cells of the types asked for; None for any other request."""
    wanted = asked.last.partition(WANTED)[2].partition("Columns:")[0]
    if not wanted or asked.schema is None:
        return None
    row = asked.schema["properties"][ROWS]["items"]
    columns: dict[str, Any] = row["properties"]
    number = next(iter(columns))
    combined = ALL.search(wanted)
    keys = {} if combined is None else _keys(combined[1], columns)
    rows: list[dict[str, Any]] = []
    for found, what in re.findall(rf"^- {re.escape(number)} (\d+): (.*)$", wanted, re.MULTILINE):
        for unit in product(*keys.values()):
            named = " ".join(f"{name}={value}" for name, value in zip(keys, unit, strict=True))
            if not keys or what.startswith("all ") or named in what.split("; "):
                cells = {name: _cell(columns[name], int(found), named) for name in columns}
                rows.append({**cells, number: int(found), **dict(zip(keys, unit, strict=True))})
    return {ROWS: rows}


def _keys(told: str, columns: dict[str, Any]) -> dict[str, list[Any]]:
    """The key columns and what each may be, of `topic 1 to 2, step (need | action)`."""
    found: dict[str, list[Any]] = {}
    for name, schema in columns.items():
        if re.search(rf"(?:^|, ){re.escape(name)} \(", told):
            found[name] = schema["enum"]
        elif numbers := re.search(rf"(?:^|, ){re.escape(name)} 1(?: to (\d+))?(?:,|$)", told):
            found[name] = list(range(1, int(numbers[1] or 1) + 1))
    return found


def _cell(schema: dict[str, Any], number: int, named: str) -> Any:
    """A value of the column's type; its bounds stand in words, since strict modes of providers know no others."""
    told = str(schema.get("description", ""))
    choices: list[Any] | None = schema.get("enum")
    if choices:
        return choices[number % len(choices)]
    least, most = (re.search(rf"{words} (-?[\d.]+)", told) for words in ("at least", "at most"))
    if least or most:
        bounds = {name: float(found[1]) for name, found in (("minimum", least), ("maximum", most)) if found}
        schema = {**schema, **bounds, "maxLength": int(bounds.get("maximum", LONGEST))}
    if told.endswith("YYYY-MM-DD"):
        schema = {**schema, "format": "date"}
    return instance(schema, f"simulated answer to row {number} {named}")
