"""What is wrong with a record that somebody wrote by hand, in words for people: where, and what belongs there."""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticCustomError

Place = tuple[int | str, ...]
"""Names of fields and numbers of items, from the outside inwards."""

LIST = "here belongs a list, lines that begin with a dash"
MAPPING = "here belongs a mapping, lines as NAME: VALUE"
ADDRESS = "here belongs an address, as https://host/v1"

WORDS: dict[str, str] = {
    "missing": "it is missing, and needed",
    "too_short": "it needs {min_length} or more, and has {actual_length}",
    "list_type": LIST,
    "tuple_type": LIST,
    "dict_type": MAPPING,
    "model_type": MAPPING,
    "int_type": "here belongs a whole number",
    "int_parsing": "here belongs a whole number",
    "int_from_float": "here belongs a whole number",
    "float_type": "here belongs a number",
    "float_parsing": "here belongs a number",
    "finite_number": "here belongs a finite number",
    "bool_type": "here belongs true or false",
    "bool_parsing": "here belongs true or false",
    "string_type": "here belongs a text; what looks like a number or a date needs quotes",
    "string_too_short": "it is empty",
    "string_pattern_mismatch": "it is not of the form {pattern}",
    "literal_error": "here belongs {expected}",
    "url_type": ADDRESS,
    "url_parsing": ADDRESS,
    "url_scheme": ADDRESS,
    "greater_than": "it must be more than {gt}",
    "greater_than_equal": "it must be {ge} or more",
    "less_than": "it must be less than {lt}",
    "less_than_equal": "it must be {le} or less",
    "value_error": "{error}",
    "union_tag_invalid": "{discriminator} is none of {expected_tags}",
    "union_tag_not_found": "{discriminator} is missing, and needed",
}
"""For pydantic's types of errors; of others pydantic's own message is told. None of these repeats the value."""

JSON_LIST, JSON_OBJECT = "here belongs a list, as [ … ]", 'here belongs an object, as {{"name": … }}'
JSON_WORDS: dict[str, str] = {
    "list_type": JSON_LIST,
    "tuple_type": JSON_LIST,
    "dict_type": JSON_OBJECT,
    "model_type": JSON_OBJECT,
    "string_type": "here belongs a text, in double quotes",
}
"""The same where the record was written as JSON."""

FIELD_LIKE = re.compile(r"[A-Za-z_ -]{1,30}|\w{1,12}")
"""Unknown fields whose name is repeated. In `{key:sk-…}`, where a blank is missing, the secret is a name to YAML."""


class Fault(NamedTuple):
    """One thing that is wrong.

    Attributes:
        place: Where.
        what: What is wrong there, or what belongs there.
        other: Another place that it concerns, as the first of two that must not be the same.
        unknown: Whether the place ends with a field that there is not.
    """

    place: Place
    what: str
    other: Place | None = None
    unknown: bool = False

    @property
    def where(self) -> str:
        """The place in words; of an unknown field the name only where it is like a field's."""
        *names, last = map(str, self.place or ("file",))
        return ".".join((*names, last if not self.unknown or FIELD_LIKE.fullmatch(last) else "…"))

    def within(self, place: Place) -> "Fault":
        """The same of a record that lies at a place of a larger one."""
        other = None if self.other is None else (*place, *self.other)
        return self._replace(place=(*place, *self.place), other=other)


def faulty(faults: Sequence[Fault]) -> PydanticCustomError:
    """What a validator raises that knows where within its record the faults are; `faults_of` takes them from it."""
    what = "; ".join(fault.what for fault in faults)
    return PydanticCustomError("faults", "{what}", {"what": what, "faults": tuple(faults)})


def faults_of(error: ValidationError, form: TypeAdapter[Any], *, json: bool = False) -> list[Fault]:
    """Everything that is wrong, without the values: one may be a secret that stands where its name belongs.

    Args:
        error: What pydantic says.
        form: What the record was held against.
        json: Whether it was written as JSON; else as YAML.
    """
    words = WORDS | JSON_WORDS if json else WORDS
    errors = error.errors(include_url=False, include_input=False)
    places = [one["loc"] for one in errors]
    told = [
        fault
        for one in errors
        # A list whose items are wrong is also said to be empty.
        if not any(len(other) > len(one["loc"]) and other[: len(one["loc"])] == one["loc"] for other in places)
        for fault in _faults(one, form, words)
    ]
    return list(dict.fromkeys(told))


def _faults(error: Mapping[str, Any], form: TypeAdapter[Any], words: Mapping[str, str]) -> Iterator[Fault]:
    place, kind, facts = error["loc"], error["type"], error.get("ctx", {})
    if kind == "faults":
        given: Sequence[Fault] = facts["faults"]
        yield from (fault.within(place) for fault in given)
    elif kind == "extra_forbidden":
        yield _unknown(place, _known(form, place[:-1]))
    else:
        yield Fault(place, words[kind].format_map(facts) if kind in words else error["msg"])


def _unknown(place: Place, known: Sequence[str]) -> Fault:
    name = str(place[-1])
    meant = get_close_matches(name.lower().replace("-", "_"), known, n=1)
    hint = f"; did you mean {meant[0]}?" if meant else ""
    known_are = f" (known are {', '.join(known)})" if known else ""
    return Fault(place, f"there is no such field{hint}{known_are}", unknown=True)


class _Shape(GenerateJsonSchema):
    """A schema with gaps where JSON Schema has no word for a type, as a function's."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - as pydantic declares it

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> dict[str, Any]:
        return {}


def _known(form: TypeAdapter[Any], place: Place) -> list[str]:
    """The fields that there are at a place."""
    schema = form.json_schema(schema_generator=_Shape)
    named: dict[str, Any] = schema.get("$defs", {})
    found = _choices(schema, named)
    for step in place:
        found = [choice for one in found for choice in _choices(_inner(one, step), named)]
    return list(dict.fromkeys(name for one in found for name in one.get("properties", {})))


def _choices(schema: Any, named: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a value may be: the schema itself, or those that it refers to."""
    if not isinstance(schema, dict):
        return []
    told: dict[str, Any] = schema  # pyright: ignore[reportUnknownVariableType]
    if "$ref" in told:
        return _choices(named.get(str(told["$ref"]).rsplit("/", 1)[-1]), named)
    if several := told.get("anyOf") or told.get("oneOf") or told.get("allOf"):
        return [choice for one in several for choice in _choices(one, named)]
    return [told]


def _inner(schema: dict[str, Any], step: int | str) -> Any:
    if isinstance(step, int):
        return schema.get("items")
    if (field := schema.get("properties", {}).get(step)) is not None:
        return field
    by_pattern = list(schema.get("patternProperties", {}).values())  # a mapping whose names have a form
    return by_pattern[0] if by_pattern else schema.get("additionalProperties")
