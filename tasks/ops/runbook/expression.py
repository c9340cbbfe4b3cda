"""Conditions in CEL, Google's Common Expression Language: checked for names and types before anything runs.

The text of an expression comes from the runbook only; values are bound to its variables, and never become part of it.
CEL has no loops but over lists, no assignments and no calls but of the functions below. cel-python 0.5 has more than
the language (`reduce`, `'%9d' % x` with Python's formats): what is not listed here is refused. Size, depth of nesting
and the steps of an evaluation are bounded.
"""

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from blocks.errors import BadInput, TimedOut
from tasks.ops.runbook.template import UNKNOWN, Unknown
from tasks.ops.runbook.typed import compiled

if TYPE_CHECKING:
    from collections.abc import Generator

    from lark import Tree

LONGEST_CHARS = 2000
MOST_LOOPS_NESTED = 2
MOST_STEPS = 200_000
LONGEST_S = 2.0
VALUE_CHARS = 200_000

MACROS = ("all", "exists", "exists_one", "filter", "map")
TEXT_TESTS = ("contains", "startsWith", "endsWith", "matches")
CASTS = {"int": "int", "double": "number", "string": "text"}
NUMERIC = ("int", "number")
ANY = "json"
"""The type of what is known at run time only."""

Scope = Mapping[str, str]


class Wrong(ValueError):
    """What is wrong with an expression."""


class Unevaluated(BadInput):
    """An expression has no value for these variables."""

    code = "EXPRESSION_FAILED"


@dataclass(frozen=True)
class Expression:
    """An expression that compiles.

    Attributes:
        text: As it was written.
        tree: Of cel-python.
    """

    text: str
    tree: Any

    def names(self) -> frozenset[str]:
        """The variables that it reads. Raises `Wrong`."""
        walk = _Walk({}, strict=False)
        with _deep():
            walk.type_of(self.tree)
        return frozenset(walk.names)

    def type_in(self, scope: Scope) -> str:
        """What it gives, in a scope of variables with their types; `json`: known at run time only. Raises `Wrong`."""
        with _deep():
            return _Walk(scope).type_of(self.tree)

    def evaluate(self, values: Mapping[str, Any]) -> bool:
        """Whether it holds.

        Raises:
            Unknown: a dry run does not know a value.
            Unevaluated: it has no value for these, or another than true and false.
            TimedOut: it took too many steps.
        """
        names = self.names()
        for name in sorted(names):
            if values[name] is UNKNOWN:
                raise Unknown(name)
        given = _evaluated(self.text, {name: values[name] for name in names})
        if not isinstance(given, bool):
            raise Unevaluated(f"`{self.text}` is neither true nor false", fix="compare it with something")
        return given


@lru_cache(maxsize=512)
def parse_expression(text: str) -> Expression:
    """An expression. Raises `Wrong` where it does not compile."""
    from celpy.celparser import CELParseError

    if len(text) > LONGEST_CHARS:
        raise Wrong(f"it has more than {LONGEST_CHARS} characters")
    if "{{" in text:
        raise Wrong("variables stand in expressions by their name alone, without {{ }}")
    try:
        with _deep():
            tree = _environment().compile(text)
    except CELParseError as error:
        place = f" at character {error.column}" if error.column else ""
        raise Wrong(f"it is no CEL expression{place}; blanks belong around operators") from None
    return Expression(text, tree)


class _Walk:
    """Types of the parts of an expression, where each is known to be allowed."""

    def __init__(self, scope: Scope, *, strict: bool = True) -> None:
        self.names: set[str] = set()
        self._scope, self._strict = dict(scope), strict
        self._bound: list[tuple[str, str]] = []

    def type_of(self, node: "Tree[Any]") -> str:
        """The type of a part."""
        known = getattr(self, f"_{node.data}", None)
        parts = node.children
        if known is not None:
            return known(parts)
        if len(parts) == 1 and node.data in TRANSPARENT:
            return self.type_of(parts[0])  # pyright: ignore[reportArgumentType]
        if len(parts) == 2 and node.data in TRANSPARENT:
            return self._two(parts)
        raise Wrong("it has something that is not allowed here, as a mapping or a message")

    def _expr(self, parts: Any) -> str:
        if len(parts) == 1:
            return self.type_of(parts[0])
        self._is(parts[0], "bool")
        return self._joined(self.type_of(parts[1]), self.type_of(parts[2]))

    def _conditionalor(self, parts: Any) -> str:
        if len(parts) == 1:
            return self.type_of(parts[0])
        for part in parts:
            self._is(part, "bool")
        return "bool"

    _conditionaland = _conditionalor

    def _two(self, parts: Any) -> str:
        operator, left = parts[0].data, None
        if operator == "unary_not":
            self._is(parts[1], "bool")
            return "bool"
        if operator == "unary_neg":
            return self._is(parts[1], *NUMERIC)
        left, right = self.type_of(parts[0].children[0]), self.type_of(parts[1])
        if operator == "relation_in":
            self._must(right in ("list", ANY), "`in` looks into a list")
            return "bool"
        if operator.startswith("relation_"):
            self._must(_comparable(left, right), f"it compares {left} with {right}")
            ordered = operator not in ("relation_eq", "relation_ne")
            self._must(not ordered or not {left, right} & {"bool", "list"}, f"values of type {left} have no order")
            return "bool"
        adds = operator == "addition_add"
        allowed = (*NUMERIC, *(("text", "list") if adds else ()), ANY)
        self._must(left in allowed and right in allowed and _comparable(left, right), f"it reckons {left} with {right}")
        return self._joined(left, right)

    def _member_dot(self, parts: Any) -> str:
        self._must(self.type_of(parts[0]) == ANY, "only values of type json have parts")
        return ANY

    def _member_index(self, parts: Any) -> str:
        self._must(self.type_of(parts[0]) in ("list", ANY), "only lists and values of type json have parts")
        self._is(parts[1], "int", "text")
        return ANY

    def _member_dot_arg(self, parts: Any) -> str:
        name, given = str(parts[1]), _arguments(parts)
        if name in MACROS:
            return self._macro(name, parts[0], given)
        if name not in TEXT_TESTS or len(given) != 1:
            raise Wrong(f"there is no function {name} here; there are {', '.join((*TEXT_TESTS, *MACROS))}")
        self._is(parts[0], "text")
        self._is(given[0], "text")
        if name == "matches":
            pattern = _literal(given[0])
            if pattern is None:
                raise Wrong("the pattern of matches() is written in the runbook, and comes from no variable")
            try:
                compiled(pattern)
            except ValueError as error:
                raise Wrong(str(error)) from None
        return "bool"

    def _macro(self, name: str, over: Any, given: Any) -> str:
        self._must(self.type_of(over) in ("list", ANY), f"{name}() goes over a list")
        variable = _only_name(given[0]) if len(given) == 2 else None
        if variable is None:
            raise Wrong(f"{name}() takes the name of a variable and an expression, as {name}(x, x > 1)")
        if len(self._bound) >= MOST_LOOPS_NESTED:
            raise Wrong(f"more than {MOST_LOOPS_NESTED} loops within each other")
        self._bound.append((variable, ANY))
        kind = self.type_of(given[1])
        self._bound.pop()
        if name == "map":
            return "list"
        self._must(kind in ("bool", ANY), f"{name}() needs a condition")
        return "list" if name == "filter" else "bool"

    def _ident_arg(self, parts: Any) -> str:
        name, given = str(parts[0]), _arguments(parts)
        if len(given) != 1:
            raise Wrong(f"{name}() takes one value")
        if name == "size":
            self._is(given[0], "text", "list")
            return "int"
        if name == "has":
            self._must(self.type_of(given[0]) == ANY, "has() asks for a part, as has(answer.status)")
            if next(given[0].find_data("member_dot"), None) is None:
                raise Wrong("has() asks for a part, as has(answer.status)")
            return "bool"
        if name not in CASTS:
            raise Wrong(f"there is no function {name} here; there are size, has, {', '.join(CASTS)}")
        self._must(self.type_of(given[0]) not in ("list", "bool"), f"{name}() takes a number or a text")
        return CASTS[name]

    def _list_lit(self, parts: Any) -> str:
        for part in parts[0].children if parts else ():
            self.type_of(part)
        return "list"

    def _ident(self, parts: Any) -> str:
        name = str(parts[0])
        for bound, kind in reversed(self._bound):
            if bound == name:
                return kind
        self.names.add(name)
        if not self._strict:
            return ANY
        if name not in self._scope:
            raise Wrong(f"there is no variable {name} here" + _known(self._scope))
        return {"path": "text", "host": "text"}.get(self._scope[name], self._scope[name])

    def _literal(self, parts: Any) -> str:
        kinds = {"INT_LIT": "int", "FLOAT_LIT": "number", "STRING_LIT": "text", "MLSTRING_LIT": "text"}
        kind = {**kinds, "BOOL_LIT": "bool", "NULL_LIT": ANY}.get(parts[0].type)
        if kind is None:
            raise Wrong("it has a value of a type that is not used here")
        return kind

    def _is(self, part: Any, *kinds: str) -> str:
        found = self.type_of(part)
        self._must(found in (*kinds, ANY), f"it needs {' or '.join(kinds)} where it has {found}")
        return found

    def _must(self, holds: bool, what: str) -> None:
        if self._strict and not holds:
            raise Wrong(what)

    def _joined(self, left: str, right: str) -> str:
        if left == right:
            return left
        return "number" if left in NUMERIC and right in NUMERIC else ANY


def _arguments(parts: Any) -> list[Any]:
    """What a function is given."""
    last = parts[-1]
    return list(last.children) if getattr(last, "data", "") == "exprlist" else []


TRANSPARENT = ("relation", "addition", "multiplication", "unary", "member", "primary", "paren_expr")


def _comparable(left: str, right: str) -> bool:
    return ANY in (left, right) or left == right or (left in NUMERIC and right in NUMERIC)


def _known(scope: Scope) -> str:
    return f"; there are {', '.join(sorted(scope))}" if scope else ""


def _only(node: Any) -> Any:
    """What is left of a part that holds nothing but one thing."""
    while getattr(node, "children", None) and len(node.children) == 1 and node.data not in ("ident", "literal"):
        node = node.children[0]
    return node


def _only_name(node: Any) -> str | None:
    only = _only(node)
    return str(only.children[0]) if getattr(only, "data", "") == "ident" else None


def _literal(node: Any) -> str | None:
    """The text that a part is, if it is a literal one."""
    only = _only(node)
    if getattr(only, "data", "") != "literal" or only.children[0].type != "STRING_LIT":
        return None
    from celpy.evaluation import celstr

    return str(celstr(only.children[0]))


@contextmanager
def _deep() -> "Generator[None]":
    """Recursion that goes too deep is told as a fault; cel-python sets the interpreter's limit, which stays ours."""
    limit = sys.getrecursionlimit()
    try:
        yield
    except RecursionError:
        raise Wrong("it is nested too deep") from None
    finally:
        if sys.getrecursionlimit() != limit:
            sys.setrecursionlimit(limit)


@lru_cache(maxsize=1)
def _environment() -> Any:
    from celpy import Environment

    return Environment()


def _evaluated(text: str, values: Mapping[str, Any]) -> Any:
    from celpy.adapter import json_to_cel
    from celpy.celtypes import BoolType
    from celpy.evaluation import CELEvalError

    for name, value in values.items():
        if len(repr(value)) > VALUE_CHARS:
            raise Unevaluated(f"the value of {name} is too large for an expression", fix="parse less", field=name)
    try:
        with _deep():
            bound: Any = {name: json_to_cel(value) for name, value in values.items()}
            given = _bounded(parse_expression(text).tree, bound)
    except (CELEvalError, Wrong, ValueError, TypeError) as error:
        told = str(error.args[0] if error.args else error)[:200]
        raise Unevaluated(f"`{text}` has no value: {told}", fix="look at the values it was held against") from None
    return bool(given) if isinstance(given, BoolType | bool) else None


def _bounded(tree: Any, values: Any) -> Any:
    """Evaluate a tree within so many steps, and so long."""
    from celpy.evaluation import Activation, Evaluator

    deadline, left = time.monotonic() + LONGEST_S, MOST_STEPS

    class Bounded(Evaluator):
        def sub_evaluator(self, ast: Any) -> "Bounded":
            return Bounded(ast, activation=self.activation)

        def _visit_tree(self, tree: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0 or time.monotonic() > deadline:
                raise TimedOut("an expression takes too long", fix="have it look at less")
            return super()._visit_tree(tree)  # pyright: ignore[reportPrivateUsage]

    return Bounded(tree, activation=Activation(functions=_functions())).evaluate(values)


@lru_cache(maxsize=1)
def _functions() -> dict[str, Any]:
    """CEL's operators for numbers, where int and double may meet; cel-python would have texts formatted by `%`."""
    from celpy.evaluation import base_functions

    names = ("_<_", "_<=_", "_>_", "_>=_", "_==_", "_!=_", "_+_", "_-_", "_*_", "_/_", "_%_")
    return {name: _meeting(base_functions[name], only_numbers=name in ("_*_", "_/_", "_%_")) for name in names}


def _meeting(operator: Callable[..., Any], *, only_numbers: bool) -> Callable[..., Any]:
    from celpy.celtypes import BoolType, DoubleType, IntType

    def applied(left: Any, right: Any) -> Any:
        numbers = all(isinstance(one, IntType | DoubleType) and not isinstance(one, BoolType) for one in (left, right))
        if numbers and type(left) is not type(right):
            left, right = DoubleType(left), DoubleType(right)
        elif only_numbers and not numbers:
            raise TypeError("only numbers are reckoned with")
        return operator(left, right)

    return applied
