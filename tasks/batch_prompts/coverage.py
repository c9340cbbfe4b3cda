"""Whether an answer has what was asked for: every row and key once, every cell of its type, and nothing else."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from blocks.faults import WORDS
from tasks.batch_prompts.chunk import Chunk
from tasks.batch_prompts.columns import row_model
from tasks.batch_prompts.engine import Cells
from tasks.batch_prompts.keys import Unit, whole_number
from tasks.batch_prompts.plan import Plan

MOST_PROBLEMS = 50

Place = tuple[int, Unit]


@dataclass(frozen=True, slots=True)
class Covered:
    """What of an answer holds.

    Attributes:
        found: By the row's number, the cells of each output row that is right and was wanted.
        problems: What is wrong or missing, in words that a model understands.
    """

    found: dict[int, dict[Unit, Cells]] = field(default_factory=dict[int, dict[Unit, Cells]])
    problems: tuple[str, ...] = ()


class Coverage:
    """Checks answers of a plan.

    Args:
        plan: What is asked.
    """

    def __init__(self, plan: Plan) -> None:
        self._keys, self._row_column = plan.per_row, plan.file.row_column
        self._columns = tuple(plan.file.columns)
        self._model: type[BaseModel] = row_model(dict(plan.file.columns))

    def check(self, chunk: Chunk, rows: Iterable[Any]) -> Covered:
        """Hold the rows of an answer against what was wanted of a chunk; the first right row for a place counts.

        Two rows for one place that differ are both refused: nobody can say which is right.
        """
        found: dict[Place, Cells] = {}
        problems: list[str] = []
        twice: set[Place] = set()
        for at, given in enumerate(rows, start=1):
            try:
                place = self._place(chunk, given)
                cells = self._cells(given)
            except ValueError as error:
                problems.append(f"answer row {at}: {error}")
                continue
            if not self._wanted(chunk, place):
                continue  # it is there already
            if found.get(place, cells) != cells:
                twice.add(place)
            found[place] = cells
        right = {place: cells for place, cells in found.items() if place not in twice}
        problems += [f"{self._named(place)} is there more than once, with different values" for place in sorted(twice)]
        problems += self._missing(chunk, right)
        covered: dict[int, dict[Unit, Cells]] = {}
        for (number, unit), cells in right.items():
            covered.setdefault(number, {})[unit] = cells
        return Covered(covered, tuple(problems[:MOST_PROBLEMS]))

    def _place(self, chunk: Chunk, given: Any) -> Place:
        if not isinstance(given, dict):
            raise ValueError("it is no row with columns")
        cells = cast(Cells, given)
        number = whole_number(cells.get(self._row_column))
        if number is None or number not in chunk.wanted:
            told = f"{cells.get(self._row_column)!r:.40}"
            raise ValueError(f"{self._row_column} is {told}, which was not asked for")
        return number, self._keys.unit_of(cells)

    def _cells(self, given: Cells) -> Cells:
        own = {self._row_column, *self._keys.names}
        try:
            return self._model.model_validate({k: v for k, v in given.items() if k not in own}).model_dump(mode="json")
        except ValidationError as error:
            raise ValueError("; ".join(_faults(error))) from None

    def _wanted(self, chunk: Chunk, place: Place) -> bool:
        return place[1] in chunk.wanted[place[0]]

    def _missing(self, chunk: Chunk, right: dict[Place, Cells]) -> Iterator[str]:
        for number, units in chunk.wanted.items():
            lacking = [unit for unit in units if (number, unit) not in right]
            if len(lacking) == len(self._keys.units):
                yield f"{self._row_column} {number}: nothing of it is there that is right"
            elif lacking:
                yield f"{self._row_column} {number}: {len(lacking)} of its {len(self._keys.units)} rows are missing"

    def _named(self, place: Place) -> str:
        return f"{self._row_column} {place[0]} {self._keys.named(place[1])}".rstrip()


def _faults(error: ValidationError) -> Iterator[str]:
    for one in error.errors(include_url=False, include_input=False)[:5]:
        where, kind = ".".join(map(str, one["loc"])), one["type"]
        if kind == "extra_forbidden":
            yield f"{where}: there is no such column"
        else:
            yield f"{where}: {WORDS[kind].format_map(one.get('ctx', {})) if kind in WORDS else one['msg']}"
