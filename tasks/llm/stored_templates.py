"""Templates in the store, where all machines see them: one file each, so that none is ever seen half written."""

import json
from collections.abc import Iterator
from typing import Any

from blocks.errors import BadInput, StoreFailed
from blocks.store import open_store
from blocks.store.files import Files

FOLDER = "templates"
PARTS = ("schema.json", "prompt.jinja", "example.json")

Parts = dict[str, bytes]
"""Content by file name, as in a template's folder."""


def stored_names(files: Files | None = None) -> Iterator[str]:
    """The names of all templates in the store, sorted."""
    for key in (files or open_store()).list(f"{FOLDER}/"):
        if key.endswith(".json") and key.count("/") == 1:
            yield key.removeprefix(f"{FOLDER}/").removesuffix(".json")


def read_stored(name: str, files: Files | None = None) -> tuple[Parts, str] | None:
    """The files of a template and their version, None when the store has none of that name.

    Raises:
        StoreFailed: what lies there is no template.
    """
    found = (files or open_store()).read_version(_key(name))
    if found is None:
        return None
    try:
        held: dict[str, Any] = json.loads(found[0])
        return {part: str(held[part]).encode() for part in PARTS}, found[1]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreFailed(f"{_key(name)} in the store is no template", fix="remove it and add it again") from error


def stored_version(name: str, files: Files | None = None) -> str | None:
    """The version of what lies there by that name, be it a template or not; None: nothing does."""
    found = (files or open_store()).read_version(_key(name))
    return found and found[1]


def write_stored(name: str, parts: Parts, version: str | None, files: Files | None = None) -> None:
    """Write a template whole. Raises `Conflict` when someone else wrote first; see `Files.put_if`."""
    if missing := set(PARTS) - parts.keys():
        raise BadInput(f"the template lacks {', '.join(sorted(missing))}", fix="give all three files")
    content = json.dumps({part: parts[part].decode() for part in PARTS}, ensure_ascii=False, indent=1)
    (files or open_store()).put_if(_key(name), content.encode(), version)


def delete_stored(name: str, files: Files | None = None) -> None:
    """Remove a template; no error when it is gone already."""
    (files or open_store()).delete(_key(name))


def _key(name: str) -> str:
    return f"{FOLDER}/{name}.json"
