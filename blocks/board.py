"""A text or a table in the Prefect UI that changes while a run goes on."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from blocks.progress import PUBLISH_TIMEOUT_S, only_informing, repeated

EVERY_S = 1.0

Content = str | list[dict[str, Any]]
"""Markdown, or the rows of a table."""


class Board:
    """An artifact that shows the latest of what it is given; a server that is away does not stop the run.

    Args:
        key: Of the artifact: `[a-z0-9-]`.
        description: What it is about.
    """

    def __init__(self, key: str, description: str | None = None) -> None:
        self._key, self._description = key, description
        self._artifact: UUID | None = None
        self._shown: Content | None = None

    async def show(self, content: Content) -> None:
        """Show it, in place of what was shown; nothing happens when the server is away or refuses."""
        if content == self._shown:
            return
        async with only_informing("board", within_s=PUBLISH_TIMEOUT_S):
            if self._shown is None:
                self._artifact = await self._made(content)
            elif self._artifact is not None:
                await self._update(self._artifact, content)
            self._shown = content

    async def _made(self, content: Content) -> Any:
        from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact

        if isinstance(content, str):
            return await acreate_markdown_artifact(key=self._key, markdown=content, description=self._description)
        return await acreate_table_artifact(key=self._key, table=content, description=self._description)

    @staticmethod
    async def _update(artifact: UUID, content: Content) -> None:
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.actions import ArtifactUpdate

        data = content if isinstance(content, str) else json.dumps(content)
        async with get_client() as client:
            await client.update_artifact(artifact, ArtifactUpdate(data=data))


@asynccontextmanager
async def board(key: str, text: Callable[[], str]) -> AsyncGenerator[None]:
    """Keep an artifact up to date until the block ends.

    Args:
        key: Of the artifact: `[a-z0-9-]`.
        text: Gives the text of the moment, as Markdown.
    """
    shown = Board(key)

    async def show() -> None:
        await shown.show(text())

    async with repeated(show, EVERY_S):
        yield
