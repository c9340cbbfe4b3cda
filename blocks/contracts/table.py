"""Tables as numpy columns by name: what contracts are held against."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np

    Column = np.ndarray[Any, np.dtype[Any]]
    Columns = Mapping[str, Column]

Item = TypeVar("Item")

CHUNK = 5_000
"""Rows of a large table that are looked at together."""


def texts(values: Sequence[object]) -> "Column":
    """Texts, None for none."""
    return _objects(values)


def numbers(values: Sequence[object]) -> "Column":
    """Numbers, NaN for None; left as they are where something else is among them, which the contract then names."""
    import numpy as np

    # Not by trying: numpy would make numbers of texts.
    if set(map(type, values)) <= {float, int, type(None)}:
        try:
            return np.array(values, np.float64)
        except OverflowError:  # a whole number of more than 308 digits
            return _objects(values)
    return _objects(values)


def flags(values: Sequence[object]) -> "Column":
    """1 for true, 0 for false, NaN for None; anything else is left as it is."""
    return numbers([float(value) if isinstance(value, bool) else _no_number(value) for value in values])


def _no_number(value: object) -> object:
    """The value, so that it is no number: one is neither true nor false."""
    return str(value) if isinstance(value, int | float) else value


def wholes(values: Sequence[object]) -> "Column":
    """Whole numbers; left as they are where something else is among them."""
    import numpy as np

    try:
        return np.array(values, np.int64) if set(map(type, values)) <= {int} else _objects(values)
    except OverflowError:
        return _objects(values)


def in_chunks(items: Iterable[Item], size: int = CHUNK) -> Iterator[list[Item]]:
    """Lists of so many items, the last one shorter; nothing of none."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def _objects(values: Sequence[object]) -> "Column":
    import numpy as np

    made: Column = np.empty(len(values), object)
    made[:] = values
    return made
