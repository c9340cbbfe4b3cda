"""What MCP servers said of their tools when a person took them in, so that nothing else is put before a model later.

A server can describe a tool harmlessly until it is trusted, and then write instructions for the model into its
description («rug pull»). So a tool whose description or schema changed is not offered until somebody accepts it.
"""

import fcntl
import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from blocks.action import hash_of
from blocks.errors import Conflict, NotFound, StoreFailed
from blocks.model import Frozen
from blocks.whole_file import write_whole

Said = dict[str, Any]
"""A tool as its server describes it: name, title, description and schemas, JSON."""


class Pin(Frozen):
    """A tool of a server.

    Attributes:
        accepted: SHA-256 of what was accepted, hexadecimal; None where nothing was.
        seen: What the server says now, where that is something else.
    """

    accepted: str | None
    seen: Said | None = None


class _PinFile(Frozen):
    servers: dict[str, dict[str, Pin]] = Field(default_factory=dict[str, dict[str, Pin]])


class Pins:
    """The tools that were accepted, in a file.

    Args:
        path: The file; its folder must exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def hold(self, server: str, said: Mapping[str, Said]) -> set[str]:
        """Hold what a server says against what was accepted; all that a new server says is accepted.

        Args:
            server: Its name.
            said: Its tools by name.

        Returns:
            The names of the tools that are new or changed, and so not to be offered.

        Raises:
            StoreFailed: the file cannot be read or written.
        """
        with self._changing() as servers:
            is_new = server not in servers
            pins = servers.setdefault(server, {})
            for name, tool in said.items():
                now = hash_of(name, tool)
                pin = pins.get(name)
                if is_new or (pin is not None and pin.accepted == now):
                    pins[name] = Pin(accepted=now)
                else:
                    pins[name] = Pin(accepted=pin.accepted if pin else None, seen=tool)
            return {name for name in said if pins[name].seen is not None}

    def waiting(self) -> dict[str, dict[str, Said]]:
        """What servers say of tools that nobody accepted yet, by server and tool. Raises `StoreFailed`."""
        return {
            server: found
            for server, pins in self._read().items()
            if (found := {name: pin.seen for name, pin in pins.items() if pin.seen is not None})
        }

    def waiting_of(self, server: str, tool: str | None = None) -> dict[str, Said]:
        """What a server says of its tools that nobody accepted yet.

        Args:
            server: Its name.
            tool: One of its tools; None for all that wait.

        Raises:
            NotFound: nothing waits there.
            StoreFailed: the file cannot be read.
        """
        said = self.waiting().get(server, {})
        if not (found := {name: one for name, one in said.items() if tool in (None, name)}):
            what = f"tool {tool!r} of MCP server {server!r}" if tool else f"tool of MCP server {server!r}"
            raise NotFound(f"no {what} waits to be accepted", fix="start an agent that uses it, then look again")
        return found

    def accept(self, server: str, said: Mapping[str, Said]) -> list[str]:
        """Accept what a server says of tools, and nothing that it has said since somebody looked.

        Args:
            server: Its name.
            said: What was looked at, by tool; see `waiting_of`.

        Returns:
            The tools that were accepted.

        Raises:
            Conflict: it says something else by now; then none is accepted.
            StoreFailed: the file cannot be read or written.
        """
        with self._changing() as servers:
            pins = servers.get(server, {})
            for name, one in said.items():
                if name not in pins or pins[name].seen != one:
                    raise Conflict(
                        f"MCP server {server!r} says something else of {name!r} by now, or it was accepted meanwhile",
                        fix="look at it again",
                    )
                pins[name] = Pin(accepted=hash_of(name, one))
            return list(said)

    @contextmanager
    def _changing(self) -> Generator[dict[str, dict[str, Pin]]]:
        """The pins, written when the block ends; one process at a time."""
        try:
            with self._path.with_suffix(".lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                servers = self._read()
                yield servers
                changed = _PinFile(servers=servers).model_dump(mode="json")
                write_whole(self._path, json.dumps(changed, indent=1, ensure_ascii=False).encode())
        except OSError as error:
            raise StoreFailed(
                f"{self._path} cannot be written: {error.strerror}", fix="free space, or correct its permissions"
            ) from error

    def _read(self) -> dict[str, dict[str, Pin]]:
        try:
            return _PinFile.model_validate_json(self._path.read_bytes()).servers
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError) as error:
            raise StoreFailed(
                f"{self._path} cannot be read: {type(error).__name__}",
                fix="bring it back from a backup; without it, everything that MCP servers say is new",
            ) from error
