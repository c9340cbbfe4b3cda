"""Rows into a swarm, held against their contract while they are read."""

from collections.abc import Iterable, Iterator

from blocks.contracts.check import check
from blocks.contracts.table import CHUNK, texts, wholes
from tasks.swarm.index import Item


def counted_in(items: Iterable[Item]) -> Iterator[Item]:
    """The same items, held against the contract of rows into a swarm as they pass; the last ones at the end.

    Raises:
        ContractBroken: reading the source lost or doubled a row.
    """
    passed: list[tuple[int, str]] = []
    first = 1
    for item in items:
        passed.append((item.number, item.key))
        if len(passed) == CHUNK or item.number != first + len(passed) - 1:
            _check_in(passed, first)
            first += len(passed)
            passed = []
        yield item
    if passed:
        _check_in(passed, first)


def _check_in(passed: list[tuple[int, str]], first: int) -> None:
    import numpy as np

    rows, keys = zip(*passed, strict=True)
    counted = np.arange(first, first + len(rows), dtype=np.int64)
    columns = {"row": wholes(rows), "counted": counted, "key": texts(keys)}
    check("swarm rows", columns, what="the source", rows=lambda: rows)
