"""What tests of batches of prompts share: tables, plans, and a model that answers them, well or badly as a row says."""

import csv
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from tasks.batch_prompts.chunk import WANTED

GROUPS = ("Giao hàng", "Thanh toán", "Bảo hành", "Product", "App", "Shop", "Hotline")

PROMPT = """Group {{ group }}, {{ per_row }} a row.
{% for one in rows %}
ROW {{ one.row }}: {{ one["ý kiến"] }}
{% endfor %}
"""

ROW = re.compile(r"^ROW (\d+): (.*)$", re.MULTILINE)
LINE = re.compile(r"^- row (\d+): (.*)$", re.MULTILINE)
TOPICS, STEPS = (1, 2), ("need", "action")
AGAIN = "An earlier answer was wrong"


def plan_file(folder: Path, **changes: Any) -> Path:
    """A plan for `rows.csv` of a folder: seven groups, four output rows for each row."""
    plan: dict[str, Any] = {
        "name": "feedback",
        "source": "rows.csv",
        "output": "out.csv",
        "group_column": "nhóm",
        "keep": ["mã"],
        "groups": {group: {"prompt": PROMPT} for group in GROUPS},
        "per_row": {"topic": len(TOPICS), "step": list(STEPS)},
        "columns": {
            "finding": {"type": "text", "max_chars": 500},
            "mood": {"type": "choice", "choices": ["tốt", "xấu"]},
            "score": {"type": "integer", "min": -5, "max": 5},
        },
        "model": "m",
        "concurrency": 6,
    }
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump({**plan, **changes}, allow_unicode=True, sort_keys=False))
    return path


def table(folder: Path, texts: Iterable[str], groups: Iterable[str] = GROUPS) -> Path:
    """A table with these texts, whose groups take turns."""
    named = list(groups)
    path = folder / "rows.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["mã", "nhóm", "ý kiến"])
        for at, text in enumerate(texts):
            writer.writerow([f"KH-{at + 1:05}", named[at % len(named)], text])
    return path


def texts(count: int) -> list[str]:
    """So many texts, no two the same, in two languages."""
    return [f"Khách hàng số {at} rất hài lòng" if at % 2 else f"Customer {at} is not amused" for at in range(count)]


def lines(path: Path) -> list[dict[str, str]]:
    """The lines of a CSV file; none where there is none."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def assert_each_row_once(output: Path, rows: Iterable[int]) -> None:
    """Of each row every key, none missing, none twice."""
    found = sorted((int(one["row"]), int(one["topic"]), one["step"]) for one in lines(output))
    assert found == sorted((row, topic, step) for row in rows for topic in TOPICS for step in STEPS)


def answer(asked: Any, topics: int = len(TOPICS)) -> str:
    """What the simulated model says: all that is wanted, but as marks in the rows have it.

    `[never]` rows get nothing, and the first time `[short]` rows half, `[blank]` ones a blank cell, `[double]` ones two
    different answers; `[moody]` ones get a word that is no choice until they are asked alone.
    """
    prompt: str = asked.prompt
    said = {int(number): text for number, text in ROW.findall(prompt)}
    wanted = [
        (int(number), what) for number, what in LINE.findall(prompt.partition(WANTED)[2].partition("Columns:")[0])
    ]
    rows: list[dict[str, Any]] = []
    for number, what in wanted:
        units = _units(what, topics)
        rows += _answers(number, units, said.get(number, ""), again=AGAIN in prompt, alone=len(wanted) == 1)
    return json.dumps({"rows": rows}, ensure_ascii=False)


def _answers(number: int, units: list[tuple[int, str]], text: str, *, again: bool, alone: bool) -> list[dict[str, Any]]:
    if "[never]" in text:
        return []
    rows = [{"row": number, "topic": topic, "step": step, **cells(number, topic, step, text)} for topic, step in units]
    if "[moody]" in text and not alone:
        return [{**row, "mood": "?"} for row in rows]
    if again:
        return rows
    if "[short]" in text:
        return rows[: len(rows) // 2]
    if "[blank]" in text:
        return [{**rows[0], "finding": " "}, *rows[1:]]
    if "[double]" in text:
        return [*rows, {**rows[0], "score": 5}]
    return rows


def cells(number: int, topic: int, step: str, text: str) -> dict[str, Any]:
    """The right cells."""
    return {"finding": f"{text} ({number}/{topic}/{step}): đã hiểu", "mood": "tốt", "score": -(number % 5)}


def _units(what: str, topics: int) -> list[tuple[int, str]]:
    if what.startswith("all"):
        return [(topic, step) for topic in range(1, topics + 1) for step in STEPS]
    return [(int(topic), step) for topic, step in re.findall(r"topic=(\d+) step=(\w+)", what)]
