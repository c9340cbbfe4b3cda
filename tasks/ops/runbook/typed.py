"""Values of runbooks: what each may be. What comes from alerts, commands and people is held against it."""

import math
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from blocks.faults import Fault, faulty
from blocks.model import Frozen
from blocks.patterns import Pattern, compiled

Kind = Literal["text", "int", "number", "bool", "path", "host", "list", "json"]

LONGEST_TEXT = 4000
"""Characters of a text; what is longer is no name of anything, and is refused."""

MOST_ITEMS = 2000
"""Of a list of lines."""

CEL = """
as break const continue else for function if import let loop package namespace return var void while in true false null
int uint double bool string bytes list map type duration timestamp size has matches contains all exists filter google
"""
RESERVED = frozenset((*CEL.split(), "value", "failure_step", "failure_why"))
"""Words of CEL, and names that runbooks have anyway."""


def _is_name(name: str) -> str:
    if name in RESERVED:
        raise ValueError(f"{name} means something else in expressions; take another name")
    return name


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$"), AfterValidator(_is_name)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]


class Typed(Frozen):
    """What a value may be.

    Attributes:
        type: Its kind; `path`: an absolute path under `under`; `host`: one of the inventory.
        pattern: RE2 that the whole of a text has to match.
        choices: What a text may be.
        least, most: Bounds of a number.
        under: Folder that a path may not leave.
    """

    type: Kind = "text"
    pattern: Pattern | None = None
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    under: str | None = Field(default=None, pattern=r"^/")

    @model_validator(mode="after")
    def _fits(self) -> "Typed":
        faults: list[Fault] = []
        if self.type != "text" and self.choices:
            faults.append(Fault(("choices",), f"a value of type {self.type} has none"))
        if self.type not in ("text", "path") and self.pattern:
            faults.append(Fault(("pattern",), f"a value of type {self.type} has none"))
        if self.type not in ("int", "number") and (self.least is not None or self.most is not None):
            faults.append(Fault(("type",), "least and most are for int and number"))
        if (self.type == "path") != (self.under is not None):
            faults.append(Fault(("under",), "a path, and only a path, names the folder that it may not leave"))
        if self.under is not None and not is_plain_path(self.under):
            faults.append(Fault(("under",), "here belongs a plain absolute path, without .. and //"))
        if faults:
            raise faulty(faults)
        return self

    def cast(self, raw: Any) -> Any:
        """A value of this kind. Raises `ValueError`, which says what is wrong with it and never repeats it."""
        match self.type:
            case "int" | "number":
                return self._number(raw)
            case "bool":
                return _bool(raw)
            case "list":
                return _list(raw)
            case "json":
                return raw
            case _:
                return self._text(raw)

    def _number(self, raw: Any) -> int | float:
        if isinstance(raw, bool) or not isinstance(raw, int | float | str) or len(str(raw)) > 40:
            raise ValueError("it is no number")
        try:
            value = int(str(raw).strip()) if self.type == "int" else float(str(raw).strip())
        except ValueError:
            raise ValueError("it is no whole number" if self.type == "int" else "it is no number") from None
        if not math.isfinite(value) or abs(value) >= 2**63:
            raise ValueError("it is no number that can be reckoned with")
        if self.least is not None and value < self.least:
            raise ValueError(f"it is less than {self.least:g}")
        if self.most is not None and value > self.most:
            raise ValueError(f"it is more than {self.most:g}")
        return value

    def _text(self, raw: Any) -> str:
        if not isinstance(raw, str):
            raise ValueError("it is no text")
        text = _clean(raw)
        if self.pattern is not None and compiled(self.pattern).fullmatch(text) is None:
            raise ValueError(f"it is not of the form {self.pattern}")
        if self.choices and text not in self.choices:
            raise ValueError(f"it is none of {', '.join(self.choices)}")
        if self.under is not None and not lies_under(text, self.under):
            raise ValueError(f"it is no plain path under {self.under}")
        return text


def is_plain_path(path: str) -> bool:
    """Whether a path is absolute, and has no `.`, `..`, `//` or characters that are not printed."""
    return (
        path.startswith("/") and path.isprintable() and str(PurePosixPath(path)) == path and ".." not in path.split("/")
    )


def lies_under(path: str, folder: str) -> bool:
    """Whether a path is plain, and a folder's or within it."""
    return is_plain_path(path) and PurePosixPath(path).is_relative_to(folder)


def _clean(text: str) -> str:
    if "\x00" in text:
        raise ValueError("it has the character NUL")
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"it has more than {LONGEST_TEXT} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it has halves of characters") from None
    return text


def _bool(raw: Any) -> bool:
    known = {"true": True, "false": False}
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.strip().lower() in known:
        return known[raw.strip().lower()]
    raise ValueError("it is neither true nor false")


def _list(raw: Any) -> list[Any]:
    if not isinstance(raw, list | tuple):
        raise ValueError("it is no list")
    items: list[Any] = list(raw)  # pyright: ignore[reportUnknownArgumentType]
    if len(items) > MOST_ITEMS:
        raise ValueError(f"it has more than {MOST_ITEMS} items")
    return [_clean(item) if isinstance(item, str) else item for item in items]
