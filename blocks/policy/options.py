"""Options of a command line in all the spellings that programs take: combined, abbreviated, with and without `=`.

Two readings: `is_said` finds an option wherever it may be one, for rules that forbid; `only` follows what a rule allows
step by step and gives up at the first word that it does not understand.
"""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import AfterValidator

from blocks.model import Frozen

ANY = "*"
FLAG = re.compile(r"-[A-Za-z0-9?:^@#]|--?[A-Za-z0-9][A-Za-z0-9_.-]+")


def _is_flag(text: str) -> str:
    if text != ANY and not FLAG.fullmatch(text.partition("=")[0]):
        raise ValueError("an option is written as -x, --name or -name, with = behind where it takes a value; * is all")
    return text


Flag = Annotated[str, AfterValidator(_is_flag)]


class Shape(Frozen):
    """How a program reads its options.

    Attributes:
        one_dash: Its long options have one dash, and short ones are not put together.
        bundle: Its first word is a bundle of short options, with or without a dash.
        values: Short options whose value may stand right behind them.
    """

    one_dash: bool = False
    bundle: bool = False
    values: str = ""


def straight(args: Sequence[str], shape: Shape) -> tuple[str, ...]:
    """Arguments with the dash that a first bundle of options may lack."""
    if shape.bundle and args and not args[0].startswith("-"):
        return (f"-{args[0]}", *args[1:])
    return tuple(args)


def words_of(args: Sequence[str]) -> tuple[str, ...]:
    """What is no option; the value of an option is taken for a word too."""
    if "--" in args:
        end = args.index("--")
        return (*words_of(args[:end]), *args[end + 1 :])
    return tuple(arg for arg in args if arg == "-" or not arg.startswith("-"))


def is_said(entry: str, args: Sequence[str], shape: Shape) -> bool:
    """Whether arguments may hold an option, or a word, or both: `-x`, `--name=GLOB`, `bisect run`, `clone -u`."""
    parts = entry.split(" ")
    said = [part for part in parts if not part.startswith("-")]
    flags = [part for part in parts if part.startswith("-")]
    return (not said or has_words(said, args)) and all(has_flag(flag, args, shape) for flag in flags)


def has_words(words: Sequence[str], args: Sequence[str]) -> bool:
    """Whether words, which may be globs, stand one after the other among those that are no options.

    Between them there may be options, each with a value: `delete -n web pod` has `delete pod`.
    """
    reached, may_be_value = {0}, False  # how many of the words may have been found so far
    for arg in args:
        if arg.startswith("-"):
            may_be_value = "=" not in arg
            continue
        found = {count + 1 for count in reached if fnmatchcase(arg, words[count])}
        if len(words) in found:
            return True
        reached = {0} | found | (reached if may_be_value else set[int]())
        may_be_value = False
    return False


def begins_with(words: Sequence[str], there: Sequence[str]) -> bool:
    """Whether words begin with these, which may be globs."""
    ahead = there[: len(words)]
    return len(ahead) == len(words) and all(map(fnmatchcase, ahead, words))


def has_flag(flag: str, args: Sequence[str], shape: Shape) -> bool:
    """Whether arguments may hold an option in any spelling; `*` is any option."""
    if flag == ANY:
        return any(arg.startswith("-") and arg not in ("-", "--") for arg in args)
    name, valued, wanted = flag.partition("=")
    for values in _said(name, args, shape):
        if not valued or not wanted or any(fnmatchcase(value.casefold(), wanted.casefold()) for value in values):
            return True
    return False


def _said(name: str, args: Sequence[str], shape: Shape) -> Iterator[tuple[str, ...]]:
    """What the values may be, for every place where an option may stand."""
    for number, arg in enumerate(args):
        if not arg.startswith("-") or arg in ("-", "--"):
            continue
        after = tuple(args[number + 1 : number + 2])
        head, has_value, value = arg.partition("=")
        if _means(head, name):
            yield (value,) if has_value else after
        elif len(name) == 2 and not shape.one_dash and not arg.startswith("--"):
            behind = _in_cluster(name[1], arg, shape)
            if behind is not None:
                yield (behind.removeprefix("="), *after)


def _means(head: str, name: str) -> bool:
    if head == name:
        return True
    if name.startswith("--"):
        return (len(head) > 2 and head.startswith("--") and name.startswith(head)) or f"-{head}" == name
    return len(name) > 2 and head == f"-{name}"


def _in_cluster(letter: str, arg: str, shape: Shape) -> str | None:
    """What stands behind a short option within several; None: it is not among them."""
    for place, one in enumerate(arg[1:], start=2):
        if one == letter:
            return arg[place:]
        if one in shape.values:
            return None
    return None


def only(args: Sequence[str], flags: Sequence[str]) -> tuple[str, ...] | None:
    """The words of arguments whose options are all among these.

    Args:
        args: The arguments.
        flags: `-x`, `--name`; with `=` behind they take a value, with a glob behind that one like it.

    Returns:
        None where there is anything else: another option, an abbreviation, a value that looks like an option.
    """
    allowed = _Allowed(flags)
    rest, words = deque(args), list[str]()
    while rest:
        arg = rest.popleft()
        if arg == "--":
            return (*words, *rest)
        if arg == "-" or not arg.startswith("-"):
            words.append(arg)
        elif not (allowed.whole(arg, rest) or allowed.cluster(arg, rest)):
            return None
    return tuple(words)


class _Allowed:
    """Options that may stand, without a value or with one."""

    def __init__(self, flags: Sequence[str]) -> None:
        self._bare = {flag for flag in flags if "=" not in flag}
        self._valued: dict[str, list[str]] = {}
        for flag in flags:
            name, valued, wanted = flag.partition("=")
            if valued:
                self._valued.setdefault(name, []).append(wanted or ANY)

    def whole(self, arg: str, rest: deque[str]) -> bool:
        """Whether a word is one option; takes its value from the rest."""
        name, has_value, value = arg.partition("=")
        if has_value:
            return self._fits(name, value)
        return arg in self._bare or (arg in self._valued and self._takes(arg, rest))

    def cluster(self, arg: str, rest: deque[str]) -> bool:
        """Whether a word is several short options; takes the value of the last from the rest."""
        if arg.startswith("--"):
            return False
        for place, letter in enumerate(arg[1:], start=2):
            name = f"-{letter}"
            if name in self._valued:
                alone = name not in self._bare
                return alone and (self._fits(name, arg[place:]) if arg[place:] else self._takes(name, rest))
            if name not in self._bare:
                return False
        return True

    def _takes(self, name: str, rest: deque[str]) -> bool:
        return bool(rest) and not rest[0].startswith("-") and self._fits(name, rest.popleft())

    def _fits(self, name: str, value: str) -> bool:
        return any(fnmatchcase(value, wanted) for wanted in self._valued.get(name, ()))
