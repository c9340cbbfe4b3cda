"""A place for tools to work in, and a way to use them as an agent's call does."""

from collections.abc import Awaitable, Callable, Iterable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from blocks.action import Touched
from blocks.redact import Redactor
from blocks.sandbox import open_sandbox
from blocks.trash import Trash
from blocks.workspace import Workspace
from tasks.agents.tool import Call, Place, Tool

Use = Callable[..., Awaitable[Any]]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A workspace in `tmp_path/workspace`, with a real sandbox and a real trash."""
    folders = [tmp_path / name for name in ("workspace", "trash", "private")]
    for folder in folders:
        folder.mkdir()
    return Place(
        workspace=Workspace(folders[0]),
        sandbox=open_sandbox("bubblewrap"),
        trash=Trash(folders[1]),
        redactor=Redactor(),
        private=folders[2],
    )


@pytest.fixture
def folder(place: Place) -> Path:
    """The workspace's folder."""
    return place.workspace.root


class Hand:
    """Uses tools as a call of an agent does: arguments checked, what they touch asked for, then the call."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._numbers = count()

    def call(self, call_id: str | None = None) -> Call:
        return Call(
            run_id="00ff00ff00ff00ff",
            call_id=call_id or f"call-{next(self._numbers)}",
            agent="operator",
            user="lan",
            place=self.place,
        )

    def touches(self, tool: Tool[Any], **arguments: Any) -> Touched:
        return tool.touches(tool.arguments.model_validate(arguments), self.place)

    async def use(self, tool: Tool[Any], call_id: str | None = None, **arguments: Any) -> Any:
        checked = tool.arguments.model_validate(arguments)
        tool.touches(checked, self.place)
        return await tool.call(checked, self.call(call_id))

    async def preview(self, tool: Tool[Any], **arguments: Any) -> str:
        assert tool.preview is not None
        return await tool.preview(tool.arguments.model_validate(arguments), self.call())


@pytest.fixture
def hand(place: Place) -> Hand:
    return Hand(place)


def by_name(tools: Iterable[Tool[Any]]) -> dict[str, Tool[Any]]:
    return {tool.name: tool for tool in tools}
