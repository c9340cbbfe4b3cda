"""Identity by content: equal content has an equal hash, wherever it lies."""

import hashlib
import json
from typing import Any, cast

from pydantic import BaseModel

STORED_FILE = {"key", "sha256", "size_bytes"}
"""What a mapping has that refers to a file of the store."""


def content_hash(value: Any) -> str:
    """sha256 of the value in canonical JSON, hexadecimal; a stored file counts by its own hash.

    Args:
        value: Pydantic models, mappings, sequences and JSON values, nested as you like.
    """
    text = json.dumps(_canonical(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return _canonical(value.model_dump(mode="json"))
    if isinstance(value, dict):
        fields = cast(dict[str, Any], value)
        if fields.keys() >= STORED_FILE:
            return fields["sha256"]
        return {name: _canonical(item) for name, item in fields.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in cast(list[Any], value)]
    return value
