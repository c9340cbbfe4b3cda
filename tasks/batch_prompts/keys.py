"""Output rows of an input row: one for each combination of the declared keys, as 10 topics by 5 steps."""

from collections.abc import Mapping
from functools import cached_property
from itertools import product
from typing import Annotated, Any

from pydantic import Field, ValidationError

from blocks.model import Frozen
from tasks.batch_prompts.columns import KEY, tidy

Unit = tuple[int | str, ...]
"""Which of the output rows of an input row: a value of each key; `()` where there is one output row."""

MOST_UNITS = 10_000

KeyValues = Annotated[int, Field(ge=1, le=MOST_UNITS)] | Annotated[tuple[str, ...], Field(min_length=1)]
"""A number N for 1 to N, or texts."""


class Keys(Frozen):
    """The keys of a plan.

    Attributes:
        values: By the key's column, what it may be.
    """

    values: dict[str, KeyValues] = Field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The key columns."""
        return tuple(self.values)

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """All combinations, in order."""
        return tuple(product(*(_listed(values) for values in self.values.values())))

    @cached_property
    def place(self) -> Mapping[Unit, int]:
        """The order of each combination."""
        return {unit: at for at, unit in enumerate(self.units)}

    def unit_of(self, cells: Mapping[str, Any]) -> Unit:
        """The combination that the cells of an answer name. Raises `ValueError`: there is no such."""
        return tuple(_read(name, values, cells.get(name)) for name, values in self.values.items())

    def told(self) -> str:
        """All combinations in words: `topic 1 to 10, step 1 to 5`."""
        return ", ".join(f"{name} {_span(values)}" for name, values in self.values.items())

    def named(self, unit: Unit) -> str:
        """One combination in words: `topic=1 step=2`."""
        return " ".join(f"{name}={value}" for name, value in zip(self.values, unit, strict=True))

    def schemas(self) -> dict[str, Any]:
        """JSON Schemas of the key columns."""
        return {
            name: {"type": "integer", "description": f"1 to {values}"}
            if isinstance(values, int)
            else {"type": "string", "enum": [tidy(value) for value in values]}
            for name, values in self.values.items()
        }


def _listed(values: int | tuple[str, ...]) -> tuple[int | str, ...]:
    return tuple(range(1, values + 1)) if isinstance(values, int) else tuple(map(tidy, values))


def _span(values: int | tuple[str, ...]) -> str:
    if isinstance(values, int):
        return "1" if values == 1 else f"1 to {values}"
    return f"({' | '.join(map(tidy, values))})"


def _read(name: str, values: int | tuple[str, ...], value: Any) -> int | str:
    if isinstance(values, int):
        number = whole_number(value)
        if number is None or not 1 <= number <= values:
            raise ValueError(f"{name} is {value!r:.40}, and none of {_span(values)}")
        return number
    text = tidy(value) if isinstance(value, str) else value
    if text not in _listed(values):
        raise ValueError(f"{name} is {value!r:.40}, and none of {_span(values)}")
    return text


def whole_number(value: Any) -> int | None:
    """A whole number that may come as a text; None for anything else."""
    if isinstance(value, bool):
        return None
    try:
        return KEY.validate_python(value)
    except ValidationError:
        return None
