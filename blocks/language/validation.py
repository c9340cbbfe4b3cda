"""JSON in a model's answer: found, and held against its schema."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, cast

THOUGHTS = re.compile(r"^.*?</think>", re.DOTALL)
"""What a reasoning model writes before its answer; it may hold JSON that is not the answer."""

FENCE = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL)
PROBLEMS_NAMED = 5

REPAIR = """Your answer does not satisfy the schema:
{problems}
Answer again with the corrected JSON object alone."""

REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


class _NoNumber(ValueError):
    """NaN or an infinity: Python reads them, JSON has none, and what was written of them would be something else."""


def json_in(text: str) -> dict[str, Any] | None:
    """The JSON object of an answer, bare, in a code fence, or within prose; None when there is none."""
    text = THOUGHTS.sub("", text)
    for candidate in [text, *FENCE.findall(text)]:
        try:
            value = json.loads(candidate, parse_constant=_refuse, parse_float=_finite)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return cast(dict[str, Any], value)
    decoder = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
    for start in (found.start() for found in re.finditer(r"\{", text)):
        try:
            value, _ = decoder.raw_decode(text, start)
        except (_NoNumber, RecursionError):  # what lies within such an object is not the answer
            return None
        except ValueError:
            continue
        return cast(dict[str, Any], value)
    return None


def _refuse(constant: str) -> float:
    raise _NoNumber(f"{constant} is no number of JSON")


def _finite(digits: str) -> float:
    if math.isinf(number := float(digits)):
        raise _NoNumber(f"{digits} is too large")
    return number


def problems_of(value: Any, schema: dict[str, Any]) -> list[str]:
    """Where the value breaks the schema: up to five lines `path: rule`; empty when it does not.

    Nothing is fetched, whatever the schema refers to.
    """
    try:
        faults = sorted(_validator(schema).iter_errors(value), key=lambda fault: list(map(str, fault.path)))
    except Exception as error:  # noqa: BLE001 - a reference into nothing, one that turns in circles, a value too deep
        return [f"answer: cannot be held against the schema: {type(error).__name__}: {str(error)[:200]}"]
    return [
        f"{'.'.join(map(str, fault.absolute_path)) or 'answer'}: {fault.message[:200]}"
        for fault in faults[:PROBLEMS_NAMED]
    ]


def schema_problems(schema: dict[str, Any]) -> list[str]:
    """Why answers cannot be held against a schema, each as `is no JSON Schema: …`; empty when they can."""
    from jsonschema import SchemaError

    problems = [] if schema.get("type") == "object" else ["is not of type object"]
    problems += [f"leads out of itself, to {ref}" for ref in references_out(schema)]
    try:
        validator = _validator(schema)
        validator.check_schema(schema)
        if not problems:
            problems += [f"leads into nothing, to {ref}" for ref in _references_lost(validator)]
        if not problems:
            list(validator.iter_errors({}))
    except SchemaError as error:
        problems.append(f"is no JSON Schema: {error.message[:200]}")
    except Exception as error:  # noqa: BLE001 - a reference that turns in circles, parts within parts without end
        problems.append(f"cannot be used: {type(error).__name__}: {str(error)[:200]}")
    return problems


def _validator(schema: dict[str, Any]) -> Any:
    """Holds values against the schema. Its registry is empty: the default one fetches what a schema refers to."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for
    from referencing import Registry

    return validator_for(schema, default=Draft202012Validator)(schema, registry=Registry())


def _references_lost(validator: Any) -> Iterator[str]:
    """References of a schema that lead to no schema, also those that no value has led to yet."""
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import specification_with

    root = specification_with(validator.META_SCHEMA["$schema"]).create_resource(validator.schema)
    waiting: list[Any] = [(root, Registry[Any]().resolver_with_root(root))]
    while waiting:
        part, resolver = waiting.pop()
        for ref in _references(part.contents):
            try:
                found = resolver.lookup(ref).contents
            except Unresolvable:
                found = None
            if not isinstance(found, dict | bool):
                yield ref
        waiting += [(one, resolver.in_subresource(one)) for one in part.subresources()]


def _references(part: Any) -> list[str]:
    """The references that stand in a part of a schema itself."""
    if not isinstance(part, dict):
        return []
    fields = cast(dict[str, Any], part)
    return [ref for name, ref in fields.items() if name in REFERENCES and isinstance(ref, str)]


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
            found += _references(part)
            waiting += cast(dict[str, Any], part).values()
        elif isinstance(part, list):
            waiting += cast(list[Any], part)
    return [ref for ref in found if not ref.startswith("#")]
