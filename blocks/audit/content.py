"""An entry as it is written: without secrets, as plain JSON, and not too long."""

import hashlib
import math
from collections.abc import Mapping
from typing import Any, cast

from blocks.action import canonical
from blocks.audit.entry import Entry
from blocks.redact import Redactor

MOST_BYTES = 65_536
"""Of an entry; what is longer is cut, and the hash of the whole kept."""

SHOWN_CHARS = 2000
"""Of a field that was cut."""

FREE = ("arguments", "before", "after", "details", "reasoning", "outcome", "trigger")
"""Fields that others fill: secrets are taken out of them, and they are cut when they are too long."""

EMPTY = ("approvers", "details")
"""Fields that are left out when there is nothing in them."""

LONGEST_NUMBER_BITS = 1024


def content_of(entry: Entry, redactor: Redactor) -> dict[str, Any]:
    """The fields of an entry that say something, ready to be written."""
    fields = {name: value for name, value in entry if value is not None and (value or name not in EMPTY)}
    cleaned = {name: redactor.value(value) if name in FREE else value for name, value in fields.items()}
    return _fitted({name: _plain(value) for name, value in cleaned.items()})


def _plain(value: Any) -> Any:
    """The value as JSON has it: no lone surrogates, no NaN, names that are texts; what is nothing of JSON, as text."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if value.bit_length() <= LONGEST_NUMBER_BITS else hex(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {_plain(str(name)): _plain(item) for name, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("list[Any]", value)]
    return _plain(str(value))


def _fitted(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields, the longest of them cut until all fit."""
    sizes = {name: _size(fields[name]) for name in FREE if name in fields}
    total = _size(fields)
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if total <= MOST_BYTES:
            break
        fields = fields | {name: _cut(fields[name])}
        total += _size(fields[name]) - sizes[name]
    return fields


def _cut(value: Any) -> Any:
    """The beginning of a value, its length and hash; texts stay texts."""
    whole = value if isinstance(value, str) else canonical(value)
    content = whole.encode()
    digest = hashlib.sha256(content).hexdigest()
    if isinstance(value, str):
        return f"{whole[:SHOWN_CHARS]}… [cut: {len(content)} bytes, sha256 {digest}]"
    return {"cut": True, "bytes": len(content), "sha256": digest, "begins": whole[:SHOWN_CHARS]}


def _size(value: Any) -> int:
    return len(canonical(value).encode())
