"""What commands print: JSON for programs, moments for people."""

import json
from datetime import datetime
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


def echo_json(value: Any) -> None:
    """Print a value as JSON; models and moments within it, too.

    Halves of characters, which texts of models may hold and no terminal takes, come as JSON's escapes.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, default=_jsonable)
    typer.echo(text.encode("utf-8", "backslashreplace").decode())


def _jsonable(value: object) -> Any:
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value)


def local_time(moment: datetime) -> str:
    """A moment as the clock on the wall shows it, to the minute."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
