"""Summary templates: a folder each with `schema.json`, `prompt.jinja` and `example.json`."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from blocks.errors import BadInput, NotFound
from blocks.job import JobOptions
from blocks.model import Frozen
from blocks.settings import settings

OURS = Path(__file__).parent / "templates"
FILES = ("schema.json", "prompt.jinja", "example.json")
NAME = re.compile(r"[A-Za-z0-9_-]+")


class Template(Frozen):
    """What a summary is to look like.

    Attributes:
        name: The folder's name.
        description: One line, from the schema.
        language: ISO 639-1 code of its field names and prompt, from the schema's `x-language`.
        schema_: JSON Schema of the summary.
        prompt: Jinja source of the prompt.
        example: A summary that fits the schema.
        sha256: Hash over its three files and the base they extend.
        path: The folder.
    """

    name: str
    description: str
    language: str | None
    schema_: dict[str, Any]
    prompt: str
    example: Any
    sha256: str
    path: str


def list_templates() -> list[Template]:
    """All templates by name; one of the user's hides one of ours."""
    names = {
        folder.name
        for root in _roots()
        if root.is_dir()
        for folder in root.iterdir()
        if NAME.fullmatch(folder.name) and (folder / FILES[0]).is_file() and not folder.name.startswith("_")
    }
    return [load_template(name) for name in sorted(names)]


def load_template(name: str) -> Template:
    """The template of that name.

    Raises:
        NotFound: there is none.
        BadInput: its files are missing or no JSON.
    """
    if NAME.fullmatch(name):
        for root in _roots():
            if (root / name / FILES[0]).is_file():
                return _load(root / name)
    raise NotFound(f"there is no template {name!r}", fix="choose one of `c500 templates list`", field="template")


def template_asked_for(options: JobOptions) -> str | None:
    """Hash of the template the options name, None when they ask for no summary. Raises `NotFound`."""
    return load_template(options.template).sha256 if "summary" in options.features else None


def render(template: Template, transcript: str, language: str) -> str:
    """The prompt for a text."""
    return (
        _environment(Path(template.path))
        .from_string(template.prompt)
        .render(
            transcript=transcript.replace("</", "< /"),  # it cannot close the marks around it
            language=language,
            schema=json.dumps(template.schema_, ensure_ascii=False, indent=2),
            example=json.dumps(template.example, ensure_ascii=False, indent=2),
        )
    )


def check_template(folder: Path) -> list[str]:
    """What is wrong with a template, one line each; empty when it can be used."""
    from jinja2 import TemplateError
    from jsonschema import SchemaError
    from jsonschema.validators import validator_for

    if not NAME.fullmatch(folder.name):
        return [f"{folder.name!r}: a name may hold letters, digits, _ and - only"]
    try:
        template = _load(folder)
    except BadInput as error:
        return [f"{error.message} ({error.fix})"]
    problems: list[str] = []
    try:
        validator_for(template.schema_).check_schema(template.schema_)
        faults = validator_for(template.schema_)(template.schema_).iter_errors(template.example)
        problems += [f"example.json: {fault.message}" for fault in faults]
    except SchemaError as error:
        problems.append(f"schema.json is no JSON Schema: {error.message}")
    if template.schema_.get("type") != "object":
        problems.append("schema.json: a summary must be of type object")
    try:
        if "A line." not in render(template, "A line.", "en"):
            problems.append("prompt.jinja does not contain the transcript")
    except TemplateError as error:
        problems.append(f"prompt.jinja cannot be rendered: {error.message or type(error).__name__}")
    return problems


def _roots() -> list[Path]:
    """Where templates lie, the user's first."""
    own = settings().llm_templates_dir
    return [own.expanduser(), OURS] if own else [OURS]


def _load(folder: Path) -> Template:
    contents: dict[str, bytes] = {}
    for file in FILES:
        path = folder / file
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            raise BadInput(f"template {folder.name} has no {file}", fix=f"add {file} to {folder}")
        contents[file] = path.read_bytes()
    try:
        schema, example = (json.loads(contents[file]) for file in (FILES[0], FILES[2]))
        prompt = contents[FILES[1]].decode()
    except ValueError as error:
        raise BadInput(f"template {folder.name}: {error}", fix="correct its JSON") from error
    if not isinstance(schema, dict):
        raise BadInput(f"template {folder.name}: schema.json is no object", fix="give a JSON Schema")
    fields: dict[str, Any] = schema  # pyright: ignore[reportUnknownVariableType]
    base = b"".join(path.read_bytes() for path in sorted((OURS / "_base").glob("*.jinja")))
    return Template(
        name=folder.name,
        description=str(fields.get("description", "")),
        language=fields.get("x-language"),
        schema_=fields,
        prompt=prompt,
        example=example,
        sha256=hashlib.sha256(b"\0".join([*contents.values(), base])).hexdigest(),
        path=str(folder),
    )


def _environment(folder: Path) -> Any:
    """Jinja that can do no harm and calls a missing variable an error."""
    from jinja2 import FileSystemLoader, StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    return SandboxedEnvironment(
        loader=FileSystemLoader([folder, OURS / "_base"]),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
