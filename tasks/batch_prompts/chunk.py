"""Some rows of one group that are asked together, and what is still wanted of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tasks.batch_prompts.columns import AnyColumn, told
from tasks.batch_prompts.keys import Keys, Unit
from tasks.batch_prompts.plan import Plan
from tasks.batch_prompts.source import Item

MOST_TOLD = 20
"""Problems of an earlier answer that a repair prompt tells."""

WANTED = "What is wanted:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Rows of one prompt.

    Attributes:
        group: Their group.
        items: The rows.
        wanted: By the row's number, the output rows that are still wanted of it.
        problems: What was wrong with the answer before, for a repair; empty for a first question.
        session: The agent's session that answered before; None for a new one.
        asked: How often its rows were asked before it was made, together; below 0 for a question beside the run.
    """

    group: str
    items: tuple[Item, ...]
    wanted: Mapping[int, tuple[Unit, ...]]
    problems: tuple[str, ...] = ()
    session: str | None = None
    asked: int = 0

    @property
    def units(self) -> int:
        """Output rows wanted."""
        return sum(map(len, self.wanted.values()))

    def less(self, found: Mapping[int, Sequence[Unit]]) -> "Chunk":
        """The same without what was found, and without rows of which nothing more is wanted."""
        left = {
            number: tuple(unit for unit in units if unit not in set(found.get(number, ())))
            for number, units in self.wanted.items()
        }
        left = {number: units for number, units in left.items() if units}
        return replace(self, items=tuple(item for item in self.items if item.number in left), wanted=left)

    def halves(self) -> tuple["Chunk", ...]:
        """Two chunks of half the rows, as if never asked."""
        middle = len(self.items) // 2
        return tuple(
            replace(
                self,
                items=half,
                wanted={item.number: self.wanted[item.number] for item in half},
                problems=(),
                session=None,
                asked=self.asked + 1,
            )
            for half in (self.items[:middle], self.items[middle:])
            if half
        )


def prompt_of(plan: Plan, chunk: Chunk) -> str:
    """What a chunk is asked, whoever answers: the group's template, what is wanted, and what was wrong before.

    Raises:
        BadInput: the template names what a row does not have.
    """
    parts = [_rendered(plan, chunk.group, chunk.items), wanted_of(plan.per_row, chunk, plan.file.row_column)]
    parts.append("Columns:\n" + "\n".join(f"- {line}" for line in column_lines(plan.file.columns)))
    if chunk.problems:
        faults = "\n".join(f"- {problem}" for problem in chunk.problems[:MOST_TOLD])
        parts.append(f"An earlier answer was wrong or not complete:\n{faults}\nGive only what is wanted above.")
    return "\n\n".join(parts)


def check_template(plan: Plan, item: Item) -> None:
    """Try the prompt of one row by itself. Raises `BadInput`: the template names what the row does not have."""
    _rendered(plan, item.group, (item,))


def _rendered(plan: Plan, group: str, items: Sequence[Item]) -> str:
    rows = [{plan.file.row_column: item.number, **item.row} for item in items]
    values = {"rows": rows, "group": group, "per_row": len(plan.per_row.units), "columns": list(plan.file.columns)}
    return plan.prompts[group].render(values, items[0].number, columns=rows[0])


def wanted_of(keys: Keys, chunk: Chunk, row_column: str) -> str:
    """Which output rows are wanted, a line for each row."""
    lines = [f"{WANTED} {chunk.units} rows in all."]
    if keys.names:
        lines.append(f"Of each {row_column}, where it says all: one for every combination of {keys.told()}.")
    for item in chunk.items:
        units = chunk.wanted[item.number]
        if not keys.names:
            what = "1"
        elif len(units) == len(keys.units):
            what = f"all {len(units)}"
        else:
            what = "; ".join(map(keys.named, units))
        lines.append(f"- {row_column} {item.number}: {what}")
    return "\n".join(lines)


def column_lines(columns: Mapping[str, AnyColumn]) -> list[str]:
    """The columns in words."""
    return [told(name, column) for name, column in columns.items()]
