"""Secrets in values as JSON has them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from blocks.redact.harmless import is_place, names_no_secret
from blocks.redact.names import secret_kind
from blocks.redact.span import MARKER, marker

DEEPEST = 64
"""Levels of lists and mappings; what lies deeper is taken out whole."""

SECRET_DATA = ("data", "stringData")


def cleaned(value: Any, clean: Callable[[str], str], depth: int = 0) -> Any:
    """The value with each text cleaned, and with texts taken out whole where their name says that they are secret.

    Args:
        value: Mappings, lists, tuples and texts; sets become lists. Anything else stays as it is, unless its text has a
            secret: then that text stands for it, cleaned.
        clean: Takes secrets out of a text.
        depth: Levels above it.
    """
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if not isinstance(value, Mapping | list | tuple | set | frozenset):
        text = str(value)
        return value if (clean_text := clean(text)) == text else clean_text
    if depth >= DEEPEST:
        return marker("text")
    if isinstance(value, Mapping):
        return _cleaned_mapping(cast("Mapping[Any, Any]", value), clean, depth)
    items = _cleaned_items(list(cast("Iterable[Any]", value)), clean, depth)
    return tuple(items) if isinstance(value, tuple) else items


def _cleaned_mapping(value: Mapping[Any, Any], clean: Callable[[str], str], depth: int) -> dict[Any, Any]:
    named = _named_elsewhere(value)
    is_secret = value.get("kind") == "Secret"
    found: dict[Any, Any] = {}
    for key, item in value.items():
        kind = secret_kind(key) if isinstance(key, str) else None
        if named and key == "value":
            kind = named
        elif is_secret and key in SECRET_DATA and isinstance(item, Mapping):
            item = {name: _taken(one, "secret", str(name)) for name, one in cast("Mapping[Any, Any]", item).items()}
        name = _free(clean(key), found) if isinstance(key, str) else key
        found[name] = cleaned(_taken(item, kind, str(key)) if kind else item, clean, depth + 1)
    return found


def _named_elsewhere(value: Mapping[Any, Any]) -> str | None:
    """The kind of `value` in `{"name": "DB_PASSWORD", "value": …}`, as environments of containers have it."""
    name = value.get("name", value.get("key"))
    return secret_kind(name) if "value" in value and isinstance(name, str) else None


def _taken(value: Any, kind: str, name: str) -> Any:
    """What stands in place of a value whose name is a secret's; mappings stay, for their own names tell."""
    if isinstance(value, str):
        kept = names_no_secret(value) or is_place(value, kind, name) or MARKER.fullmatch(value)
        return value if kept else marker(kind)
    if isinstance(value, bytes) or (kind == "password" and isinstance(value, int) and not isinstance(value, bool)):
        return marker(kind)
    if isinstance(value, list):
        return [_taken(item, kind, name) for item in cast("list[Any]", value)]
    if isinstance(value, tuple):
        return tuple(_taken(item, kind, name) for item in cast("tuple[Any, ...]", value))
    return value


def _cleaned_items(items: list[Any], clean: Callable[[str], str], depth: int) -> list[Any]:
    """The items; what follows a flag as `--password` is its value."""
    kinds: Iterator[str | None] = iter([None, *(_flagged(item) for item in items)])
    return [
        cleaned(_taken(item, kind, "") if kind and not str(item).startswith("-") else item, clean, depth + 1)
        for item, kind in zip(items, kinds, strict=False)
    ]


def _flagged(item: Any) -> str | None:
    return secret_kind(item.lstrip("-")) if isinstance(item, str) and item.startswith("--") else None


def _free(name: str, taken: Mapping[Any, Any]) -> str:
    """The name, with a number where another key was cleaned to the same."""
    free, number = name, 2
    while free in taken:
        free, number = f"{name} {number}", number + 1
    return free
