"""Summary templates: read by all, added, changed and removed by administrators, kept in the store."""

import json
from typing import Any

from litestar import MediaType, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody
from pydantic import Field

from blocks.errors import BadInput, Conflict, NotAllowed, NotFound
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.store.files import Files
from deployments.gateway.web.auth import needs
from tasks.llm.stored_templates import Parts, delete_stored, stored_version, write_stored
from tasks.llm.template import NAME, Template, is_fixed, list_templates, load_template
from tasks.llm.template_trial import MAX_PART_BYTES, try_template

MAX_BODY_BYTES = 4 * MAX_PART_BYTES
PROMPT = "Jinja source; may extend `base.jinja` or `base_vi.jinja`, and use transcript, language, schema, example."


class TemplateNotFound(NotFound):
    """There is no template of that name."""

    code = "TEMPLATE_NOT_FOUND"


class TemplateSummary(Frozen):
    """A template in a list."""

    id: str
    name: str
    description: str
    schema_url: str
    parameters: dict[str, Any] = Field(description="`language` of its field names, where it says so.")
    example: Any = None


class TemplateDetail(TemplateSummary):
    """A template with all it is made of."""

    prompt_template: str
    schema_data: dict[str, Any]


class Templates(Frozen):
    """All templates."""

    templates: tuple[TemplateSummary, ...]


class NewTemplate(Frozen):
    """A template to be added."""

    id: str = Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=64)
    schema_data: dict[str, Any] = Field(description="JSON Schema of an object: the form of the summary.")
    prompt_template: str = Field(min_length=1, max_length=MAX_PART_BYTES, description=PROMPT)
    example: dict[str, Any] | None = Field(default=None, description="A summary that fits the schema.")


class TemplateChange(Frozen):
    """What is to change of a template; what is left out stays."""

    id: str | None = Field(default=None, description="May be repeated; a template keeps its id.")
    schema_data: dict[str, Any] | None = None
    prompt_template: str | None = Field(default=None, min_length=1, max_length=MAX_PART_BYTES, description=PROMPT)
    example: dict[str, Any] | None = None


@get(
    "/v1/templates",
    opt=needs("read"),
    operation_id="listTemplates",
    summary="All summary templates",
    tags=["templates"],
)
async def list_all() -> Templates:
    """List ours, those of this machine's folder, and those added here."""
    return Templates(templates=tuple(_summary(template) for template in await in_thread(list_templates)))


@get(
    "/v1/templates/{template_id:str}",
    opt=needs("read"),
    operation_id="readTemplate",
    summary="One template with its schema and prompt",
    tags=["templates"],
)
async def read_one(template_id: FromPath[str]) -> TemplateDetail:
    """Read a template."""
    return _detail(await _load(template_id))


@get(
    "/v1/templates/{template_id:str}/schema",
    opt=needs("read"),
    operation_id="readTemplateSchema",
    summary="The JSON Schema of a template",
    tags=["templates"],
    responses={
        200: ResponseSpec(
            dict, generate_examples=False, media_type="application/schema+json", description="The schema."
        )
    },
)
async def read_schema(template_id: FromPath[str]) -> Response[dict[str, Any]]:
    """Read the schema that summaries by this template fit."""
    return Response((await _load(template_id)).schema_, media_type="application/schema+json")


@post(
    "/v1/templates",
    opt=needs("admin"),
    operation_id="addTemplate",
    summary="Add a template",
    tags=["templates"],
    request_max_body_size=MAX_BODY_BYTES,
)
async def add(data: JSONBody[NewTemplate], files: NamedDependency[Files]) -> TemplateDetail:
    """Add a template for all machines of this service.

    It is tried first: its schema must be one, its prompt render and hold the transcript, its example fit.
    """
    if await in_thread(is_fixed, data.id) or await in_thread(stored_version, data.id, files) is not None:
        raise Conflict(f"there is a template {data.id} already", fix="choose another id, or change it with PUT")
    parts = _parts(data.schema_data, data.prompt_template, data.example)
    return await _keep(files, data.id, parts, None)


@put(
    "/v1/templates/{template_id:str}",
    opt=needs("admin"),
    operation_id="changeTemplate",
    summary="Change a template",
    tags=["templates"],
    request_max_body_size=MAX_BODY_BYTES,
)
async def change(
    data: JSONBody[TemplateChange], template_id: FromPath[str], files: NamedDependency[Files]
) -> TemplateDetail:
    """Change parts of a template that was added here; the whole is tried again first."""
    if data.id not in (None, template_id):
        raise BadInput("a template keeps its id", fix="leave id out, or add another template", field="id")
    await _check_changeable(template_id)
    version = await _version(template_id, files)
    return await _keep(files, template_id, await _changed(data, template_id), version)


@delete(
    "/v1/templates/{template_id:str}",
    opt=needs("admin"),
    status_code=200,
    operation_id="removeTemplate",
    summary="Remove a template",
    tags=["templates"],
    responses={200: ResponseSpec(None, generate_examples=False, description="It is gone.")},
)
async def remove(template_id: FromPath[str], files: NamedDependency[Files]) -> Response[bytes]:
    """Remove a template that was added here; what was made with it stays."""
    await _check_changeable(template_id)
    await _version(template_id, files)
    await in_thread(delete_stored, template_id, files)
    return Response(b"", media_type=MediaType.TEXT)  # empty, as the reference has it; None would become `null`


async def _changed(data: TemplateChange, template_id: str) -> Parts:
    """The parts of a template after a change; one that cannot be read any more takes a change of all of them."""
    if data.schema_data is not None and data.prompt_template is not None and "example" in data.model_fields_set:
        return _parts(data.schema_data, data.prompt_template, data.example)
    before = await _load(template_id)
    return _parts(
        before.schema_ if data.schema_data is None else data.schema_data,
        before.prompt if data.prompt_template is None else data.prompt_template,
        data.example if "example" in data.model_fields_set else before.example,
    )


async def _version(template_id: str, files: Files) -> str:
    """The version of a template of the store, which may be broken. Raises `TemplateNotFound`."""
    version = await in_thread(stored_version, template_id, files) if NAME.fullmatch(template_id) else None
    if version is None:
        raise _no_template(template_id)
    return version


async def _load(template_id: str) -> Template:
    try:
        return await in_thread(load_template, template_id)
    except NotFound:
        raise _no_template(template_id) from None


def _no_template(template_id: str) -> TemplateNotFound:
    return TemplateNotFound(f"there is no template {template_id[:64]!r}", fix="choose one of GET /v1/templates")


async def _check_changeable(template_id: str) -> None:
    if await in_thread(is_fixed, template_id):
        raise NotAllowed(
            f"the template {template_id} belongs to this machine and stays as it is",
            fix="add your own with POST /v1/templates",
        )


async def _keep(files: Files, name: str, parts: Parts, version: str | None) -> TemplateDetail:
    if problems := await in_thread(try_template, name, parts):
        raise BadInput(f"the template cannot be used: {problems[0]}", fix="correct the faults", faults=problems)
    await in_thread(write_stored, name, parts, version, files)
    return _detail(await _load(name))


def _parts(schema: dict[str, Any], prompt: str, example: Any) -> Parts:
    try:
        return {
            "schema.json": json.dumps(schema, ensure_ascii=False, indent=2).encode(),
            "prompt.jinja": prompt.encode(),
            "example.json": json.dumps(example, ensure_ascii=False, indent=2).encode(),
        }
    except UnicodeEncodeError as error:
        raise BadInput("the template holds text that is no Unicode", fix="send UTF-8") from error


def _summary(template: Template) -> TemplateSummary:
    return TemplateSummary(**_shown(template))


def _detail(template: Template) -> TemplateDetail:
    return TemplateDetail(**_shown(template), prompt_template=template.prompt, schema_data=template.schema_)


def _shown(template: Template) -> dict[str, Any]:
    title = template.schema_.get("title")
    return {
        "id": template.name,
        "name": title if isinstance(title, str) and title else template.name,
        "description": template.description,
        "schema_url": f"/v1/templates/{template.name}/schema",
        "parameters": {"language": template.language} if template.language else {},
        "example": template.example,
    }


handlers = [list_all, read_one, read_schema, add, change, remove]
