"""Fill a JSON Schema with facts: what goes where, in the type and size the schema wants."""

from collections.abc import Callable, Sequence
from typing import Any, cast

from blocks.language.facts import Action, Facts
from blocks.language.sentences import shorten

ROLE = "x-extract"
"""The schema keyword that names what belongs in a property."""

SUMMARY_SENTENCES = 4
KEY_POINTS = 6

SOURCES: dict[str, Callable[[Facts], Any]] = {
    "title": lambda facts: facts.title,
    "summary": lambda facts: " ".join(facts.key_sentences(SUMMARY_SENTENCES)),
    "key_points": lambda facts: facts.key_sentences(KEY_POINTS),
    "decisions": lambda facts: facts.decisions,
    "action_items": lambda facts: facts.actions,
    "questions": lambda facts: facts.questions,
    "risks": lambda facts: facts.risks,
    "tags": lambda facts: facts.tags,
    "participants": lambda facts: facts.participants,
    "text": lambda facts: facts.text,
    "engine": lambda facts: "extractive",
    "language": lambda facts: facts.language,
}
"""What can be asked for by `x-extract`."""

PARTS: dict[str, Callable[[Action], str]] = {
    "who": lambda action: action.who,
    "what": lambda action: action.what,
    "when": lambda action: action.when,
}

COMMON_NAMES = {
    "title": ("title", "subject", "headline", "tiêu_đề", "chủ_đề", "tên"),
    "summary": ("summary", "abstract", "overview", "tóm_tắt", "tổng_quan", "nội_dung"),
    "key_points": (
        "key_points",
        "main_points",
        "points",
        "highlights",
        "topics",
        "ý_chính",
        "nội_dung_chính",
    ),
    "decisions": ("decisions", "agreements", "quyết_định", "kết_luận"),
    "action_items": (
        "action_items",
        "actions",
        "tasks",
        "next_steps",
        "todos",
        "công_việc",
        "việc_cần_làm",
        "hành_động",
    ),
    "questions": ("questions", "open_questions", "câu_hỏi"),
    "risks": ("risks", "issues", "problems", "concerns", "rủi_ro", "vấn_đề"),
    "tags": ("tags", "keywords", "labels", "từ_khóa", "từ_khoá", "nhãn"),
    "participants": ("participants", "attendees", "speakers", "người_tham_gia", "thành_phần"),
    "text": ("text", "enhanced_text", "full_text", "văn_bản"),
    "who": ("who", "owner", "assignee", "responsible", "ai", "người_phụ_trách", "người_thực_hiện"),
    "what": (
        "what",
        "task",
        "action",
        "item",
        "description",
        "text",
        "việc",
        "công_việc",
        "nội_dung",
        "mô_tả",
    ),
    "when": ("when", "due", "deadline", "due_date", "by", "khi_nào", "hạn", "thời_hạn"),
}
"""Names for templates that carry no `x-extract`."""


def fill(schema: dict[str, Any], facts: Facts) -> dict[str, Any]:
    """A JSON object for the schema, drawn from the facts alone.

    A property nothing is known for is left out, or empty where the schema insists on it; whether
    the result satisfies the schema is for the caller to check.
    """
    required = set(schema.get("required", ()))
    made: dict[str, Any] = {}
    for name, wanted in _properties(schema):
        role = _role(name, wanted, SOURCES)
        value = _fit(SOURCES[role](facts), wanted) if role else None
        if value not in (None, "", []):
            made[name] = value
        elif name in required:
            made[name] = _empty(wanted)
    return made


def _properties(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Names and schemas; `true` wants nothing in particular, and what is `false` may not be there."""
    return [(name, _schema(part)) for name, part in schema.get("properties", {}).items() if part is not False]


def _schema(part: Any) -> dict[str, Any]:
    return cast(dict[str, Any], part) if isinstance(part, dict) else {}


def _role(name: str, wanted: dict[str, Any], known: dict[str, Any]) -> str | None:
    if (asked := wanted.get(ROLE)) in known:
        return asked
    return next((role for role, names in COMMON_NAMES.items() if role in known and name.lower() in names), None)


def _fit(value: Any, wanted: dict[str, Any]) -> Any:
    """The value in the type and size of the schema; None when it cannot be."""
    kind = _kind(wanted)
    if kind == "array":
        items = cast(list[Any], value) if isinstance(value, list) else [value] if value else []
        fitted = [_fit_item(item, _schema(wanted.get("items"))) for item in items]
        kept = [item for item in fitted if item not in (None, "", {})]
        return kept[: wanted.get("maxItems", len(kept))]
    if kind == "string":
        return _fit_text(_as_text(value), wanted)
    return None


def _fit_item(value: Any, wanted: dict[str, Any]) -> Any:
    if _kind(wanted) != "object":
        return _fit_text(_as_text(value), wanted)
    action = value if isinstance(value, Action) else Action(who="", what=_as_text(value), when="")
    required = set(wanted.get("required", ()))
    made: dict[str, Any] = {}
    for name, part in _properties(wanted):
        role = _role(name, part, PARTS)
        text = _fit_text(PARTS[role](action), part) if role else ""
        if text or name in required:
            made[name] = text or _empty(part)
    return made


def _fit_text(text: str, wanted: dict[str, Any]) -> str:
    if (choices := wanted.get("enum")) is not None:
        return text if text in choices else ""
    return shorten(text, wanted["maxLength"]) if "maxLength" in wanted else text


def _as_text(value: Any) -> str:
    if isinstance(value, Action):
        owner = f"{value.who}: " if value.who else ""
        due = f" ({value.when})" if value.when else ""
        return f"{owner}{value.what}{due}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(_as_text(item) for item in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return str(value)


def _empty(wanted: dict[str, Any]) -> Any:
    """The empty value of the type: it says «nothing was found», and invents nothing."""
    if "null" in wanted.get("type", ()):
        return None
    empty: dict[str, Any] = {"array": [], "object": {}, "string": ""}
    return empty.get(_kind(wanted))


def _kind(wanted: dict[str, Any]) -> str:
    kind = wanted.get("type", "string")
    if isinstance(kind, list):
        kinds: list[str] = [item for item in kind if item != "null"]  # pyright: ignore[reportUnknownVariableType]
        return kinds[0] if kinds else "null"
    return str(kind)
