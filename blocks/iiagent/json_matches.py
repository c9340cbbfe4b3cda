"""The check of a JSON file against a schema, in time that the agent's file cannot drive up."""

import json
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, ConfigDict, Field

from blocks.iiagent.proof import HOLDS, FilePath, Proof, fails, shown
from blocks.iiagent.tree import in_thread
from blocks.iiagent.workspace import Workspace, read_small
from blocks.language.validation import references_out
from blocks.model import Frozen
from blocks.patterns import compiled

MOST_BYTES = 4 << 20
PROBLEMS_TOLD = 5
BACKTRACKING = ("patternProperties", "unevaluatedProperties")
"""`jsonschema` holds names against these, or looks for them, with Python's own expressions, which may take for ever."""


def _is_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, if files can be held against it. Raises `ValueError`."""
    from jsonschema import SchemaError

    if outside := references_out(schema):
        raise ValueError(f"the schema leads out of itself, to {outside[0]}")
    for part in _parts(schema):
        if names := [name for name in BACKTRACKING if name in part]:
            raise ValueError(f"the schema has {names[0]}; name the properties instead")
        if isinstance(pattern := part.get("pattern"), str):
            compiled(pattern)
    try:
        validator = _validator(json.dumps(schema))
        validator.check_schema(schema)
        list(validator.iter_errors({}))
    except SchemaError as error:
        raise ValueError(f"it is no JSON Schema: {error.message[:200]}") from None
    except Exception as error:  # noqa: BLE001 - a reference into nothing, one that turns in circles
        raise ValueError(f"the schema cannot be used: {type(error).__name__}: {str(error)[:200]}") from None
    return schema


class JsonSchema(Frozen):
    """A file is JSON of a form.

    Attributes:
        path: The file.
        json_schema: JSON Schema, in the file of checks as `schema`. Patterns are of RE2; nothing is fetched.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)  # Prefect writes names, not aliases

    kind: Literal["json_schema"]
    path: FilePath
    json_schema: Annotated[dict[str, Any], AfterValidator(_is_schema)] = Field(alias="schema")

    async def prove(self, workspace: Workspace, message: str) -> Proof:
        """Read the file, and hold it against the schema."""
        content = await read_small(workspace, self.path, most_bytes=MOST_BYTES)
        problems = await in_thread(lambda: _problems(content, self.json_schema))
        if not problems:
            return HOLDS
        return fails(f"{self.path} is not as it has to be: {'; '.join(problems)}. Write it anew.")


def _problems(content: bytes, schema: dict[str, Any]) -> list[str]:
    try:
        value = json.loads(content.decode("utf-8-sig"), parse_constant=_no_number)
    except UnicodeDecodeError:
        return ["it is no UTF-8 text"]
    except ValueError as error:
        return [f"it is no JSON ({shown(str(error))})"]
    except RecursionError:
        return ["it is nested too deep"]
    try:
        faults: list[Any] = list(islice(_validator(json.dumps(schema)).iter_errors(value), PROBLEMS_TOLD))
    except RecursionError:
        return ["it is nested too deep"]
    return [f"{_place(fault)}: {shown(fault.message, 200)}" for fault in faults]


def _place(fault: Any) -> str:
    return shown(".".join(map(str, fault.absolute_path)), 200) or "as a whole"


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


@lru_cache(maxsize=32)
def _validator(schema: str) -> Any:
    """Holds values against a schema; what could take long on hostile values is replaced by what cannot."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend, validator_for
    from referencing import Registry

    told = json.loads(schema)
    base: Any = validator_for(told, default=Draft202012Validator)
    safe: Any = extend(base, {"pattern": _pattern, "uniqueItems": _unique})
    for part in _parts(told):  # else `jsonschema` takes its own class again for parts that name their draft
        if isinstance(part.get("$schema"), str):
            del part["$schema"]
    return safe(told, registry=Registry[Any]())


def _pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if isinstance(value, str) and not compiled(pattern).search(value.encode("utf-8", "replace").decode()):
        yield ValidationError(f"{shown(value)} does not match {pattern}")


def _unique(_validator: Any, wanted: Any, value: Any, _schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if wanted and isinstance(value, list):
        seen = {json.dumps(_plain(item), sort_keys=True) for item in cast(list[Any], value)}
        if len(seen) < len(cast(list[Any], value)):
            yield ValidationError("items of it are there twice")


def _plain(value: Any) -> Any:
    """With 1.0 written as 1, as JSON Schema compares them."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(item) for item in cast(list[Any], value)]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in cast(dict[str, Any], value).items()}
    return value


def _parts(schema: Any) -> Iterator[dict[str, Any]]:
    """All mappings of a schema."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield (fields := cast(dict[str, Any], part))
            waiting += fields.values()
        elif isinstance(part, list):
            waiting += cast(list[Any], part)
