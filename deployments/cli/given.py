"""What people give commands: options that make up a model, texts that may come from files, beginnings of ids."""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import BaseModel

M = TypeVar("M", bound="BaseModel")

STDIN = "-"


def made_of(model: type[M], fields: Mapping[str, Any], *, fix: str, options: Mapping[str, str] | None = None) -> M:
    """A model of what the options of a command say.

    Args:
        model: The model.
        fields: What each of its fields is given.
        fix: How to put a wrong one right.
        options: Names of options, without dashes before them, where they are not those of the fields.

    Raises:
        BadInput: a value is not to be had; it names the option.
    """
    from pydantic import ValidationError

    from blocks.errors import BadInput

    try:
        return model(**fields)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        told = fault["msg"].removeprefix("Value error, ")
        if not fault["loc"]:
            raise BadInput(told, fix=fix) from None
        name = str(fault["loc"][0])
        option = f"--{(options or {}).get(name, name).replace('_', '-')}"
        raise BadInput(f"{option} is {fault['input']!r:.100}: {told}", fix=fix, field=option) from None


def text_or_stdin(text: str) -> str:
    """The text; all of standard input where it is `-`."""
    return sys.stdin.read() if text == STDIN else text


def text_of(path: Path, option: str) -> str:
    """A file's text, or that of standard input where the path is `-`. Raises `BadInput`."""
    from blocks.errors import BadInput

    try:
        return sys.stdin.read() if str(path) == STDIN else path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadInput(f"there is no file {path}", fix="name one that exists", field=option) from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read as text", fix="give a UTF-8 file", field=option) from error


def json_object(text: str, option: str) -> dict[str, Any]:
    """A JSON object. Raises `BadInput`."""
    from blocks.errors import BadInput

    try:
        value: Any = json.loads(text)
    except ValueError as error:
        raise BadInput(f"{option} is no JSON: {error}", fix="give a JSON object", field=option) from None
    if not isinstance(value, dict):
        raise BadInput(f"{option} is no JSON object", fix="give one, with everything by its name", field=option)
    return value  # pyright: ignore[reportUnknownVariableType]


def json_or_text(text: str) -> Any:
    """JSON where it is some, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def whole_id(beginning: str, ids: Iterable[str]) -> str:
    """The one id that begins so; what begins none is returned as it is. Raises `BadInput` where it begins several."""
    from blocks.errors import BadInput

    found = [one for one in ids if beginning and one.startswith(beginning)]
    if len(found) > 1:
        raise BadInput(f"{len(found)} ids begin with {beginning}", fix="give more of the id", field="ID")
    return found[0] if found else beginning
