"""Answers to the prompts of our language engines: punctuated lines, or the least that satisfies a schema."""

import json
import re
from typing import Any

from deployments.simulator.instance import instance

LINES = re.compile(r"<lines>\n(.*?)\n</lines>", re.DOTALL)
TRANSCRIPT = re.compile(r"<transcript>\n(.*?)\n?</transcript>", re.DOTALL)


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


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
