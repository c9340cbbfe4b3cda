"""The contract table: which frames and bodies there are, and what each holds."""

import json
from functools import cache
from pathlib import Path
from typing import Any, cast

from jsonschema import Draft202012Validator

TABLE: dict[str, Any] = json.loads((Path(__file__).parent / "contract.json").read_text())


def wrong_frame(frame: Any, side: str = "server") -> list[str]:
    """What is wrong with a frame, nothing if it is as in the table.

    Args:
        frame: As it was sent.
        side: Who sent it: "server" or "client".
    """
    parts: dict[str, Any] = cast("dict[str, Any]", frame) if isinstance(frame, dict) else {}
    if set(parts) != {"type", "content"}:
        return [f"no type and content: {frame!r:.200}"]
    if parts["type"] not in TABLE[side]:
        return [f"unknown type: {parts['type']!r}"]
    return [f"{parts['type']}: {error}" for error in _errors(side, parts["type"], "", parts["content"])]


def wrong_body(call: str, status: int, body: Any) -> list[str]:
    """What is wrong with the body of an answer.

    Args:
        call: As in the table, `GET /api/sessions/{device_id}`.
        status: Its HTTP status.
        body: Its JSON.
    """
    if str(status) not in TABLE["rest"][call]:
        return [f"{call}: status {status}"]
    return [f"{call}: {error}" for error in _errors("rest", call, str(status), body)]


def _errors(part: str, name: str, status: str, value: Any) -> list[str]:
    return [f"{error.json_path} {error.message:.200}" for error in _validator(part, name, status).iter_errors(value)]


@cache
def _validator(part: str, name: str, status: str) -> Draft202012Validator:
    schema = TABLE[part][name]
    return Draft202012Validator(schema[status] if status else schema)
