"""JSON in a model's answer: found, and held against its schema."""

import json
import re
from collections.abc import Sequence
from typing import Any, cast

THOUGHTS = re.compile(r"^.*?</think>", re.DOTALL)
"""What a reasoning model writes before its answer; it may hold JSON that is not the answer."""

FENCE = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL)
PROBLEMS_NAMED = 5

REPAIR = """Your answer does not satisfy the schema:
{problems}
Answer again with the corrected JSON object alone."""

REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def json_in(text: str) -> dict[str, Any] | None:
    """The JSON object of an answer, bare, in a code fence, or within prose; None when there is none."""
    text = THOUGHTS.sub("", text)
    for candidate in [text, *FENCE.findall(text)]:
        try:
            value = json.loads(candidate)
        except ValueError:
            continue
        if isinstance(value, dict):
            return cast(dict[str, Any], value)
    decoder = json.JSONDecoder()
    for start in (found.start() for found in re.finditer(r"\{", text)):
        try:
            value, _ = decoder.raw_decode(text, start)
        except ValueError:
            continue
        return cast(dict[str, Any], value)
    return None


def problems_of(value: Any, schema: dict[str, Any]) -> list[str]:
    """Where the value breaks the schema: up to five lines `path: rule`; empty when it does not."""
    from jsonschema.validators import validator_for

    faults = sorted(validator_for(schema)(schema).iter_errors(value), key=lambda fault: list(map(str, fault.path)))
    return [
        f"{'.'.join(map(str, fault.absolute_path)) or 'answer'}: {fault.message[:200]}"
        for fault in faults[:PROBLEMS_NAMED]
    ]


def repair_request(problems: Sequence[str]) -> str:
    """What a model is told whose answer has these problems."""
    return REPAIR.format(problems="\n".join(f"- {problem}" for problem in problems))


def references_out(schema: Any) -> list[str]:
    """References of a schema that lead out of it: who follows one fetches what a stranger named."""
    found: list[str] = []
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            fields = cast(dict[str, Any], part)
            found += (ref for name, ref in fields.items() if name in REFERENCES and isinstance(ref, str))
            waiting += fields.values()
        elif isinstance(part, list):
            waiting += cast(list[Any], part)
    return [ref for ref in found if not ref.startswith("#")]
