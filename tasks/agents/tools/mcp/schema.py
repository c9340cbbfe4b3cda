"""Arguments of a tool whose schema a stranger wrote."""

from typing import Any, ClassVar, cast

from pydantic import GetJsonSchemaHandler, RootModel, model_validator
from pydantic_core import CoreSchema

from blocks.action import canonical
from blocks.errors import Unsupported
from blocks.language.validation import problems_of, schema_problems
from blocks.plain_text import cut, visible

MOST_SCHEMA_CHARS = 20_000
MOST_ARGUMENT_CHARS = 100_000
TEXT_CHARS = 1000
"""Of each description in a schema; the model reads them all."""

NAMED_PARTS = {"properties", "$defs", "definitions", "dependentSchemas"}
"""Within these, keys are names, not keywords."""

LEFT_OUT = {"pattern", "patternProperties"}
"""Regular expressions of a stranger can take for ever. The server holds arguments against its own anyway."""

MET_BY_OTHERS = {
    "patternProperties",
    "allOf",
    "anyOf",
    "oneOf",
    "$ref",
    "unevaluatedProperties",
    "additionalProperties",
}
"""With these, fields that `properties` does not name may well be right."""


class McpArguments(RootModel[dict[str, Any]]):
    """Arguments held against a schema; see `arguments_of`."""

    form: ClassVar[dict[str, Any]] = {}

    @model_validator(mode="before")
    @classmethod
    def _fit(cls, value: Any) -> Any:
        try:
            too_long = len(canonical(value)) > MOST_ARGUMENT_CHARS
        except (ValueError, TypeError, RecursionError):
            raise ValueError("the arguments are no JSON") from None
        if too_long:
            raise ValueError(f"the arguments have more than {MOST_ARGUMENT_CHARS} characters")
        if problems := problems_of(value, cls.form):
            raise ValueError("; ".join(problems))
        return value

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return cls.form


def arguments_of(name: str, schema: dict[str, Any]) -> type[McpArguments]:
    """A model of arguments that satisfy a schema.

    Raises:
        Unsupported: the schema cannot be used; the message says why.
    """
    form = {"type": "object", **_cleaned(schema)}
    if not MET_BY_OTHERS & schema.keys():
        form["additionalProperties"] = False
    if len(canonical(form)) > MOST_SCHEMA_CHARS:
        raise Unsupported(f"its schema has more than {MOST_SCHEMA_CHARS} characters", fix="use a smaller tool")
    if problems := schema_problems(form):
        raise Unsupported(f"its schema {problems[0]}", fix="have the server corrected")
    return cast(type[McpArguments], type(f"{name}_arguments", (McpArguments,), {"form": form, "__module__": __name__}))


def _cleaned(schema: Any, *, names: bool = False) -> Any:
    """A schema without what is left out, and with texts that a person could read, too."""
    if isinstance(schema, list):
        return [_cleaned(part) for part in cast(list[Any], schema)]
    if not isinstance(schema, dict):
        return schema
    return {
        key: cut(visible(part), TEXT_CHARS)
        if not names and key in ("description", "title") and isinstance(part, str)
        else _cleaned(part, names=not names and key in NAMED_PARTS)
        for key, part in cast(dict[str, Any], schema).items()
        if names or key not in LEFT_OUT
    }
