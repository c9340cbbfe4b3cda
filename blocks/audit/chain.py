"""How records hang together: each holds the hash of the one before, and is sealed with a key."""

import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from blocks.action import canonical
from blocks.audit.entry import Head


def sealed(key: bytes, before: Head, at: datetime, entry: Mapping[str, Any], clock: datetime | None) -> dict[str, Any]:
    """The next record.

    Args:
        key: The secret.
        before: The latest record.
        at: When it happened, UTC.
        entry: What happened, JSON.
        clock: What the clock said, where that is another time.
    """
    body: dict[str, Any] = {"seq": before.seq + 1, "prev": before.hash, "at": written(at), "entry": entry}
    if clock is not None:
        body["clock"] = written(clock)
    return body | {"hash": _seal(key, body)}


def line_of(record: Mapping[str, Any]) -> bytes:
    """The record as its line."""
    return canonical(record).encode() + b"\n"


def record_of(line: bytes) -> dict[str, Any] | None:
    """The record that a line holds; None when it holds none, or one that is written otherwise than we write."""
    try:
        record: object = json.loads(line)
        if not isinstance(record, dict) or line_of(cast("dict[str, Any]", record)) != line:
            return None
    except (ValueError, RecursionError):  # also what is no UTF-8, and numbers longer than Python reads
        return None
    found = cast("dict[str, Any]", record)
    forms = {"seq": int, "prev": str, "at": str, "entry": dict, "hash": str}
    return found if all(isinstance(found.get(name), form) for name, form in forms.items()) else None


def is_sealed(key: bytes, record: Mapping[str, Any]) -> bool:
    """Whether the record is as it was written by someone who knows the key."""
    body = {name: value for name, value in record.items() if name != "hash"}
    return hmac.compare_digest(_seal(key, body), str(record["hash"]).encode("ascii", "replace").decode())


def written(moment: datetime) -> str:
    """A time as records have it: all of one length, so that they sort as texts."""
    return moment.isoformat(timespec="microseconds")


def _seal(key: bytes, body: Mapping[str, Any]) -> str:
    return hmac.digest(key, f"{body['prev']}\n{canonical(body)}".encode(), "sha256").hex()
