"""Which files a conversation names: a server lists none, so its events, and a list that the agent wrote, have to do."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, cast

from blocks.errors import BadInput
from blocks.iiagent.events import Event, FileEdit, ToolCall
from blocks.model import Frozen

EDITOR = "str_replace_editor"
EDITS = ("create", "str_replace", "insert")
OUTPUT_FIELD = "output_filename"
"""In which tools that make pictures, speech and video are told where to write."""

MOST_LIST_BYTES = 1 << 20
SHA256_CHARS = 64


class Listed(Frozen):
    """A file that an agent says it wrote.

    Attributes:
        name: As the agent says.
        sha256: Of its content, where the agent says.
    """

    name: str
    sha256: str | None = None


def names_in(events: Iterable[Event]) -> list[str]:
    """The files that events name as written, in order, once each; hostile names too: `placed` decides on them."""
    return list(dict.fromkeys(name for event in events for name in _named(event) if name))


def _named(event: Event) -> Iterator[str]:
    if isinstance(event, FileEdit):
        yield event.path
    elif isinstance(event, ToolCall):
        given = event.tool_input
        if event.tool_name == EDITOR and given.get("command") in EDITS:
            yield _text(given.get("path"))
        yield _text(given.get(OUTPUT_FIELD))


def listed(content: bytes) -> list[Listed]:
    """The files of a list that an agent wrote: JSON, names or objects with `name` or `path` and perhaps `sha256`.

    Args:
        content: A list, or an object whose `files` is one.

    Raises:
        BadInput: it is no such list; the message can be sent to the agent.
    """
    if len(content) > MOST_LIST_BYTES:
        raise _no_list(f"it has more than {MOST_LIST_BYTES} bytes")
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        raise _no_list("it is no JSON") from None
    items: Any = cast(dict[str, Any], told).get("files") if isinstance(told, dict) else told
    if not isinstance(items, list):
        raise _no_list("it has no list of files")
    return [_listed(item, number) for number, item in enumerate(cast(list[Any], items), start=1)]


def _listed(item: Any, number: int) -> Listed:
    fields = cast(dict[str, Any], item) if isinstance(item, dict) else {"name": item}
    name, sha256 = fields.get("name") or fields.get("path"), fields.get("sha256")
    if not isinstance(name, str):
        raise _no_list(f"file {number} has no name")
    if sha256 is not None and not (isinstance(sha256, str) and len(sha256) == SHA256_CHARS):
        raise _no_list(f"the sha256 of file {number} is none")
    return Listed(name=name, sha256=sha256.lower() if sha256 else None)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _no_list(why: str) -> BadInput:
    return BadInput(
        f"the list of files cannot be used: {why}",
        fix='write JSON of the form {"files": [{"name": "output.csv", "sha256": "…"}]}',
        field="manifest",
    )
