"""An agent that answers prompts with rows: it reads the rows, and writes a CSV file with an answer to each."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

from tests.fakes.iiagent.agent import Run
from tests.fakes.iiagent.steps import Call, Done, Say, Step, Write

Row = dict[str, Any]
Answer = Callable[[Row], list[Row]]

KEYS = ("row_key", "key", "id", "row")
"""Columns that tell rows apart; the first that a row has is taken."""


def key_of(row: Row) -> str:
    """Name of the column that tells rows apart."""
    return next((name for name in KEYS if name in row), next(iter(row)))


def one_answer(row: Row) -> list[Row]:
    """One row for each: its key, and an answer made of its other cells."""
    key = key_of(row)
    rest = " ".join(str(value) for name, value in row.items() if name != key)
    return [{key: row[key], "output": f"answer to {rest}"}]


def rows_in(text: str) -> list[Row]:
    """Rows of a prompt: its first JSON list of objects, or all JSON objects in it."""
    single: list[Row] = []
    for value in _values(text):
        if rows := _rows(value.get("rows") if isinstance(value, dict) else value):
            return rows
        single += _rows([value])
    return single


def answering(
    answer: Answer = one_answer,
    *,
    loses: Callable[[Run, Row], bool] = lambda _run, _row: False,
    turns: int = 1,
) -> Callable[[Run], Iterable[Step]]:
    """Steps of an agent that answers rows.

    Args:
        answer: Rows of output to one row of input; all have the same columns.
        loses: Whether a row gets no answer in this run.
        turns: Looks at things before it writes.

    Returns:
        A scenario: it takes the rows from the prompt, else from the files that came with it (JSON, JSONL, CSV), and
        writes all answers to the last .csv file that the prompt names, else to output.csv. What that file has already
        stays there.
    """

    def steps(run: Run) -> Iterable[Step]:
        for turn in range(turns):
            yield Call("shell_exec", {"command": f"ls {turn}"}, "")
        rows = rows_in(run.text) or [row for name in run.files for row in rows_of_file(run.session.workspace / name)]
        answers = [made for row in rows if not loses(run, row) for made in answer(row)]
        name = _output(run)
        path = run.session.workspace / name
        kept = list(rows_of_file(path)) if path.exists() else []
        yield Write(name, table(_merged(kept, answers)), shell=bool(kept))
        yield Say(f"I wrote {len(answers)} rows to {name}.")
        yield Done()

    return steps


def table(rows: list[Row]) -> str:
    """CSV with the columns of the first row."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def rows_of_file(path: Path) -> list[Row]:
    """Rows of a JSON, JSONL or CSV file; of any other none."""
    if path.suffix in (".json", ".jsonl"):
        return rows_in(path.read_text())
    if path.suffix == ".csv":
        return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))
    return []


def _rows(value: object) -> list[Row]:
    """The value, if it is a list of rows; else none."""
    found = cast("list[object]", value) if isinstance(value, list) else []
    rows = [cast("Row", row) for row in found if isinstance(row, dict) and len(cast("Row", row))]
    return rows if len(rows) == len(found) else []


def _merged(kept: list[Row], answers: list[Row]) -> list[Row]:
    """What was there and is not answered anew, then what is."""
    key = key_of(answers[0]) if answers else ""
    anew = {str(row[key]) for row in answers}
    return [row for row in kept if str(row.get(key)) not in anew] + answers


def _output(run: Run) -> str:
    came = {Path(name).name for name in run.files}
    named = [name for name in re.findall(r"[\w-][\w.-]*\.csv", run.text) if name not in came]
    return named[-1] if named else "output.csv"


def _values(text: str) -> Iterator[list[Any] | Row]:
    decoder, at = json.JSONDecoder(), 0
    while found := re.compile(r"[\[{]").search(text, at):
        try:
            value, at = decoder.raw_decode(text, found.start())
        except json.JSONDecodeError:
            at = found.end()
            continue
        yield value
