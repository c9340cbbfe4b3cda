"""Telling the operators what an agent does that rules want them to know; a message that is lost stops nothing."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from pydantic import SecretStr

from blocks.escalation.chain import channel_kind, read_chain
from blocks.escalation.deliver import Undelivered, deliver
from tasks.agents.opened import Notify

log = structlog.stdlib.get_logger("c500")


@asynccontextmanager
async def notices(file: Path | None) -> AsyncGenerator[Notify]:
    """A way to tell the operators: over the first level of ESCALATION_FILE, and in the log.

    Messages are sent beside the run; when the block ends, those on their way are waited for.

    Raises:
        NotFound, BadInput: the file is not there, or wrong.
    """
    channels = () if file is None else read_chain(file).levels[0].channels
    sending: set[asyncio.Task[None]] = set()

    async def tell(text: str) -> None:
        log.warning("agent_tells", text=text)
        for channel in channels:
            task = asyncio.create_task(_send(channel, text))
            sending.add(task)
            task.add_done_callback(sending.discard)

    try:
        yield tell
    finally:
        await asyncio.gather(*sending)


async def _send(channel: SecretStr, text: str) -> None:
    try:
        await deliver(channel, "An agent tells", text)
    except Undelivered as error:
        log.warning("agent_notice_lost", channel=channel_kind(channel), error=error.message)
