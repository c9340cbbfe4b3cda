"""JSON as Markdown that people read."""

import json
from typing import Any, cast


def markdown_of(value: Any, depth: int = 2) -> list[str]:
    """Any JSON value as Markdown lines: objects as headed sections, lists as bullets."""
    if isinstance(value, dict):
        lines: list[str] = []
        for name, item in cast(dict[str, Any], value).items():
            lines += ["#" * min(depth, 6) + f" {_heading(name)}", "", *markdown_of(item, depth + 1), ""]
        return lines
    if isinstance(value, list):
        return [f"- {_inline(item)}" for item in cast(list[Any], value)] or ["–"]
    return [_inline(value)]


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        fields = cast(dict[str, Any], value)
        return "; ".join(f"{_heading(name)}: {_inline(item)}" for name, item in fields.items() if item)
    if isinstance(value, list):
        return ", ".join(_inline(item) for item in cast(list[Any], value))
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _heading(name: str) -> str:
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def inert(markdown: str) -> str:
    """Markdown without pictures and HTML: what a model wrote must not call somebody when a person looks at it."""
    return markdown.replace("<", "&lt;").replace("![", "!\\[")
