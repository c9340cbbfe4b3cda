"""A value that satisfies a JSON Schema, made by walking it; the same for the same schema and text."""

import re
from typing import Any

MOST_DEEP = 24
LONGEST = 80
FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "email": "ann@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
}


def instance(schema: Any, text: str, root: Any = None, depth: int = 0) -> Any:
    """The value.

    Args:
        schema: A JSON Schema, or the part of one; `true` and `{}` take anything.
        text: What its strings quote.
        root: The schema that references lead into.
        depth: How deep in the value; what is optional ends at `MOST_DEEP`.
    """
    if not isinstance(schema, dict):
        return _quote(text, 0, LONGEST)
    known: dict[str, Any] = schema
    root = known if root is None else root
    if "$ref" in known:
        return instance(_resolve(root, str(known["$ref"])), text, root, depth + 1)
    if "const" in known:
        return known["const"]
    if "default" in known:
        return known["default"]
    if "enum" in known:
        return known["enum"][0]
    if options := known.get("anyOf") or known.get("oneOf"):
        # Deep down, the simplest: that is how recursive schemas end.
        chosen = options[0] if depth < MOST_DEEP // 2 else min(options, key=lambda one: len(str(one)))
        return instance(chosen, text, root, depth + 1)
    if parts := known.get("allOf"):
        return instance(_merged([_followed(part, root) for part in parts] + [known]), text, root, depth + 1)
    return _of_type(_type(known), known, text, root, depth)


def _type(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        names: list[str] = kind
        return next((name for name in names if name != "null"), "null")
    if isinstance(kind, str):
        return kind.lower()  # Gemini writes STRING and OBJECT
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def _of_type(kind: str, schema: dict[str, Any], text: str, root: Any, depth: int) -> Any:
    if kind == "object":
        needed: list[str] = schema.get("required", [])
        parts: dict[str, Any] = schema.get("properties", {})
        return {
            name: instance(parts.get(name, True), text, root, depth + 1)
            for name in [*parts, *(name for name in needed if name not in parts)]
            if name in needed or depth < MOST_DEEP
        }
    if kind == "array":
        count = max(int(schema.get("minItems", 0)), 1 if depth < MOST_DEEP and schema.get("maxItems") != 0 else 0)
        first: list[Any] = schema.get("prefixItems", [])
        kinds = [*first, *[schema.get("items", True)] * max(0, count - len(first))]
        made = [instance(one, text, root, depth + 1) for one in kinds]
        return [f"{one} {place}" for place, one in enumerate(made)] if schema.get("uniqueItems") and count > 1 else made
    if kind in ("number", "integer"):
        return _number(schema, whole=kind == "integer")
    if kind == "string":
        if (form := schema.get("format")) in FORMATS:
            return FORMATS[form]
        quoted = _quote(text, int(schema.get("minLength", 0)), int(schema.get("maxLength", LONGEST)))
        return _fitting(quoted, str(schema["pattern"])) if "pattern" in schema else quoted
    return False if kind == "boolean" else None


def _number(schema: dict[str, Any], *, whole: bool) -> float | int:
    """The least number there may be; 0 where none is named."""
    least: float = schema.get("minimum", 0)
    step: float | None = schema.get("multipleOf")
    if isinstance(over := schema.get("exclusiveMinimum"), int | float) and not isinstance(over, bool):
        top = schema.get("maximum", schema.get("exclusiveMaximum", over + 2))
        least = over + 1 if whole or over + 1 <= top else (over + top) / 2
    most = schema.get("maximum", schema.get("exclusiveMaximum"))
    if most is not None and least > most:
        least = most if "maximum" in schema else most - 1
    if most is not None and "minimum" not in schema and "exclusiveMinimum" not in schema and most < 0:
        least = most - 1 if "exclusiveMaximum" in schema else most
    if step:
        least = -(-least // step) * step
    return int(least) if whole else least


def _resolve(root: Any, reference: str) -> Any:
    """The part of the root that `#/…` points to; anything, where it points nowhere."""
    found = root
    for step in reference.removeprefix("#").strip("/").split("/") if reference.strip("#/") else []:
        name = step.replace("~1", "/").replace("~0", "~")
        found = found.get(name, True) if isinstance(found, dict) else True  # pyright: ignore[reportUnknownMemberType]
    return found


def _followed(schema: Any, root: Any) -> dict[str, Any]:
    """A part with its own reference resolved."""
    if isinstance(schema, dict) and "$ref" in schema:
        schema = _resolve(root, str(schema["$ref"]))  # pyright: ignore[reportUnknownArgumentType]
    return schema if isinstance(schema, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """All parts as one schema."""
    whole: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            if key == "allOf":
                continue
            if key == "properties":
                whole[key] = {**whole.get(key, {}), **value}
            elif key == "required":
                whole[key] = [*whole.get(key, []), *value]
            else:
                whole[key] = value
    return whole


def _quote(text: str, least: int, most: int) -> str:
    quoted = " ".join(text.split())[: min(most, LONGEST)].strip() or "-"[:most]
    return quoted.ljust(least, ".")


def _fitting(quoted: str, pattern: str) -> str:
    """A text that a pattern takes, if a simple one does: names, numbers, dates."""
    words = re.findall(r"\w+", quoted.lower()) or ["a"]
    tried = (
        quoted,
        "-".join(words),
        "_".join(words),
        words[0],
        words[0].upper(),
        "a",
        "A",
        "1",
        "12",
        "1.0",
        "2026-01-01",
    )
    try:
        return next((one for one in tried if re.search(pattern, one)), quoted)
    except re.error:  # of another dialect
        return quoted
