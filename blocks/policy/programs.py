"""What is known of programs: which of them run others, and by which of their options."""

import re
import shlex
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

from pydantic import Field, TypeAdapter

from blocks.model import Frozen
from blocks.policy.options import Shape, is_said, straight, words_of
from blocks.yaml_file import read_yaml

FILE = Path(__file__).with_name("programs.yaml")

DEEPEST = 4
"""Commands within texts within commands are looked into so far."""

MOST_COMMANDS = 2048
"""That one may run; a script of so many words belongs into a file."""

MOST_WORDS = 256
"""Of a command that runs others, each of which may be one."""

LONGEST_SCRIPT = 500
"""Characters; what is longer is taken to do harm."""

SHELL_TEXT = re.compile(r"[\s;|&()<>`$'\"\\]")
SEPARATORS = re.compile(r"\n|`|\$\(|\$\{?IFS\}?|[{}!]")

Names = tuple[tuple[str, ...], ...]


class Program(Shape):
    """How the options of a program are read, and which of them do more than the line says.

    Attributes:
        also: Other names of it.
        subcommands: Whether its first word says what is done.
        runs: Options and words by which it runs other programs or code.
        beyond: Options by which it reaches what the line does not name.
        script: Form of a first word that is code and does no harm.
        pattern: Options without which the first word is a pattern, and no path.
    """

    also: tuple[str, ...] = ()
    subcommands: bool = False
    runs: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    script: str | None = None
    pattern: tuple[str, ...] = ()


UNKNOWN = Program()


class Programs(Frozen):
    """All that is known.

    Attributes:
        wraps: Programs that run the one that their arguments name.
        shells: Programs that read code of a shell from their arguments.
        code: Programs that run code.
        options: Of other programs.
    """

    wraps: Names
    shells: Names
    code: Names
    options: dict[str, Program] = Field(default_factory=dict[str, Program])


class TooMuch(ValueError):
    """A command may run more, or deeper within, than anybody looks at."""


@lru_cache(maxsize=1)
def known_programs() -> Programs:
    """What is known, from `programs.yaml`."""
    return read_yaml(FILE, fix="install C500 again").read_as(TypeAdapter(Programs))


def name_of(program: str) -> str:
    """What a program is called, without its folder."""
    return program.rpartition("/")[2]


@lru_cache(maxsize=1024)
def program_of(program: str) -> Program | None:
    """What is known of the options of a program, by its name or path; None: nothing."""
    name = name_of(program)
    known = known_programs().options
    if name in known:
        return known[name]
    return next((one for one in known.values() if name in one.also), None)


@lru_cache(maxsize=1024)
def always_runs(program: str) -> bool:
    """Whether it is what a program is for, to run other programs or code."""
    known = known_programs()
    return any(_is_in(name_of(program), names) for names in (known.wraps, known.shells, known.code))


def runs_programs(argv: Sequence[str]) -> bool:
    """Whether a command runs other programs, or code that it is given."""
    if always_runs(argv[0]):
        return True
    program = program_of(argv[0])
    if program is None:
        return False
    args = straight(argv[1:], program)
    if any(is_said(entry, args, program) for entry in program.runs):
        return True
    words = words_of(args)
    return program.script is not None and bool(words) and not _is_harmless(words[0], program.script)


def _is_harmless(script: str, form: str) -> bool:
    return len(script) <= LONGEST_SCRIPT and re.fullmatch(form, script) is not None


def goes_beyond(argv: Sequence[str]) -> bool:
    """Whether a command has an option by which it reaches what the line does not name."""
    program = program_of(argv[0])
    if program is None:
        return False
    args = straight(argv[1:], program)
    return any(is_said(entry, args, program) for entry in program.beyond)


def path_words(argv: Sequence[str]) -> tuple[str, ...]:
    """The words of a command that may be paths: not what is surely a pattern to look for, or a script."""
    program, args = program_of(argv[0]), tuple(argv[1:])
    if program is None or not (program.pattern or program.script) or runs_programs(argv):
        return args
    if any(is_said(flag, args, program) for flag in program.pattern):
        return args
    end = args.index("--") if "--" in args else len(args)
    places = [place for place, arg in enumerate(args) if place > end or not arg.startswith("-") or arg == "-"]
    return (*args[: places[0]], *args[places[0] + 1 :]) if places else args


def commands_in(argv: Sequence[str]) -> list[tuple[str, ...]]:
    """A command and all that it may run: rather too many than one too few.

    Raises:
        TooMuch: it may run too many, or deeper within than is looked.
    """
    found = {tuple(argv): None}
    if runs_programs(argv):
        for command in _within(tuple(argv), 0, any_word=not _is_in(name_of(argv[0]), known_programs().code)):
            found[command] = None
            if len(found) > MOST_COMMANDS:
                raise TooMuch(f"it may run more than {MOST_COMMANDS} commands, which nobody looks through")
    return list(found)


def _within(argv: tuple[str, ...], depth: int, *, any_word: bool = True) -> Iterator[tuple[str, ...]]:
    """What a command runs, where a word may be text with commands, and any word a program."""
    if any_word:
        if len(argv) > MOST_WORDS:
            raise TooMuch(f"it runs others, and has more than {MOST_WORDS} words")
        yield from (argv[start:] for start in range(len(argv)))
    for text in (text for word in argv for text in (word, word.partition("=")[2])):
        inner = _split(text) if SHELL_TEXT.search(text) else []
        if inner in ([], [(text,)]):
            continue
        if depth == DEEPEST:
            raise TooMuch("it has commands within commands, too deep to be looked at")
        for command in inner:
            yield from _within(command, depth + 1)


def _split(text: str) -> list[tuple[str, ...]]:
    """The commands of a shell's text, whatever joins them."""
    plain = SEPARATORS.sub(lambda found: " " if "IFS" in found[0] else " ; ", text)
    try:
        lexer = shlex.shlex(plain, posix=True, punctuation_chars=True)
        lexer.commenters = ""
        lexer.whitespace_split = True
        tokens = list(lexer)
    except ValueError:  # a quote that is not closed
        tokens = re.findall(r"[\w./~+@%:,=*-]+|[;|&()<>]", plain)
    commands: list[list[str]] = [[]]
    for token in tokens:
        if set(token) <= set(";|&()<>"):
            commands.append([])
        else:
            commands[-1].append(token)
    return [tuple(command) for command in commands if command]


def _is_in(name: str, lists: Names) -> bool:
    return any(fnmatchcase(name, pattern) for names in lists for pattern in names)
