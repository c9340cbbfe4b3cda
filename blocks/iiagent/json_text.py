"""JSON that a server sends, as values that everything here can work on."""

import json
import re
from typing import Any, cast

MOST_DEEP = 64
"""Lists and mappings within each other: what redacts and what writes goes down as deep as they do."""

TOO_DEEP = "(nested too deep)"
HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""Half of a pair, as models leave one where their text is cut within an emoji: no text, and no file takes it."""


def read_json(text: str | bytes) -> Any:
    """The value of a JSON text: halves of pairs are replaced, and what is nested deeper than `MOST_DEEP` is left out.

    Raises:
        ValueError: it is no JSON, or is nested too deep even to be read.
    """
    told = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    try:
        value = _pruned(json.loads(told))
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    return _whole(value) if HALF.search(told) else value


def _pruned(value: Any) -> Any:
    waiting: list[tuple[Any, int]] = [(value, 1)]
    while waiting:
        outer, deep = waiting.pop()
        if isinstance(outer, dict):
            items = cast(Any, outer).items()
        elif isinstance(outer, list):
            items = enumerate(cast(list[Any], outer))
        else:
            continue
        for place, inner in items:
            if not isinstance(inner, dict | list):
                continue
            if deep >= MOST_DEEP:
                outer[place] = TOO_DEEP
            else:
                waiting.append((cast(Any, inner), deep + 1))
    return value


def _whole(value: Any) -> Any:
    halves = json.dumps(value, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
    return json.loads(halves.decode("utf-16-le", "replace"))
