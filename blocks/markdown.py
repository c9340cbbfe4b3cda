"""JSON as Markdown that people read."""

import json
import re
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


def code(text: str) -> str:
    """A text from outside within a line, as code: nothing in it is Markdown."""
    fence = "`" * (_longest_run(text) + 1)
    padded = f" {text} " if text.startswith("`") or text.endswith("`") or not text.strip() else text
    return f"{fence}{padded}{fence}".replace("\n", " ")


def fenced(text: str) -> str:
    """A text from outside over several lines, as code: nothing in it is Markdown, nor ends it."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
