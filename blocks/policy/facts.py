"""What an action would reach, looked at once for all rules."""

import os
import re
from collections.abc import Iterator
from datetime import datetime
from functools import cached_property
from pathlib import Path

from blocks.action import Action
from blocks.policy.command import PROGRAM, TRUSTED_FOLDERS
from blocks.policy.hosts import Host, host_of, hosts_in
from blocks.policy.paths import Seen, real_of, seen
from blocks.policy.programs import TooMuch, commands_in, name_of, path_words
from blocks.workspace import INSIDE

MOST_WORDS = 1024
MOST_CHARS = 128 * 1024
"""Of a command: Linux takes no longer word (MAX_ARG_STRLEN), and nobody reads more."""

MOST_MENTIONED = 4096
LONGEST_PATH = 4096
"""Characters; Linux opens no longer one (PATH_MAX)."""

CONTROL = re.compile(r"[\x00-\x1f\x7f]")
SEPARATORS = re.compile(r"file://|[=:,@]+")
GLUED = re.compile(r"(?:/|\.\.|~).*", re.DOTALL)


class Refused(ValueError):
    """An action that no rule has to be asked about.

    Args:
        rule: Names what refuses it.
        reason: Why.
    """

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(reason)
        self.rule, self.reason = rule, reason


class Facts:
    """An action with its paths, hosts and commands as they really are.

    Args:
        action: The action.
        now: The time.
        workspace: Real path of the agent's files, where it has any.

    Raises:
        Refused: a path, host or command is of no form that rules could be held against.
    """

    def __init__(self, action: Action, now: datetime, workspace: str | None) -> None:
        self.action, self.now, self.workspace = action, now, workspace
        self.argv = action.touched.argv
        if self.argv is not None:
            _check_command(self.argv, workspace)
        program = self.argv[0] if self.argv and _is_of_the_system(self.argv[0]) else None
        self.reads = tuple(_path(path) for path in action.touched.reads if path != program)
        self.writes = (*map(_path, action.touched.writes), *map(_own, action.touched.removes))
        self.hosts = tuple(_host(place) for place in action.touched.hosts)
        self.commands = () if self.argv is None else _commands(self.argv)

    @property
    def goes_out(self) -> bool:
        """Whether others see something of it: a request says something, too."""
        return self.action.outside or bool(self.hosts)

    @cached_property
    def mentioned(self) -> tuple[Seen, ...]:
        """Paths that the words of its command may mean, and the folder in which it runs."""
        if self.argv is None:
            return ()
        texts = dict.fromkeys(text for word in self._words for text in _texts(word))
        if len(texts) > MOST_MENTIONED:
            raise Refused("malformed", "the command names more paths than anybody looks through")
        return (seen(self.workspace or INSIDE), *(place for text in texts for place in self._places(text)))

    @cached_property
    def mentioned_hosts(self) -> tuple[Host, ...]:
        """Hosts that the words of its command may mean."""
        hosts = tuple(dict.fromkeys(host for word in self._words for host in hosts_in(word)))
        if len(hosts) > MOST_MENTIONED:
            raise Refused("malformed", "the command names more hosts than anybody looks through")
        return hosts

    @cached_property
    def _words(self) -> tuple[str, ...]:
        """All words of its command and of what that runs; not the program, where that is one of the system."""
        if self.argv is None:
            return ()
        program, words = self.argv[0], path_words(self.argv)
        own = [program] if "/" in program and not _is_of_the_system(program) else []
        return tuple(dict.fromkeys([*own, *words, *(word for command in self.commands[1:] for word in command)]))

    def _places(self, text: str) -> Iterator[Seen]:
        """Where a text leads: in the agent's folder, and in the sandbox, which shows that folder as `/workspace`."""
        full = _at_home(text)
        is_absolute = full.startswith("/")
        path = os.path.normpath(full if is_absolute else f"{INSIDE}/{full}")
        is_within = f"{path}/".startswith(f"{INSIDE}/")
        if self.workspace is None or not is_within or (is_absolute and os.path.lexists(path)):
            yield seen(path)
        if self.workspace is not None and not is_absolute:
            yield seen(f"{self.workspace}/{full}")
        elif self.workspace is not None and is_within:
            yield seen(self.workspace + path.removeprefix(INSIDE))


def _is_of_the_system(program: str) -> bool:
    return program.rpartition("/")[0] in TRUSTED_FOLDERS


def _texts(word: str) -> Iterator[str]:
    """What of a word may be a path: all of it, what stands behind `=` or `:`, and behind a short option."""
    texts = [word, *SEPARATORS.split(word)]
    if word.startswith("-") and not word.startswith("--"):
        texts += [word[start:] for start in (2, 3, 4)]
        texts += GLUED.findall(word)
    return (text for text in texts if 0 < len(text) <= LONGEST_PATH)


def _at_home(text: str) -> str:
    """A path with `~` as a shell would read it; what has no such user stays as it is."""
    try:
        return str(Path(text).expanduser()) if text.startswith("~") else text
    except RuntimeError:
        return text


def _path(path: str) -> Seen:
    if not path.startswith("/") or CONTROL.search(path):
        raise Refused("malformed", f"{ascii(path)[:200]} is no absolute path")
    return seen(path)


def _own(path: str) -> Seen:
    """A path whose last name is not followed where it is a link."""
    folder, _, name = _path(path).given.rstrip("/").rpartition("/")
    return Seen(path, f"{seen(folder or '/').real.rstrip('/')}/{name}")


def _host(place: str) -> Host:
    try:
        return host_of(place.lower())
    except ValueError as error:
        raise Refused("malformed", str(error)) from None


def _check_command(argv: tuple[str, ...], workspace: str | None) -> None:
    if not argv or any("\x00" in word for word in argv):
        raise Refused("malformed", "the command is empty, or has a character that no command may have")
    if len(argv) > MOST_WORDS or sum(map(len, argv)) > MOST_CHARS:
        raise Refused("malformed", f"the command is longer than {MOST_WORDS} words or {MOST_CHARS} characters")
    program, name = argv[0], name_of(argv[0])
    if not PROGRAM.fullmatch(name) or CONTROL.search(program):
        shown = ascii(program)[:120]
        raise Refused("malformed", f"{shown} is no program's name: it has letters, digits and . _ + - of ASCII only")
    if "/" in program:
        _check_program_path(program, workspace)


def _check_program_path(program: str, workspace: str | None) -> None:
    """A program that is named by a path must be there, not behind a link."""
    path = program
    if not program.startswith("/"):
        path = f"{workspace or INSIDE}/{program}"
    elif workspace and program.startswith(f"{INSIDE}/"):
        path = workspace + program.removeprefix(INSIDE)
    real = real_of(path) or "somewhere else"
    if ".." in program.split("/") or real != os.path.normpath(path):
        told = f"{program} is not the real path of a program; say {real}, or only its name"
        raise Refused("program-path", told)


def _commands(argv: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    try:
        return tuple(commands_in(argv))
    except TooMuch as error:
        raise Refused("malformed", f"the command is not looked through: {error}") from None
