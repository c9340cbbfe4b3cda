"""Messages on their way: by Apprise, or by a notification block of Prefect."""

import asyncio
import inspect
import os
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import SecretStr

from blocks.errors import EngineUnavailable
from blocks.escalation.chain import BLOCK, ENVIRONMENT

SEND_S = 20.0
"""The longest that sending one message may take."""

Deliver = Callable[[SecretStr, str, str], Awaitable[None]]
"""Takes channel, subject and body. Raises `Undelivered`."""


class Undelivered(EngineUnavailable):
    """A message was not taken; it may have arrived all the same."""

    code = "UNDELIVERED"


async def deliver(channel: SecretStr, subject: str, body: str) -> None:
    """Send one message.

    Raises:
        Undelivered: it was not taken; without the channel's address, which may hold a key.
    """
    address = channel.get_secret_value()
    try:
        async with asyncio.timeout(SEND_S):
            if address.startswith(BLOCK):
                await _by_block(address.removeprefix(BLOCK), subject, body)
            else:
                await _by_apprise(_resolved(address), subject, body)
    except TimeoutError:
        raise _undelivered(f"it was not taken within {SEND_S:.0f} s") from None
    except Undelivered:
        raise
    except Exception as error:  # noqa: BLE001 - a typed error follows
        # Plugins and blocks are other people's code, and what they raise may quote the address.
        raise _undelivered(f"it could not be sent: {type(error).__name__}") from None


def check_channel(channel: SecretStr) -> None:
    """Look whether a message could be sent over a channel; a block of Prefect is taken as it is, since it lies there.

    Raises:
        Undelivered: there is no such kind of address, or its variable is not set.
    """
    address = channel.get_secret_value()
    if not address.startswith(BLOCK):
        _sender(_resolved(address))


def _sender(address: str) -> Any:
    """Who sends to an address; its types are incomplete. Raises `Undelivered`."""
    from apprise import Apprise

    sender: Any = Apprise()
    if not sender.add(address):
        raise _undelivered("Apprise does not know such an address")
    return sender


async def _by_apprise(address: str, subject: str, body: str) -> None:
    from apprise import NotifyFormat

    sender = _sender(address)
    if not await sender.async_notify(body=body, title=subject, body_format=NotifyFormat.TEXT):
        raise _undelivered("the other side refused it, or was not reached")


async def _by_block(slug: str, subject: str, body: str) -> None:
    from prefect.blocks.abstract import NotificationBlock
    from prefect.blocks.core import Block

    block: Any = await Block.aload(slug)
    if not isinstance(block, NotificationBlock):
        raise _undelivered(f"the block {slug} sends no messages")
    with block.raise_on_failure():
        sent: Any = block.notify(body, subject)
        if inspect.isawaitable(sent):
            await sent


def _resolved(address: str) -> str:
    if not address.startswith(ENVIRONMENT):
        return address
    name = address.removeprefix(ENVIRONMENT)
    if not (found := os.environ.get(name, "").strip()):
        raise _undelivered(f"the environment variable {name} is not set")
    return found


def _undelivered(what: str) -> Undelivered:
    return Undelivered(what, fix="look at the channel in the file of the escalation chain")
