"""What the gateway says of itself: its OpenAPI document made whole, and a page that shows it without the internet."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from litestar import Litestar, Request
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIResponse, OpenAPIType, Operation, Reference, Schema
from litestar.routes import HTTPRoute

from deployments.gateway.web.auth import NEEDS
from deployments.gateway.web.problems import PROBLEM

PAGE = Path(__file__).parent / "docs.jinja"

AS_OPENAI = {"c500_as_openai": True}
"""`opt` of a handler that answers errors in the form of OpenAI's API."""

OPENAI_SCHEMA = Schema(
    type=OpenAPIType.OBJECT,
    description="What went wrong, in the form of OpenAI's API.",
    required=["error"],
    properties={
        "error": Schema(
            type=OpenAPIType.OBJECT,
            required=["message", "type", "param", "code"],
            properties={
                "message": Schema(type=OpenAPIType.STRING),
                "type": Schema(type=OpenAPIType.STRING),
                "param": Schema(one_of=[Schema(type=OpenAPIType.STRING), Schema(type=OpenAPIType.NULL)]),
                "code": Schema(one_of=[Schema(type=OpenAPIType.STRING), Schema(type=OpenAPIType.NULL)]),
            },
        )
    },
)

PROBLEM_SCHEMA = Schema(
    type=OpenAPIType.OBJECT,
    description="What went wrong, in the form of RFC 9457 and in that of older audio clients.",
    required=["type", "title", "status", "detail", "error"],
    properties={
        "type": Schema(type=OpenAPIType.STRING),
        "title": Schema(type=OpenAPIType.STRING, description="The code again."),
        "status": Schema(type=OpenAPIType.INTEGER),
        "detail": Schema(type=OpenAPIType.STRING, description="One line for people."),
        "error": Schema(
            type=OpenAPIType.OBJECT,
            required=["code", "message", "details"],
            properties={
                "code": Schema(type=OpenAPIType.STRING, description="What programs test for."),
                "message": Schema(type=OpenAPIType.STRING),
                "details": Schema(type=OpenAPIType.OBJECT, description="Facts; `fix` says what to do about it."),
            },
        ),
    },
)

KEYED = {
    "401": "No valid API key came with the request.",
    "403": "The key lacks a scope, or a rule forbids it.",
    "429": "A limit is reached or the queue is full; Retry-After says when to come back.",
}
NAMED = {"404": "There is no such thing, or not for this key."}
STATEFUL = {"409": "It is not in a state for this: not finished, finished already, changed by someone else."}
BODIED = {"413": "The body is too large.", "415": "No recording that can be used."}
OPENAI_ERRORS = {
    "400": "A field is wrong, the request is too long for every model, or the provider refuses it.",
    "401": "No valid API key came with the request.",
    "403": "The key lacks the scope chat.",
    "404": "There is no such model.",
    "413": "The body is too large.",
    "429": "A limit is reached or a budget used up; Retry-After says when to come back.",
    "502": "Providers were called, and failed.",
    "503": "No account works, or this gateway has none.",
    "504": "No answer came in time.",
    "default": "Any other error.",
}
CHECKED = {"422": "A parameter or field is wrong; `error` says which."}
DEFAULT = "Any other error."


def describe(app: Litestar) -> None:
    """Add to the document what all handlers have in common: errors, and which of them need no key."""
    document = app.openapi_schema
    if document.components:
        document.components.schemas["Problem"] = PROBLEM_SCHEMA
        document.components.schemas["OpenAIError"] = OPENAI_SCHEMA
    for path, handler, operation in _operations(app):
        if handler.opt.keys() >= AS_OPENAI.keys():
            answered = {status: answer for status, answer in (operation.responses or {}).items() if status[0] == "2"}
            errors = {status: _openai_error(description) for status, description in OPENAI_ERRORS.items()}
            operation.responses = {**answered, **errors}
            continue
        is_open = handler.opt.get(NEEDS) is None
        errors = ({} if is_open else KEYED) | (NAMED | STATEFUL if "{" in path else {}) | CHECKED
        errors |= BODIED | STATEFUL if operation.request_body else {}
        answers: dict[str, Any] = operation.responses or {}
        answers.pop("400", None)  # Litestar's own; `problems` answers 422
        for status, description in (errors | {"default": DEFAULT}).items():
            answers.setdefault(status, _problem(description))
        if "503" in answers:
            answers["503"] = _problem(answers["503"].description)
        operation.responses = answers
        if is_open:
            operation.security = []


def operation_id(handler: HTTPRouteHandler, _method: Any, _path: Any) -> str:
    """The name of an operation: its function's, in the manner of OpenAPI."""
    first, *others = handler.handler_name.rsplit(".", 1)[-1].split("_")
    return first + "".join(word.capitalize() for word in others)


class ReferencePage(OpenAPIRenderPlugin):
    """The document as one page of plain HTML; Litestar's own pages load their scripts from the internet."""

    def __init__(self) -> None:
        super().__init__(path="/")
        self._page: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The page; made once, for anybody may ask for it."""
        if self._page is None:
            self._page = self._rendered(openapi_schema)
        return self._page

    def _rendered(self, openapi_schema: dict[str, Any]) -> bytes:
        from jinja2 import Environment, StrictUndefined

        page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        source = page.from_string(PAGE.read_text(encoding="utf-8"))
        return source.render(document=openapi_schema, kind=kind_of, rows=rows_of).encode()


class ReferenceDocument(JsonRenderPlugin):
    """The document itself."""

    def __init__(self) -> None:
        super().__init__(path="/openapi.json")
        self._document: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The document; made once, as the page."""
        if self._document is None:
            self._document = super().render(request, openapi_schema)
        return self._document


def kind_of(schema: dict[str, Any]) -> str:
    """What a schema takes, in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if choices := schema.get("oneOf") or schema.get("anyOf"):
        return " | ".join(dict.fromkeys(kind_of(choice) for choice in choices))
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {kind_of(schema.get('items', {}))}"
    named = " | ".join(kind) if isinstance(kind, list) else str(kind)  # pyright: ignore[reportUnknownArgumentType]
    return f"{named} ({schema['format']})" if "format" in schema else named


def rows_of(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The fields of an object's schema."""
    required = schema.get("required", [])
    fields: dict[str, dict[str, Any]] = schema.get("properties", {})
    return [
        {"name": name, "kind": kind_of(field), "required": name in required, "text": field.get("description", "")}
        for name, field in fields.items()
    ]


def _operations(app: Litestar) -> Iterator[tuple[str, HTTPRouteHandler, Operation]]:
    paths = app.openapi_schema.paths or {}
    for route in app.routes:
        if not isinstance(route, HTTPRoute) or route.path_format not in paths:
            continue
        item = paths[route.path_format]
        for handler in route.route_handlers:
            for method in handler.http_methods:
                operation: Operation | None = getattr(item, method.lower(), None)
                if operation is not None:
                    yield route.path_format, handler, operation


def _problem(description: str) -> OpenAPIResponse:
    schema = Reference(ref="#/components/schemas/Problem")
    return OpenAPIResponse(description=description, content={PROBLEM: OpenAPIMediaType(schema=schema)})


def _openai_error(description: str) -> OpenAPIResponse:
    schema = Reference(ref="#/components/schemas/OpenAIError")
    return OpenAPIResponse(description=description, content={"application/json": OpenAPIMediaType(schema=schema)})
