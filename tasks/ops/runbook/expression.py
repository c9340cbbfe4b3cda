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
from tasks.ops.runbook.expression_types import Scope, Walk, Wrong
from tasks.ops.runbook.template import UNKNOWN, Unknown

if TYPE_CHECKING:
    from collections.abc import Generator

LONGEST_CHARS = 2000
MOST_STEPS = 200_000
LONGEST_S = 2.0
VALUE_CHARS = 200_000


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
        walk = Walk({}, strict=False)
        with _deep():
            walk.type_of(self.tree)
        return frozenset(walk.names)

    def type_in(self, scope: Scope) -> str:
        """What it gives, in a scope of variables with their types; `json`: known at run time only. Raises `Wrong`."""
        with _deep():
            return Walk(scope).type_of(self.tree)

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
