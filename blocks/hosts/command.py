"""Commands as all hosts take them."""

import re
from collections.abc import Mapping, Sequence

from blocks.errors import BadInput

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def checked_argv(argv: Sequence[str]) -> tuple[str, ...]:
    """A command. Raises `BadInput`."""
    if not argv or not argv[0]:
        raise BadInput("the command is empty", fix="name a program", field="argv")
    if any("\x00" in word for word in argv):
        raise BadInput("a command cannot hold the character NUL", fix="take it out", field="argv")
    return tuple(argv)


def checked_env(env: Mapping[str, str]) -> dict[str, str]:
    """Variables. Raises `BadInput`."""
    for name, value in env.items():
        if not VARIABLE.fullmatch(name) or "\x00" in value:
            raise BadInput(f"{name!r:.80} is no environment variable", fix="use letters, digits and _", field="env")
    return dict(env)


def became(argv: tuple[str, ...], env: Mapping[str, str], *, become: bool) -> tuple[str, ...]:
    """The command as root's: sudo passes no variables on, so they go along as words."""
    if not become:
        return argv
    told = ("env", *(f"{name}={value}" for name, value in env.items())) if env else ()
    return ("sudo", "-n", "--", *told, *argv)


class Kept:
    """The end of a stream, up to so many bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most, self._bytes, self.truncated = most_bytes, bytearray(), False

    def add(self, chunk: bytes) -> None:
        """Take some more of it."""
        self._bytes += chunk
        if len(self._bytes) > 2 * self._most:
            del self._bytes[: -self._most]
            self.truncated = True

    def text(self) -> str:
        """What is kept."""
        if len(self._bytes) > self._most:
            self.truncated = True
        return bytes(self._bytes[-self._most :]).decode(errors="replace")
