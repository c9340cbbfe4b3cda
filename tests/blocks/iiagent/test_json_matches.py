"""JSON files are held against schemas, in time that they cannot drive up."""

from typing import Any

import pytest

from tests.blocks.iiagent.files import served
from tests.blocks.iiagent.proving import CHECK, held

SCHEMA = {
    "type": "array",
    "uniqueItems": True,
    "items": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string", "pattern": "^(a+)+$"}}},
}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('[{"id": "aa"}]', ""),
        ('\ufeff[{"id": "aa"}, {"id": "a"}]', ""),
        ('[{"id": 7}]', "0.id: 7 is not of type 'string'"),
        ("[{}]", "'id' is a required property"),
        ('[{"id": "a"}, {"id": "a"}]', "items of it are there twice"),
        ("[" + '"a",' * 200_000 + '"b"]', "is not of type 'object'"),
        ('[{"id": "' + "a" * 100_000 + '!"}]', "does not match"),
        ("[" * 100_000, "nested too deep"),
        ("not JSON", "it is no JSON"),
        ("[NaN]", "NaN is no number of JSON"),
        (b"\xff", "it is no UTF-8 text"),
    ],
    ids=["holds", "bom", "type", "lacks", "twice", "many", "backtracks", "deep", "none", "nan", "utf8"],
)
async def test_json_is_held_against_its_schema(content: str | bytes, told: str) -> None:
    async with served() as at:
        at.put("out.json", content)
        found = await held(at, {"kind": "json_schema", "path": "out.json", "schema": SCHEMA})
    assert found.holds == (not told)
    assert told in found.missing
    assert len(found.missing) < 2000


async def test_parts_of_a_schema_that_name_their_draft_are_held_against_in_bounded_time_too() -> None:
    draft = "https://json-schema.org/draft/2020-12/schema"
    schema = {"$schema": draft, "properties": {"next": {"$ref": "#"}, "id": {"pattern": "^(a+)+$"}}}
    async with served() as at:
        at.put("out.json", '{"next": {"id": "' + "a" * 60 + '!"}}')
        found = await held(at, {"kind": "json_schema", "path": "out.json", "schema": schema})
    assert "next.id: aaa" in found.missing


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.org/schema"},
        {"type": "nonsense"},
        {"pattern": "(?=a)"},
        {"patternProperties": {"a": {}}},
        {"$ref": "#/$defs/none"},
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_when_it_is_read(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"schema|RE2"):
        CHECK.validate_python({"kind": "json_schema", "path": "a.json", "schema": schema})
