"""Texts with places for values, `{{ name }}`; nothing else is understood in them, and no value is looked into again.

Not Jinja: its sandbox is a wall around a language, and walls have had holes (CVE-2024-56201, CVE-2025-27516). Here
there is no language. A value is put in once, where its name stood, and what it holds is never read as a template, so
that `{{ … }}` and `{% … %}` in a label stay what they are; and every name is known before the first step.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from blocks.errors import BadInput
from tasks.ops.runbook.typed import LONGEST_TEXT, Kind

SLOT = re.compile(r'\{\{\s*(?:(?P<name>[a-z][a-z0-9_]*)(?P<path>(?:\.[A-Za-z0-9_-]+)*)|"(?P<quoted>[^"]*)")\s*\}\}')
CHECKED = ("path", "int", "number", "bool", "host")
"""Kinds whose values cannot lead anywhere: they were held against their type when they came in."""

HEADS = re.compile(r"[\s=:,]")
PATH_HEADS = ("/", "~", "@")
"""How what programs take for a file begins; `@file` is read by curl and others."""


class Unknown(Exception):
    """A value that only a real run has; in dry runs."""


class _Nothing:
    """The value of what a dry run does not know."""

    def __repr__(self) -> str:
        return "?"


UNKNOWN: Any = _Nothing()


class Refused(BadInput):
    """A value cannot stand where it is to be put; nothing was done with it."""

    code = "VALUE_REFUSED"


@dataclass(frozen=True)
class Slot:
    """A place for a value: of a variable, or of a part of one."""

    name: str
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ".".join((self.name, *self.path))


@dataclass(frozen=True)
class Template:
    """A text with places; texts and slots in turn."""

    parts: tuple[str | Slot, ...]

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The places."""
        return tuple(part for part in self.parts if isinstance(part, Slot))

    @property
    def literal(self) -> str | None:
        """The text, if there is no place in it."""
        return None if self.slots else "".join(str(part) for part in self.parts)

    def render(self, values: Mapping[str, Any]) -> str:
        """The text with the values in it, for people. Raises `Unknown`, `Refused`."""
        return "".join(part if isinstance(part, str) else shown(part, values) for part in self.parts)

    def word(
        self, values: Mapping[str, Any], kinds: Mapping[str, Kind], *, allow_option: bool, allow_path: bool
    ) -> str:
        """One word of a command: a value stays within it, is no option, and leads into no other folder.

        Raises:
            Unknown: a dry run does not know a value.
            Refused: a value begins the word with `-`, is a path where a name belongs, or cannot stand in a command.
        """
        pieces = [part if isinstance(part, str) else shown(part, values) for part in self.parts]
        word = "".join(pieces)
        for number, part in enumerate(self.parts):
            if isinstance(part, Slot) and kinds.get(part.name) not in CHECKED:
                _check_path(part, pieces, number, allow_path=allow_path)
        if word.startswith("-") and not allow_option and not str(self.parts[0]).startswith("-"):
            raise _refused(self.slots[0], "it begins with -, and would be an option of the program", "allow_option")
        return word

    def in_path(self, number: int) -> bool:
        """Whether the part with this number stands behind the beginning of a path, as in `/etc/{{ name }}`."""
        before = "".join(part if isinstance(part, str) else "?" for part in self.parts[:number])
        return "/" in HEADS.split(before)[-1]


def _check_path(slot: Slot, pieces: list[str], number: int, *, allow_path: bool) -> None:
    """A value that is no path by its type: within a path it is one name, and elsewhere it begins none."""
    value, before, after = pieces[number], HEADS.split("".join(pieces[:number]))[-1], "".join(pieces[number + 1 :])
    if ("/" in before or after.startswith("/")) and ("/" in value or value in ("", ".", "..")):
        raise _refused(slot, "it stands within a path, and is no name of one file", None)
    if allow_path:
        return
    whole = HEADS.split(f"{before}{value}{after}")
    if (not before and value[:1] in PATH_HEADS) or any(".." in part.split("/") for part in whole):
        raise _refused(slot, "it is a path, and no path was asked for", "allow_path")


def parse_template(text: str) -> Template:
    """The template that a text is. Raises `ValueError`: something in it looks like a template and is none."""
    parts: list[str | Slot] = []
    end = 0
    for found in SLOT.finditer(text):
        parts += _plain(text[end : found.start()])
        if found["name"]:
            parts.append(Slot(found["name"], tuple(found["path"].split(".")[1:])))
        else:
            parts.append(found["quoted"])
        end = found.end()
    return Template(tuple(_joined([*parts, *_plain(text[end:])])))


def shown(slot: Slot, values: Mapping[str, Any]) -> str:
    """The value of a place as text. Raises `Unknown`, `Refused`."""
    value = values[slot.name]
    if value is UNKNOWN:
        raise Unknown(str(slot))
    for step in slot.path:
        value = _part(slot, value, step)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if not isinstance(value, str):
        raise _refused(slot, "it is no text and no number", None)
    if len(value) > LONGEST_TEXT or "\x00" in value:
        raise _refused(slot, f"it has the character NUL, or more than {LONGEST_TEXT} characters", None)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _refused(slot, "it has halves of characters", None) from None
    return value


def _part(slot: Slot, value: Any, step: str) -> Any:
    if isinstance(value, dict) and step in value:
        return value[step]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list) and step.isdigit() and int(step) < len(value):  # pyright: ignore[reportUnknownArgumentType]
        return value[int(step)]  # pyright: ignore[reportUnknownVariableType]
    raise _refused(slot, f"it has no part {step}", None)


def _plain(text: str) -> Iterator[str]:
    if "{{" in text:
        raise ValueError(
            '{{ belongs before the name of a variable and }}; write {{ "…" }} around what is meant as it is'
        )
    if "{%" in text or "{#" in text:
        raise ValueError("only {{ name }} is understood; use steps with `if` for what depends on something")
    if text:
        yield text


def _joined(parts: list[str | Slot]) -> Iterator[str | Slot]:
    waiting = ""
    for part in parts:
        if isinstance(part, str):
            waiting += part
            continue
        if waiting:
            yield waiting
        waiting = ""
        yield part
    if waiting:
        yield waiting


def _refused(slot: Slot, why: str, allow: str | None) -> Refused:
    fix = "look where it comes from, and give its parameter a pattern"
    if allow is not None:
        fix += f"; the step may say `{allow}: true`"
    return Refused(f"the value of {slot} cannot be used here: {why}", fix=fix, field=slot.name)
