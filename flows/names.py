"""What people see in lists of runs: the file, not the flow."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from prefect.context import FlowRunContext
from prefect.runtime import flow_run

from blocks.runs.record import SOURCE_NAME

LONGEST_NAME = 80
"""Characters of a run's name; a table of runs shows about as many."""

GIVEN_TEXT = "text"
"""Name of a text that came without one."""


def run_name() -> str:
    """Name of the flow run in hand: the file as its owner calls it, else what the parameters name."""
    context = FlowRunContext.get()
    labels: Mapping[str, Any] = context.flow_run.labels if context and context.flow_run else {}
    given = labels.get(SOURCE_NAME)
    return plain(str(given)) if given else name_of_parameters(flow_run.parameters)


def name_of_parameters(parameters: Mapping[str, Any]) -> str:
    """What a run of these parameters works on."""
    if sources := parameters.get("sources"):
        return _name_of_all([str(source) for source in sources])
    if name := parameters.get("source_name"):
        return plain(str(name))
    if source := parameters.get("source"):
        return name_of_source(str(source))
    return GIVEN_TEXT


def name_of_source(source: str) -> str:
    """The last part of a path or address, without query, password or anything a list cannot show."""
    path = source
    scheme, found, _ = source.partition("://")
    if found:
        try:
            parts = urlsplit(source) if scheme.lower() in ("http", "https") else None
        except ValueError:
            return plain(scheme)
        path = (unquote(parts.path).strip("/") or parts.hostname or scheme) if parts else source
    return plain(path.rstrip("/").rsplit("/", 1)[-1])


def plain(name: str) -> str:
    """The name on one line of printable characters, shortened in the middle so that its ending stays."""
    shown = " ".join("".join(char if char.isprintable() else " " for char in name).split())
    if len(shown) > LONGEST_NAME:
        half = LONGEST_NAME // 2
        shown = f"{shown[: half - 1]}…{shown[-half:]}"
    return shown or "unnamed"


def _name_of_all(sources: Sequence[str]) -> str:
    first = name_of_source(sources[0])
    return first if len(sources) == 1 else f"{first} and {len(sources) - 1} more"
