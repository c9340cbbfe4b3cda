"""Types of expressions: known for each part before anything runs, and nothing allowed that is not listed here."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from blocks.patterns import compiled

if TYPE_CHECKING:
    from lark import Tree

MOST_LOOPS_NESTED = 2
MACROS = ("all", "exists", "exists_one", "filter", "map")
TEXT_TESTS = ("contains", "startsWith", "endsWith", "matches")
CASTS = {"int": "int", "double": "number", "string": "text"}
NUMERIC = ("int", "number")
TRANSPARENT = ("relation", "addition", "multiplication", "unary", "member", "primary", "paren_expr")
ANY = "json"
"""The type of what is known at run time only."""

Scope = Mapping[str, str]


class Wrong(ValueError):
    """What is wrong with an expression."""


class Walk:
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
