"""One row: values by column, as JSON can hold them."""

import base64
import math
from collections.abc import Mapping, Sequence
from datetime import date, time, timedelta
from typing import Any, NoReturn, cast

from blocks.errors import BadInput

MOST_DEEP = 64
"""Lists and mappings within each other."""

Row = dict[str, Any]
"""Values by column: what JSON can hold."""


def named(cells: Sequence[Any]) -> list[str]:
    """Names of columns; one without a name is called by its place.

    Raises:
        BadInput: two have the same.
    """
    names = [str(cell).strip() if cell not in (None, "") else f"column_{at}" for at, cell in enumerate(cells, start=1)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadInput(f"two columns are named {', '.join(twice)}", fix="rename one of them", field="source")
    return names


def plain(value: Any, deep: int = 0) -> Any:
    """A value as JSON can hold it: dates as ISO 8601, bytes as base64, what is no number as None.

    Raises:
        ValueError: it is nested deeper than `MOST_DEEP`; what works on rows goes down as deep as they do.
    """
    if deep > MOST_DEEP:
        raise ValueError("it is nested too deep")
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        fields = cast(Mapping[Any, Any], value)
        return {whole(str(name)): plain(item, deep + 1) for name, item in fields.items()}
    if isinstance(value, list | tuple):
        return [plain(item, deep + 1) for item in cast(Sequence[Any], value)]
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def fault(number: int, what: str) -> NoReturn:
    """Say what is wrong with a row."""
    raise BadInput(f"row {number}: {what}", fix="correct the source", field="source", row=number)


def whole(text: str) -> str:
    """Without halves of characters, which JSON can name and nothing can send."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
