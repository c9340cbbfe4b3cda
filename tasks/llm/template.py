"""Summary templates: a folder each with `schema.json`, `prompt.jinja` and `example.json`, or the same in the store."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import structlog

from blocks.errors import BadInput, C500Error, NotFound
from blocks.job import JobOptions
from blocks.language.validation import problems_of, schema_problems
from blocks.model import Frozen
from blocks.settings import settings
from tasks.llm.prompt_rules import prompt_problems
from tasks.llm.stored_templates import PARTS, Parts, read_stored, stored_names

OURS = Path(__file__).parent / "templates"
SCHEMA, PROMPT, EXAMPLE = PARTS
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Template(Frozen):
    """What a summary is to look like.

    Attributes:
        name: The folder's name.
        description: One line, from the schema.
        language: ISO 639-1 code of its field names and prompt, from the schema's `x-language`.
        schema_: JSON Schema of the summary.
        prompt: Jinja source of the prompt.
        example: A summary that fits the schema; None when a template of the store has none.
        sha256: Hash over its three files and the base they extend.
        path: The folder, None for a template of the store.
    """

    name: str
    description: str
    language: str | None
    schema_: dict[str, Any]
    prompt: str
    example: Any
    sha256: str
    path: str | None


def list_templates() -> list[Template]:
    """All templates that can be read, by name; one of the user's folders hides one of ours. Logs the others."""
    templates, broken = read_templates()
    for name, error in broken.items():
        structlog.stdlib.get_logger("c500").warning("template passed over", template=name, error=error.message)
    return templates


def read_templates() -> tuple[list[Template], dict[str, C500Error]]:
    """All templates by name, and what is wrong with those that cannot be read."""
    names = {folder.name for root in _roots() if root.is_dir() for folder in root.iterdir() if _is_template(folder)}
    templates: list[Template] = []
    broken: dict[str, C500Error] = {}
    for name in sorted(names.union(filter(NAME.fullmatch, stored_names()))):
        try:
            templates.append(load_template(name))
        except NotFound:
            continue  # removed since we looked
        except C500Error as error:
            broken[name] = error
    return templates, broken


def load_template(name: str) -> Template:
    """The template of that name: the user's own folder, else ours, else the store's.

    Raises:
        NotFound: there is none.
        BadInput: its files are missing or no JSON, or its prompt does what those of the store may not.
    """
    if NAME.fullmatch(name):
        for root in _roots():
            if _is_template(root / name):
                return _load(root / name)
        if (stored := read_stored(name)) is not None:
            return checked_template(name, stored[0])
    raise NotFound(f"there is no template {name!r}", fix="choose one of `c500 templates list`", field="template")


def is_fixed(name: str) -> bool:
    """Whether the template lies in a folder of this machine, and so cannot be changed over the network."""
    return any(_is_template(root / name) for root in _roots())


def template_asked_for(options: JobOptions) -> str | None:
    """Hash of the template the options name, None when they ask for no summary. Raises `NotFound`."""
    return load_template(options.template).sha256 if "summary" in options.features else None


def render(template: Template, transcript: str, language: str) -> str:
    """The prompt for a text."""
    example = "-" if template.example is None else json.dumps(template.example, ensure_ascii=False, indent=2)
    return (
        _environment(template.path)
        .from_string(template.prompt)
        .render(
            transcript=transcript.replace("</", "< /"),  # it cannot close the marks around it
            language=language,
            schema=json.dumps(template.schema_, ensure_ascii=False, indent=2),
            example=example,
        )
    )


def check_template(folder: Path) -> list[str]:
    """What is wrong with a template in a folder, one line each; empty when it can be used."""
    if not NAME.fullmatch(folder.name):
        return [f"{folder.name!r}: a name may hold up to 64 letters, digits, _ and - only"]
    try:
        return template_problems(_load(folder))
    except BadInput as error:
        return [f"{error.message} ({error.fix})"]


def template_problems(template: Template) -> list[str]:
    """What is wrong with a template, one line each; empty when it can be used."""
    return [*_schema_problems(template), *_prompt_problems(template)]


def checked_template(name: str, parts: Parts) -> Template:
    """The template of files that came over the network. Raises `BadInput` where its prompt breaks the rules."""
    template = _template(name, parts, None)
    if problems := prompt_problems(template.prompt):
        raise BadInput(f"template {name}: {problems[0]}", fix="see `prompt_rules`", problems=problems)
    return template


def _schema_problems(template: Template) -> list[str]:
    if problems := schema_problems(template.schema_):
        return [f"schema.json {problem}" for problem in problems]
    if template.path is None and template.example is None:
        return []
    return [f"example.json: {problem}" for problem in problems_of(template.example, template.schema_)]


def _prompt_problems(template: Template) -> list[str]:
    from jinja2 import TemplateError

    try:
        if b"A line." not in render(template, "A line.", "en").encode():
            return ["prompt.jinja does not contain the transcript"]
    except TemplateError as error:
        return [f"prompt.jinja cannot be rendered: {error.message or type(error).__name__}"]
    except Exception as error:  # noqa: BLE001 - whatever an expression raises: a division, a number too long
        return [f"prompt.jinja cannot be rendered: {type(error).__name__}: {error}"]
    return []


def _roots() -> list[Path]:
    """Where templates lie, the user's first."""
    own = settings().llm_templates_dir
    return [own.expanduser(), OURS] if own else [OURS]


def _is_template(folder: Path) -> bool:
    return NAME.fullmatch(folder.name) is not None and folder.name[0] != "_" and (folder / SCHEMA).is_file()


def _load(folder: Path) -> Template:
    contents: Parts = {}
    for file in PARTS:
        path = folder / file
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            raise BadInput(f"template {folder.name} has no {file}", fix=f"add {file} to {folder}")
        contents[file] = path.read_bytes()
    return _template(folder.name, contents, folder)


def _template(name: str, contents: Parts, folder: Path | None) -> Template:
    try:
        schema, example = (json.loads(contents[file]) for file in (SCHEMA, EXAMPLE))
        prompt = contents[PROMPT].decode()
    except (ValueError, RecursionError) as error:
        raise BadInput(f"template {name}: {error}", fix="correct its JSON") from error
    if not isinstance(schema, dict):
        raise BadInput(f"template {name}: schema.json is no object", fix="give a JSON Schema")
    fields: dict[str, Any] = schema  # pyright: ignore[reportUnknownVariableType]
    language = fields.get("x-language")
    base = b"".join(path.read_bytes() for path in sorted((OURS / "_base").glob("*.jinja")))
    return Template(
        name=name,
        description=str(fields.get("description", "")),
        language=language if isinstance(language, str) else None,
        schema_=fields,
        prompt=prompt,
        example=example,
        sha256=hashlib.sha256(b"\0".join([*(contents[file] for file in PARTS), base])).hexdigest(),
        path=str(folder) if folder else None,
    )


def _environment(folder: str | None) -> Any:
    """Jinja that can do no harm and calls a missing variable an error."""
    from jinja2 import FileSystemLoader, StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    return SandboxedEnvironment(
        loader=FileSystemLoader([*([folder] if folder else []), OURS / "_base"]),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
