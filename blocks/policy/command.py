"""Commands that rules name: a program and what it may be told, held against argv word by word."""

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from blocks.model import Frozen
from blocks.policy.options import ANY, Flag, begins_with, has_flag, has_words, only, straight
from blocks.policy.paths import real_of
from blocks.policy.programs import UNKNOWN, always_runs, goes_beyond, name_of, program_of, runs_programs

TRUSTED_FOLDERS = ("/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin")
"""A program there is known by its name; elsewhere only by its path."""

PROGRAM = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]*")
"""What a program's name is made of. Others look like these and are not: `ｒｍ`, `сat` with a Cyrillic с."""

PROGRAM_GLOB = re.compile(r"[A-Za-z0-9_+*?][A-Za-z0-9._+*?-]*")
FOLDER = re.compile(r"(/(?!\.\.?/)[^/\x00-\x1f\x7f*?\[\]]+)*/")


def _is_program(text: str) -> str:
    folder, name = text[: text.rfind("/") + 1], name_of(text)
    is_path = bool(FOLDER.fullmatch(folder) and PROGRAM.fullmatch(name) and folder + name == text)
    if not (is_path or PROGRAM_GLOB.fullmatch(text)):
        raise ValueError("a program is named as find, python3* or /opt/tool/bin/tool")
    return text


ProgramGlob = Annotated[str, AfterValidator(_is_program)]
Words = Annotated[str, StringConstraints(pattern=r"^\S+( \S+)*$")]


class Command(Frozen):
    """Commands that a rule names. A rule that forbids means those that may be one, one that allows those that are.

    Attributes:
        programs: Their names or real paths.
        words: What is said beside options; a rule that allows means the first words.
        flags: Options; to be forbidden one of them is enough, to be allowed all must be among them. `*`: all that
            stay within what the line says. Left out: likewise.
        flags_except: Options that are not meant.
        runs_programs: Whether it runs other programs or code; an allowed one must not, unless this is true.
    """

    programs: tuple[ProgramGlob, ...] = Field(min_length=1)
    words: tuple[Words, ...] = Field(default=(), min_length=1)
    flags: tuple[Flag, ...] = Field(default=(), min_length=1)
    flags_except: tuple[Flag, ...] = Field(default=(), min_length=1)
    runs_programs: bool | None = None

    def may_be(self, argv: Sequence[str]) -> bool:
        """Whether a command may be one of these, however it is spelled."""
        shape = program_of(argv[0]) or UNKNOWN
        args = straight(argv[1:], shape)
        return (
            self._may_be_program(argv[0])
            and (not self.words or any(has_words(one.split(" "), args) for one in self.words))
            and (not self.flags or any(has_flag(flag, args, shape) for flag in self.flags))
            and (not self.flags_except or only(args, self.flags_except) is None)
            and self.runs_programs in (None, runs_programs(argv))
        )

    def is_surely(self, argv: Sequence[str]) -> bool:
        """Whether a command is one of these, with nothing in it that is not understood."""
        if not self._is_program(argv[0]) or (runs_programs(argv) and not self.runs_programs):
            return False
        shape = program_of(argv[0]) or UNKNOWN
        args = straight(argv[1:], shape)
        if any(has_flag(flag, args, shape) for flag in self.flags_except):
            return False
        if self.any_flags:
            words = tuple(arg for arg in args if not arg.startswith("-") or arg == "-")
            understood = not goes_beyond(argv)
        else:
            listed = only(args, self.flags)
            words, understood = listed or (), listed is not None
        return understood and (not self.words or any(begins_with(one.split(" "), words) for one in self.words))

    @property
    def any_flags(self) -> bool:
        """Whether an allowed command may have all options that are known and stay within what the line says."""
        return not self.flags or ANY in self.flags

    def unsafe(self) -> Iterator[tuple[str, str]]:
        """What makes it unfit for a rule that allows: the field and what is wrong there."""
        for program in self.programs:
            if not (PROGRAM.fullmatch(program) or program.startswith("/")):
                yield "programs", "a rule that allows names programs without * and ?"
                return
            known, shown = program_of(program), name_of(program)
            runs = always_runs(program)
            if runs and not self.runs_programs:
                yield "programs", f"{shown} runs other programs or code; say runs_programs: true if it may"
            if self.any_flags and known is None and not runs:
                yield "flags", f"the options of {shown} are not known here; list those that are allowed"
            if not self.words and known is not None and known.subcommands:
                yield "words", f"the first word of {shown} says what is done; list those that are allowed"

    def _may_be_program(self, program: str) -> bool:
        paths = {program, real_of(program) or program} if program.startswith("/") else {program}
        names = {name_of(path).casefold() for path in paths}
        for wanted in self.programs:
            plain = name_of(wanted).casefold()
            same = program_of(wanted)
            if any(fnmatchcase(name, plain) for name in names):
                return True
            if same is not None and any(program_of(path) is same for path in paths):
                return True
        return False

    def _is_program(self, program: str) -> bool:
        if program in self.programs:
            return True
        folder, _, name = program.rpartition("/")
        return folder in TRUSTED_FOLDERS and name in self.programs
