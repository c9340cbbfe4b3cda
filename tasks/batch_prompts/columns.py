"""Columns of the answers: what may stand in each, as JSON Schema for the model and as a check of what it gives."""

import unicodedata
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, create_model

from blocks.model import Frozen
from blocks.rows.row import whole

LONGEST_TEXT = 10_000

NAME = r"^[^\W\d]\w{0,63}$"
"""Of a column: a name that templates can write as `one.name`, and models as a field."""


class Column(Frozen):
    """What all columns have.

    Attributes:
        optional: Whether a cell may be empty.
        about: What belongs there, told to the model.
    """

    optional: bool = False
    about: str = Field(default="", max_length=1_000)


class TextColumn(Column):
    """Text, at most so many characters; never blank unless optional."""

    type: Literal["text"]
    max_chars: Annotated[int, Field(ge=1, le=LONGEST_TEXT)] = LONGEST_TEXT


class IntegerColumn(Column):
    """A whole number within bounds."""

    type: Literal["integer"]
    min: int | None = None
    max: int | None = None


class NumberColumn(Column):
    """A finite number within bounds."""

    type: Literal["number"]
    min: float | None = None
    max: float | None = None


class BooleanColumn(Column):
    """True or false."""

    type: Literal["boolean"]


class ChoiceColumn(Column):
    """One of a few texts, exactly."""

    type: Literal["choice"]
    choices: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)


class DateColumn(Column):
    """A day as ISO 8601 writes it."""

    type: Literal["date"]


AnyColumn = Annotated[
    TextColumn | IntegerColumn | NumberColumn | BooleanColumn | ChoiceColumn | DateColumn, Field(discriminator="type")
]

UNSEEN = ("Cc", "Cf", "Zl", "Zp", "Zs")
"""Categories of characters that leave a cell blank."""

INVISIBLE = {*range(0x20), 0x7F, *range(0x80, 0xA0), 0xFFFE, 0xFFFF} - {0x09, 0x0A}
"""Control characters, which XML and many readers of CSV refuse; tab and line feed stay."""


def tidy(text: str) -> str:
    """A text in NFC, with line feeds for all line ends, without control characters and halves of characters."""
    plain = whole(text).replace("\r\n", "\n").replace("\r", "\n").translate(dict.fromkeys(INVISIBLE))
    return unicodedata.normalize("NFC", plain).strip()  # last: a letter and its mark are one when nothing is between


def schema_of(column: AnyColumn) -> dict[str, Any]:
    """The JSON Schema of a cell; only words that strict modes of providers know."""
    kind: dict[str, Any] = {"type": _json_type(column)}
    if isinstance(column, ChoiceColumn):
        kind["enum"] = list(column.choices)
    if column.optional:
        kind["type"] = [kind["type"], "null"]
        if "enum" in kind:
            kind["enum"] = [*kind["enum"], None]
    told = "; ".join(filter(None, (column.about, bounds_of(column))))
    return {**kind, "description": told} if told else kind


def bounds_of(column: AnyColumn) -> str:
    """What a column asks for beyond its type, in words."""
    if isinstance(column, TextColumn):
        return "" if column.max_chars == LONGEST_TEXT else f"at most {column.max_chars} characters"
    if isinstance(column, DateColumn):
        return "a day as YYYY-MM-DD"
    if isinstance(column, IntegerColumn | NumberColumn):
        bounds = {"at least": column.min, "at most": column.max}
        return " and ".join(f"{word} {bound}" for word, bound in bounds.items() if bound is not None)
    return f"one of {', '.join(column.choices)}" if isinstance(column, ChoiceColumn) else ""


def told(name: str, column: AnyColumn) -> str:
    """A column in words, for prompts that can hold no schema."""
    parts = (column.type, bounds_of(column), column.about, "may be empty" if column.optional else "")
    return f"{name}: {'; '.join(filter(None, parts))}"


def row_model(columns: dict[str, AnyColumn]) -> type[BaseModel]:
    """What the cells of one row must be, all of them and no others."""
    fields: dict[str, Any] = {name: (_annotation(column), ...) for name, column in columns.items()}
    return create_model("AnswerRow", __config__=ConfigDict(extra="forbid", frozen=True), **fields)


def _json_type(column: AnyColumn) -> str:
    return "string" if isinstance(column, TextColumn | ChoiceColumn | DateColumn) else column.type


def _annotation(column: AnyColumn) -> Any:
    """The type of a cell; texts stand for numbers and days too, since a CSV file has only those."""
    kind = _filled(column)
    if column.optional:
        return Annotated[kind | None, BeforeValidator(_none_for_blank)]
    return Annotated[kind, BeforeValidator(_not_blank)]


def _filled(column: AnyColumn) -> Any:
    if isinstance(column, TextColumn):
        return Annotated[str, AfterValidator(tidy), AfterValidator(_not_blank), _most(column.max_chars)]
    if isinstance(column, ChoiceColumn):
        return Annotated[str, AfterValidator(tidy), AfterValidator(_one_of(column.choices))]
    if isinstance(column, IntegerColumn):
        return Annotated[int, BeforeValidator(_no_boolean), Field(ge=column.min, le=column.max)]
    if isinstance(column, NumberColumn):
        bounds = Field(ge=column.min, le=column.max, allow_inf_nan=False)
        return Annotated[float, BeforeValidator(_no_boolean), bounds]
    if isinstance(column, BooleanColumn):
        return bool
    return Annotated[str, AfterValidator(_day)]


def _most(chars: int) -> Any:
    def short(text: str) -> str:
        if len(text) > chars:
            raise ValueError(f"it has {len(text)} characters, and may have {chars}")
        return text

    return AfterValidator(short)


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    known = {tidy(choice): choice for choice in choices}

    def chosen(text: str) -> str:
        if text not in known:
            raise ValueError(f"it is none of {', '.join(choices)}")
        return tidy(known[text])

    return chosen


def _day(text: str) -> str:
    return date.fromisoformat(text.strip()).isoformat()


def _none_for_blank(value: Any) -> Any:
    return None if _is_blank(value) else value


def _is_blank(value: Any) -> bool:
    """Whether a text has nothing to see: marks without width do not count either."""
    return isinstance(value, str) and all(unicodedata.category(char) in UNSEEN for char in tidy(value))


def _not_blank(value: Any) -> Any:
    if value is None or _is_blank(value):
        raise ValueError("it is blank")
    return value


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("it is true or false, and no number")
    return value


KEY = TypeAdapter(int)
"""Reads whole numbers of keys, as texts too."""
