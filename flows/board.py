"""A text in the Prefect UI that changes while a run goes on."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from uuid import UUID

from prefect.artifacts import acreate_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate

from blocks.progress import only_informing

EVERY_S = 1.0


@asynccontextmanager
async def board(key: str, text: Callable[[], str]) -> AsyncGenerator[None]:
    """Keep an artifact up to date until the block ends; a server that is away does not stop the run.

    Args:
        key: Of the artifact: `[a-z0-9-]`.
        text: Gives the text of the moment, as Markdown.
    """
    shown = text()
    artifact = await _made(key, shown)

    async def update() -> None:
        nonlocal shown
        if artifact is None or shown == (now := text()):
            return
        async with only_informing("board"), get_client() as client:
            await client.update_artifact(artifact, ArtifactUpdate(data=now))
            shown = now

    async def keep_up() -> None:
        while not ended.is_set():
            await update()
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await ended.wait()

    ended = asyncio.Event()
    keeper = asyncio.create_task(keep_up())
    try:
        yield
    finally:
        # Not cancelled: the server might see an update that was cut off after the last one.
        ended.set()
        await keeper
        await update()


async def _made(key: str, text: str) -> UUID | None:
    async with only_informing("board"):
        return await acreate_markdown_artifact(key=key, markdown=text)
    return None
