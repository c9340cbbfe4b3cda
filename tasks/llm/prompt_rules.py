"""What a prompt that came over the network may do: stand in its own words, and put in the four texts it is given.

Jinja's sandbox keeps a prompt from Python's objects, but not from loops and products that fill the memory. So such a
prompt may use only what takes time and room in proportion to its texts, whatever these hold: no loops, no calls, no
arithmetic, nothing joined. This is checked whenever it is loaded, not only when it is taken in.
"""

from collections.abc import Iterator
from typing import Any

MAX_PROMPT_BYTES = 65_536
MAX_DEPTH = 24
MAX_USES = 64
"""How often a prompt may name a variable; each may hold a transcript."""

BASES = ("base.jinja", "base_vi.jinja")
VARIABLES = ("transcript", "language", "schema", "example")
FILTERS = ("trim", "lower", "upper", "title", "capitalize", "default", "d", "length")
TESTS = ("defined", "undefined", "none", "eq", "equalto", "==", "ne", "in", "string")

ALLOWED = [
    *("Template", "Extends", "Block", "Output", "TemplateData", "If", "Assign"),
    *("Name", "Const", "List", "Tuple", "CondExpr", "Compare", "Operand", "And", "Or", "Not", "Filter", "Test", "Call"),
]
"""Kinds of Jinja's syntax tree; calls and lists with limits of their own."""


def prompt_problems(prompt: str) -> list[str]:
    """What a prompt does that it may not, one line each; does not run it."""
    from jinja2 import Environment, TemplateError

    if len(prompt.encode()) > MAX_PROMPT_BYTES:
        return [f"prompt.jinja is over {MAX_PROMPT_BYTES} bytes"]
    try:
        tree = Environment(autoescape=False).parse(prompt)  # noqa: S701 - parsed only; prompts are no HTML
    except TemplateError as error:
        return [f"prompt.jinja cannot be read: {error.message or type(error).__name__}"]
    except RecursionError:
        return ["prompt.jinja is nested too deeply"]
    except ValueError as error:  # a number of more digits than Python reads
        return [f"prompt.jinja cannot be read: {error}"]
    return list(dict.fromkeys(f"prompt.jinja: {problem}" for problem in _faults(tree)))


def _faults(tree: Any) -> Iterator[str]:
    uses = 0
    for node, depth in _walk(tree):
        if depth > MAX_DEPTH:
            yield "it is nested too deeply"
            return
        if fault := _fault(node):
            yield fault
        uses += type(node).__name__ == "Name"
    if uses > MAX_USES:
        yield f"it names variables more than {MAX_USES} times"


def _walk(tree: Any) -> Iterator[tuple[Any, int]]:
    """All nodes with their depth, without recursion: the tree may be as deep as its writer likes."""
    waiting = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        if depth <= MAX_DEPTH:
            waiting += [(child, depth + 1) for child in node.iter_child_nodes()]


def _fault(node: Any) -> str | None:
    """What is wrong with one node itself."""
    kind = type(node).__name__
    line = f"line {node.lineno}"
    if kind not in ALLOWED:
        return f"{line}: {kind} is not allowed; use blocks, if, set and {', '.join(VARIABLES)}"
    if kind == "Call" and not _is_super(node):
        return f"{line}: calls are not allowed, but super()"
    if kind in ("List", "Tuple") and any(type(item).__name__ != "Const" for item in node.items):
        return f"{line}: lists may hold plain values only"
    if kind == "Extends" and getattr(node.template, "value", None) not in BASES:
        return f"{line}: extends takes one of {', '.join(BASES)}"
    if kind in ("Filter", "Test") and node.name not in (FILTERS if kind == "Filter" else TESTS):
        return f"{line}: there is no {kind.lower()} {node.name[:40]}"
    return None


def _is_super(node: Any) -> bool:
    plain = not (node.args or node.kwargs or node.dyn_args or node.dyn_kwargs)
    return plain and getattr(node.node, "name", None) == "super"
