"""The operators' channels: where reports, briefings and messages of operations go."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog
from pydantic import Field, SecretStr, TypeAdapter, field_validator

from blocks.errors import BadInput, C500Error
from blocks.escalation.chain import Chain, channel_kind, checked_channels
from blocks.escalation.deliver import Undelivered, check_channel, deliver
from blocks.model import Frozen
from blocks.settings import settings
from blocks.yaml_file import read_yaml

FIX = "correct OPERATIONS_CHANNELS_FILE; docs/operations.md shows its form"
UNSET = "no channel is set (OPERATIONS_CHANNELS_FILE)"

log = structlog.stdlib.get_logger("c500")


class _Listed(Frozen):
    """The file: `channels: [...]`, each as in the escalation file."""

    channels: tuple[SecretStr, ...] = Field(min_length=1)

    @field_validator("channels")
    @classmethod
    def _channels_have_a_form(cls, channels: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        return checked_channels(channels)


LISTED: TypeAdapter[_Listed] = TypeAdapter(_Listed)
LEVELS: TypeAdapter[Chain] = TypeAdapter(Chain)


class Posted(Frozen):
    """What became of a message to the operators.

    Attributes:
        channels: How many there are.
        taken: How many of them took it.
        why: Why there is none, or one did not take it.
    """

    channels: int = 0
    taken: int = 0
    why: str = ""

    @property
    def told(self) -> str:
        """Where it went, in words."""
        if not self.taken:
            return self.why or UNSET
        if self.taken < self.channels:
            return f"given to {self.taken} of {self.channels} channels: {self.why}"
        return "given to the operators' channels"


def read_channels(path: Path) -> tuple[SecretStr, ...]:
    """The channels of a file: `channels: [...]`; of one in the form of the escalation file those of its first level.

    Raises:
        NotFound: there is no such file.
        BadInput: it is wrong; each fault with its line, never with an address.
    """
    read = read_yaml(
        path.expanduser(), fix=FIX, field="OPERATIONS_CHANNELS_FILE", absent="correct the path, or unset it"
    )
    if isinstance(read.content, dict) and "levels" in read.content:
        return read.read_as(LEVELS).levels[0].channels
    return read.read_as(LISTED).channels


def check_channels(path: Path) -> str:
    """See whether messages could be sent over the channels of a file; their kinds.

    Raises:
        NotFound, BadInput: the file is not there or wrong, or one of its channels cannot be used; nothing is sent.
    """
    channels = read_channels(path)
    for channel in channels:
        try:
            check_channel(channel)
        except Undelivered as error:
            raise BadInput(f"{path}: channel {channel_kind(channel)}: {error.message}", fix=FIX) from None
    return ", ".join(map(channel_kind, channels))


async def post_to_operators(subject: str, body: str, redact: Callable[[str], str]) -> Posted:
    """Send a message over the channels of OPERATIONS_CHANNELS_FILE; one that is lost stops nothing.

    Returns:
        What became of it: a file that is wrong, and a channel that does not take it, are no errors to whoever sends.
    """
    subject, body = redact(subject), redact(body)
    log.info("operations_tell", subject=subject)
    if (file := settings().operations_channels_file) is None:
        return Posted(why=UNSET)
    try:
        channels = read_channels(file)
    except C500Error as error:
        log.warning("operations_message_lost", error=error.message)
        return Posted(why=f"the channels cannot be used: {error.message.splitlines()[0]}")

    async def send(channel: SecretStr) -> str:
        try:
            await deliver(channel, subject, body)
        except Undelivered as error:
            log.warning("operations_message_lost", channel=channel_kind(channel), error=error.message)
            return f"{channel_kind(channel)}: {error.message}"
        return ""

    faults = [fault for fault in await asyncio.gather(*(send(channel) for channel in channels)) if fault]
    return Posted(channels=len(channels), taken=len(channels) - len(faults), why="; ".join(faults)[:500])
