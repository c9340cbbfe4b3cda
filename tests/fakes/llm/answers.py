"""Sensible answers without a model: punctuated lines, or the least that satisfies a schema."""

import json
import re
from typing import Any

LINES = re.compile(r"<lines>\n(.*?)\n</lines>", re.DOTALL)
TRANSCRIPT = re.compile(r"<transcript>\n(.*?)\n?</transcript>", re.DOTALL)
WRONG = {"unexpected": True}


def content_for(body: dict[str, Any]) -> str:
    """The content of a right answer to a chat request."""
    asked = "\n".join(message["content"] for message in body["messages"] if message["role"] != "assistant")
    if lines := LINES.search(asked):
        return _json({"lines": [corrected(line) for line in lines[1].splitlines()]})
    schema = schema_of(body, asked)
    if schema is None:
        return f"You said: {asked.splitlines()[-1]}"
    said = TRANSCRIPT.search(asked)
    return _json(instance(schema, said[1] if said else asked))


def wrapped(content: str, how: str) -> str:
    """The content in the shape a less obedient model gives it."""
    if how == "prose":
        return f"Certainly! Here is what you asked for:\n{content}\nLet me know if you need more."
    if how == "fence":
        return f"```json\n{content}\n```"
    if how == "truncated":
        return content[: len(content) // 2]
    return content


def corrected(numbered: str) -> str:
    """`3. [Anna] good morning` as `Good morning.`"""
    said = re.sub(r"^\d+\. (\[[^\]]*\] )?", "", numbered)
    return said[:1].upper() + said[1:] + ("" if said[-1:] in ".?!" else ".")


def schema_of(body: dict[str, Any], asked: str) -> dict[str, Any] | None:
    """The schema of `response_format`, else the first one that stands in the prompt."""
    form = body.get("response_format", {})
    if form.get("type") == "json_schema":
        return form["json_schema"]["schema"]
    for start in re.finditer(r"^\{", asked, re.MULTILINE):
        try:
            found, _ = json.JSONDecoder().raw_decode(asked, start.start())
        except ValueError:
            continue
        if "properties" in found:
            return found
    return None


def instance(schema: dict[str, Any], text: str) -> Any:
    """A value that satisfies the schema; its strings are quoted from the text."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: instance(part, text) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [instance(schema.get("items", {}), text)] * max(1, schema.get("minItems", 1))
    if kind in ("number", "integer"):
        return schema.get("minimum", 0)
    if kind == "string":
        return _quote(text, schema.get("minLength", 0), schema.get("maxLength", 80))
    return {"boolean": False, "null": None}[kind]


def _quote(text: str, least: int, most: int) -> str:
    quoted = " ".join(text.split())[:most].strip() or "-"
    return quoted.ljust(least, ".")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
