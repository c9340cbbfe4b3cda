"""The prompt of a row: a Jinja template that can put the row's values in, choose and repeat, and nothing more.

Jinja's sandbox keeps a template from Python's objects, but not from calls and products that fill the memory. A
template may come from someone who is not at this machine, so it may use only what takes time and room in proportion to
the row: loops over the row's own lists, no calls, no arithmetic, no lists of variables. What filters make is counted
over a prompt: `tojson` of `tojson` doubles each backslash, and `join` puts as much as it likes between two items.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from blocks.errors import BadInput
from blocks.rows.row import Row

LONGEST_BYTES = 262_144
"""Of the template."""

LONGEST_PROMPT = 16 * 2**20
"""Characters of a prompt, and of all that its filters make on the way; no model takes as many."""

DEEPEST = 24
LOOPS = 2
"""How deep loops may stand in each other."""

ALLOWED = frozenset(
    (
        *("Template", "Output", "TemplateData", "If", "For", "Assign", "Name", "Const", "List", "Tuple"),
        *("Getattr", "Getitem", "CondExpr", "Compare", "Operand", "And", "Or", "Not", "Filter", "Test"),
    )
)
FILTERS = frozenset(
    (
        *("trim", "lower", "upper", "title", "capitalize", "default", "d", "length", "count", "tojson", "join"),
        *("truncate", "first", "last", "sort", "unique", "round", "int", "float", "string", "striptags"),
    )
)
TESTS = frozenset(
    (
        *("defined", "undefined", "none", "eq", "equalto", "==", "ne", "!=", "lt", "<", "gt", ">", "le", "<=", "ge"),
        *(">=", "in", "string", "number", "boolean", "true", "false", "sequence", "mapping"),
    )
)
ROW = "row"
"""Under this name the template has the whole row, for columns whose name is none: `{{ row["Review text"] }}`."""

OF_LISTS = ("sort", "unique")
"""Filters that would make a list of the characters of a text, each of them an object; so would `join`."""

ROOM = " room"
"""Under this name, which no template can write, filters find what they may still make."""


class Room:
    """How much may still be made of one prompt, in characters and items."""

    def __init__(self) -> None:
        self._left = LONGEST_PROMPT

    def take(self, amount: int) -> None:
        """Count some. Raises `ValueError`: it is more than is left."""
        self._left -= amount
        if self._left < 0:
            raise ValueError(f"it is over {LONGEST_PROMPT} characters")


class Prompt:
    """A template that was checked.

    Args:
        template: Jinja source; columns go by their names, the whole row by `row`.

    Raises:
        BadInput: it cannot be read, or does what it may not; `details["problems"]` says what.
    """

    def __init__(self, template: str) -> None:
        if problems := prompt_problems(template):
            raise BadInput(f"the prompt {problems[0]}", fix="see docs/swarm.md", field="prompt", problems=problems)
        self._template = _environment().from_string(template)

    def render(self, row: Row, number: int, columns: Iterable[str] | None = None) -> str:
        """The prompt for a row.

        Args:
            row: Its values.
            number: Its number.
            columns: What is told of a name that is not there; by default those of `row`.

        Raises:
            BadInput: it names a column that the row does not have, or a filter does not take the row's value.
        """
        from jinja2 import TemplateError, UndefinedError

        try:
            return "".join(self._pieces(row)).strip()
        except UndefinedError as error:
            known = ", ".join(list(row if columns is None else columns)[:20]) or "none"
            raise _wrong(number, f"{error.message}; its columns are {known}") from None
        except (TemplateError, ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
            raise _wrong(number, f"{type(error).__name__}: {error}") from None

    def _pieces(self, row: Row) -> Iterator[str]:
        whole = Room()
        for piece in self._template.generate({**row, ROW: row, ROOM: Room()}):
            whole.take(len(piece))
            yield piece


def prompt_problems(template: str) -> list[str]:
    """What is wrong with a template, one line each; does not run it."""
    from jinja2 import TemplateError

    if len(template.encode(errors="replace")) > LONGEST_BYTES:
        return [f"is over {LONGEST_BYTES} bytes"]
    if not template.strip():
        return ["is empty"]
    try:
        tree = _environment().parse(template)
    except TemplateError as error:
        return [f"cannot be read: line {getattr(error, 'lineno', 1)}: {error.message or type(error).__name__}"]
    except (RecursionError, ValueError) as error:
        return [f"cannot be read: {error}"]
    return list(dict.fromkeys(_faults(tree)))


def _faults(tree: Any) -> Iterator[str]:
    waiting: list[tuple[Any, int, int]] = [(tree, 0, 0)]
    while waiting:  # without recursion: the tree may be as deep as its writer likes
        node, depth, loops = waiting.pop()
        loops += type(node).__name__ == "For"
        if depth > DEEPEST or loops > LOOPS:
            yield f"is nested too deeply in line {node.lineno}"
            return
        if fault := _fault(node):
            yield f"{fault} in line {node.lineno}"
        waiting += [(child, depth + 1, loops) for child in node.iter_child_nodes()]


def _fault(node: Any) -> str | None:
    kind = type(node).__name__
    if kind not in ALLOWED:
        return f"uses {kind}, which is not allowed,"
    if kind == "For" and node.recursive:
        return "loops within itself"
    is_value = kind == "List" or (kind == "Tuple" and node.ctx == "load")  # the variables of a loop are a tuple too
    if is_value and any(type(item).__name__ != "Const" for item in node.items):
        return "has a list of other than constants"
    if kind == "Filter" and node.name == "tojson" and (node.args or node.kwargs):
        return "gives tojson an argument"
    if kind in ("Filter", "Test") and node.name not in (FILTERS if kind == "Filter" else TESTS):
        return f"uses the {kind.lower()} {node.name[:40]!r}, which there is not,"
    return None


def _environment() -> Any:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    class Rows(SandboxedEnvironment):
        """`a.b` is the value of b where a is a mapping, and never one of Python's methods."""

        def getattr(self, obj: Any, attribute: str) -> Any:
            if isinstance(obj, Mapping):
                fields = cast(Mapping[str, Any], obj)
                return fields[attribute] if attribute in fields else self.undefined(obj=obj, name=attribute)
            return super().getattr(obj, attribute)

    # Texts are prompts and no HTML.
    rows = Rows(
        undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True, finalize=_nothing_for_none
    )
    for name in FILTERS:
        rows.filters[_original(name)] = rows.filters[name]
        rows.filters[name] = _counted(name)
    rows.filters["join"] = _counted_join()
    return rows


def _nothing_for_none(value: Any) -> Any:
    """An empty cell of XLSX and a null of JSON say nothing, as an empty one of CSV does; Jinja would write «None»."""
    return "" if value is None else value


def _original(name: str) -> str:
    return f"{name} of Jinja"  # a name that no template can write


def _counted(name: str) -> Callable[..., Any]:
    """A filter of Jinja's whose text or list is counted. With the context it is not run before there is a row."""
    from jinja2 import pass_context

    @pass_context
    def counted(context: Any, value: Any = None, *args: Any, **named: Any) -> Any:
        if name in OF_LISTS:
            _refuse_text(name, value)
        made: Any = context.environment.call_filter(_original(name), value, args, named, context=context)
        if isinstance(made, str | list):
            context[ROOM].take(len(cast(str | list[Any], made)))
        return made

    return counted


def _counted_join() -> Callable[..., str]:
    """Counts before it joins: a few items may become a text of any length."""
    from jinja2 import pass_context
    from jinja2.filters import make_attrgetter

    @pass_context
    def join(context: Any, value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
        _refuse_text("join", value)
        room, texts = context[ROOM], list[str]()
        of = str if attribute is None else make_attrgetter(context.environment, attribute)
        for item in value:
            texts.append(str(of(item)))
            room.take(len(texts[-1]) + len(d))
        return d.join(texts)

    return join


def _refuse_text(name: str, value: Any) -> None:
    if isinstance(value, str):
        raise TypeError(f"{name} takes a list, and no text")


def _wrong(number: int, what: str) -> BadInput:
    return BadInput(
        f"row {number}: the prompt cannot be made: {what}",
        fix="correct the prompt or the row; {{ name | default('') }} stands for a column that may be missing",
        field="prompt",
        row=number,
    )
