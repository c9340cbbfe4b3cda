"""The chain: levels of people, how each is told, and how long each has before the next is."""

import hashlib
import re
from pathlib import Path

from pydantic import Field, SecretStr, TypeAdapter, field_validator

from blocks.faults import Fault, faulty
from blocks.model import Frozen
from blocks.yaml_file import read_yaml

ENVIRONMENT = "env:"
BLOCK = "block:"
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*(?=://)", re.IGNORECASE)
BLOCK_SLUG = re.compile(r"block:[a-z0-9-]+/[a-z0-9-]+")
VARIABLE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*")


class Level(Frozen):
    """One level.

    Attributes:
        name: For people, and for the record of who was told.
        channels: Each an address of Apprise (`slack://…`, `mailto://…`, `json://host/path`), the name of an
            environment variable that holds one (`env:NAME`), or a notification block of Prefect
            (`block:slack-webhook/ops`). An address may hold a key, and is never shown.
        acknowledge_within_s: Seconds from its first message to the next level's, unless somebody acknowledges.
    """

    name: str = Field(min_length=1, max_length=100)
    channels: tuple[SecretStr, ...] = Field(min_length=1)
    acknowledge_within_s: float = Field(gt=0, le=30 * 86_400, allow_inf_nan=False)

    @field_validator("channels")
    @classmethod
    def _channels_have_a_form(cls, channels: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        return checked_channels(channels)


class Chain(Frozen):
    """The levels, first to be told first."""

    levels: tuple[Level, ...] = Field(min_length=1)

    @field_validator("levels")
    @classmethod
    def _names_differ(cls, levels: tuple[Level, ...]) -> tuple[Level, ...]:
        names = [level.name for level in levels]
        if twice := [number for number, name in enumerate(names) if name in names[:number]]:
            raise faulty([Fault((number, "name"), "another level has this name") for number in twice])
        return levels


def read_chain(path: Path) -> Chain:
    """The chain of a YAML file.

    Raises:
        NotFound: there is no such file.
        BadInput: it is wrong; each fault with its line, never with an address.
    """
    fix = "correct the file; docs/agents/approvals.md shows its form"
    return read_yaml(path.expanduser(), fix=fix, field="escalation_file").read_as(TypeAdapter(Chain))


def channel_id(channel: SecretStr) -> str:
    """Names a channel in records; tells nothing of its address."""
    return hashlib.sha256(channel.get_secret_value().encode()).hexdigest()[:12]


def channel_kind(channel: SecretStr) -> str:
    """What people may see of a channel: its kind, or the name of its block or variable."""
    address = channel.get_secret_value()
    scheme = SCHEME.match(address)
    return f"{scheme[0].lower()}://…" if scheme else address


def checked_channels(channels: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    """Channels, each of which has a form. Raises `ValueError` with each that has none, for validators."""
    if wrong := [number for number, one in enumerate(channels) if not _is_channel(one.get_secret_value())]:
        form = "here belongs an address as json://host/path, env:NAME, or block:TYPE/NAME"
        raise faulty([Fault((number,), form) for number in wrong])
    return channels


def _is_channel(address: str) -> bool:
    return bool(SCHEME.match(address) or BLOCK_SLUG.fullmatch(address) or VARIABLE.fullmatch(address))
