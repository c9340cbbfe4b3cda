"""A value that the caller declares for rows which the model gives none for; such an answer is marked."""

import re
from collections.abc import Iterator
from typing import Any, cast

from pydantic import Field, model_validator

from blocks.errors import BadInput
from blocks.language.validation import problems_of
from blocks.model import Frozen
from blocks.rows.row import Row


class Fallback(Frozen):
    """For instance a sentiment by a list of words.

    Attributes:
        value: Fields of the value that are always the same.
        field: The field that words decide; None when none does.
        words: Values of that field, and the words in a row that speak for each; the one most words speak for is taken,
            of equals the first.
        otherwise: Value of that field where no word occurs; None: such a row fails.
    """

    value: dict[str, Any] = Field(default_factory=dict)
    field: str | None = None
    words: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    otherwise: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Fallback":
        if (self.field is None) != (not self.words):
            raise ValueError("`field` and `words` go together")
        if self.field is None and not self.value:
            raise ValueError("it gives no value")
        return self

    def value_for(self, row: Row) -> dict[str, Any] | None:
        """The value for a row; None when it has none of the words."""
        if self.field is None:
            return dict(self.value)
        text = " \n ".join(_texts(row)).casefold()
        spoken = {value: sum(_count(word, text) for word in words) for value, words in self.words.items()}
        best = max(spoken, key=lambda value: spoken[value])
        chosen = best if spoken[best] else self.otherwise
        return None if chosen is None else {**self.value, self.field: chosen}

    def check(self, schema: dict[str, Any]) -> None:
        """Raise `BadInput` when a value it may give breaks the schema."""
        chosen = [*self.words, *([] if self.otherwise is None else [self.otherwise])]
        values = [self.value] if self.field is None else [{**self.value, self.field: one} for one in chosen]
        for value in values:
            if problems := problems_of(value, schema):
                raise BadInput(f"the fallback breaks the schema: {problems[0]}", fix="correct it", field="fallback")


def _count(word: str, text: str) -> int:
    return len(re.findall(rf"(?<!\w){re.escape(word.casefold())}(?!\w)", text))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in cast(dict[str, Any], value).values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in cast(list[Any], value):
            yield from _texts(item)
