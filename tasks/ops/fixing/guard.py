"""What a fix may not be, whoever proposes it: tests are not thinned out so that they pass.

Every check compares the file before with the file after. It cannot know all ways to make a test say less; that is why
a fix is a branch that a person looks at, and never merged.
"""

import ast
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any, cast

from tasks.ops.change.looked_at import parsed
from tasks.ops.fixing.edits import with_module
from tasks.ops.fixing.request import Allowed
from tasks.ops.fixing.rules import Proposal

SKIPS = {
    *("skip", "skipif", "skipIf", "skipUnless", "xfail", "importorskip", "skipTest", "SkipTest", "expectedFailure"),
    *("collect_ignore", "collect_ignore_glob", "pytest_collection_modifyitems", "pytest_ignore_collect", "__test__"),
    *("_exit", "exit", "fail_on_skip", "pytest_runtest_makereport", "pytest_pyfunc_call", "pytest_runtest_call"),
    *("__init__", "__new__"),  # pytest passes a class over that has one
}
"""Names by which a test does not run, or does not count."""

WAYS_OUT = (
    *(ast.Return, ast.Raise, ast.Yield, ast.Try, ast.TryStar, ast.If, ast.IfExp, ast.Match, ast.While),
    *(ast.For, ast.AsyncFor, ast.comprehension),  # over nothing
    *(ast.With, ast.AsyncWith),  # as `raises`, which takes a failed assertion for what was awaited
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef),  # that nobody calls
)
"""What a test may not get more of: with it an assertion may not be reached, or its failure be lost."""

CALM = ("suppress",)
CHECKS = ("raises", "warns", "deprecated_call", "fail")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def faults(before: str, proposal: Proposal, allow: Collection[Allowed]) -> list[str]:
    """Why a fix is refused, in words; empty: it is not.

    Args:
        before: Text of the test file.
        proposal: The fix.
        allow: What it may do all the same.
    """
    old, new = parsed(before), parsed(proposal.text)
    if old is None:
        return [] if new is not None else ["the file cannot be read with it"]
    if new is None:
        return ["the file cannot be read with it"]
    found = [*_tests(old, new), *_ways_out(old, new)]
    if "skip" not in allow:
        found += _skips(old, new)
    if "assertions" not in allow:
        found += _assertions(old, new, proposal)
    if "expected" not in allow:
        found += _expected(old, new, proposal)
    return list(dict.fromkeys(found))


def _tests(old: ast.Module, new: ast.Module) -> Iterator[str]:
    before, after = dict(_functions(old)), dict(_functions(new))
    for name, node in before.items():
        if name not in after:
            yield f"the test {name} is gone"
        elif _cases(node) - _cases(after[name]):
            yield f"cases of the test {name} are gone or changed"
    twice = [name for name, count in Counter(name for name, _ in _functions(new)).items() if count > 1]
    if len(twice) > sum(count > 1 for count in Counter(name for name, _ in _functions(old)).values()):
        yield f"two tests are called {twice[0]}: only the last would run"


def _functions(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    for node in tree.body:
        if isinstance(node, Function) and node.name.startswith("test"):
            yield node.name, node
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, Function) and inner.name.startswith("test"):
                    yield f"{node.name}.{inner.name}", inner


def _cases(node: Function) -> Counter[str]:
    """The cases of a parametrised test."""
    return Counter(
        ast.dump(case)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call) and _last(decorator.func) == "parametrize"
        for values in decorator.args[1:2]
        for case in (values.elts if isinstance(values, (ast.List, ast.Tuple)) else [values])
    )


def _skips(old: ast.Module, new: ast.Module) -> Iterator[str]:
    before, after = _names(old), _names(new)
    for name in SKIPS:
        if after[name] > before[name]:
            yield f"it adds {name}, so that a test does not run or does not count"


def _names(tree: ast.AST) -> Counter[str]:
    return Counter(name for node in ast.walk(tree) if (name := _name(node)))


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.name if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.alias)) else ""


def _ways_out(old: ast.Module, new: ast.Module) -> Iterator[str]:
    """New ways by which a test ends before it has asserted anything, or an error in it is lost."""
    after = dict(_functions(new))
    for name, node in _functions(old):
        if name in after and (more := _exits(after[name]) - _exits(node)):
            yield f"the test {name} gets a new {next(iter(more))}, by which it may say less"


def _exits(node: Function) -> Counter[str]:
    found = Counter(type(one).__name__.lower() for one in ast.walk(node) if isinstance(one, WAYS_OUT))
    found.update(_last(one.func) for one in ast.walk(node) if isinstance(one, ast.Call) and _last(one.func) in CALM)
    return found


def _assertions(old: ast.Module, new: ast.Module, proposal: Proposal) -> Iterator[str]:
    after = dict(_functions(new))
    for name, node in [*_functions(old), ("helpers", old)]:
        theirs = new if node is old else after.get(name)
        if theirs is None:
            continue
        there = _checks(theirs)
        for wanted in _checks(node):
            same = next((one for one in there if _covers(_as_now(wanted, proposal), _asserted_by(one), proposal)), None)
            if same is None:
                yield f"an assertion of {name} is gone, or says something else"
                break
            there.remove(same)
        if sum(map(_says_nothing, _checks(theirs))) > sum(map(_says_nothing, _checks(node))):
            yield f"an assertion of {name} holds whatever happens"


def _checks(node: ast.AST) -> list[ast.AST]:
    """What a test asserts."""
    return [
        one
        for one in ast.walk(node)
        if isinstance(one, ast.Assert)
        or (isinstance(one, ast.Call) and (_last(one.func) in CHECKS or _last(one.func).startswith("assert")))
    ]


def _asserted_by(check: ast.AST) -> ast.AST:
    return check.test if isinstance(check, ast.Assert) else check


def _as_now(check: ast.AST, proposal: Proposal) -> ast.AST:
    """What a check asserted, with names as they are now."""
    text = ast.unparse(_asserted_by(check))
    for old, new in proposal.renames.items():
        text = with_module(text, old, new) if "." in old else text
    tree = ast.parse(text, mode="eval").body
    for one in ast.walk(tree):
        if isinstance(one, ast.Name):
            one.id = proposal.renames.get(one.id, one.id)
        if isinstance(one, ast.Attribute):
            one.attr = proposal.renames.get(one.attr, one.attr)
    return tree


def _covers(old: Any, new: Any, proposal: Proposal, *, exact: bool = False) -> bool:
    """Whether one part of an assertion asks for as much as another.

    A model may use other variables, and give calls more arguments; values that are expected are looked at apart. What
    calls are given, and which exceptions are awaited, stays.
    """
    if type(old) is not type(new):
        return False
    if isinstance(old, list):
        items = cast(list[Any], old)
        return len(items) == len(new) and all(
            _covers(one, other, proposal, exact=exact) for one, other in zip(items, new, strict=True)
        )
    if isinstance(old, ast.Name) and proposal.is_models and not exact:
        return True
    if isinstance(old, ast.Constant):
        blank = not exact and (proposal.is_models or bool(proposal.explained))
        return type(old.value) is type(new.value) and (blank or repr(old.value) == repr(new.value))
    if isinstance(old, ast.Call):
        return _covers_call(old, new, proposal)
    if isinstance(old, ast.AST):
        return all(
            _covers(getattr(old, name), getattr(new, name), proposal, exact=exact)
            for name in old._fields
            if name not in ("ctx", "kind")
        )
    return old == new


def _covers_call(old: ast.Call, new: ast.Call, proposal: Proposal) -> bool:
    name = _last(old.func)
    is_check = name in CHECKS or name.startswith("assert")
    given = {one.arg: one.value for one in new.keywords}
    more = len(new.args) > len(old.args) or len(new.keywords) > len(old.keywords)
    if len(new.args) < len(old.args) or (more and (is_check or not proposal.is_models)):
        return False
    return (
        _covers(old.func, new.func, proposal, exact=is_check)
        and all(_covers(one, other, proposal, exact=True) for one, other in zip(old.args, new.args, strict=False))
        and all(one.arg in given and _covers(one.value, given[one.arg], proposal, exact=True) for one in old.keywords)
    )


def _says_nothing(node: ast.AST) -> bool:
    if not isinstance(node, ast.Assert):
        return False
    test = node.test
    if isinstance(test, ast.Constant) or (isinstance(test, (ast.Tuple, ast.List)) and test.elts):
        return True
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or):
        return any(isinstance(one, ast.Constant) and bool(one.value) for one in test.values)
    if isinstance(test, ast.Compare) and len(test.comparators) == 1:
        return ast.dump(test.left) == ast.dump(test.comparators[0])
    return False


def _expected(old: ast.Module, new: ast.Module, proposal: Proposal) -> Iterator[str]:
    """Values that are asserted now and were not before, unless a change of the source explains them; inputs that go."""
    if not (proposal.is_models or proposal.explained):
        return
    explained = {repr(value) for value in proposal.explained}
    before, after = _values(old), _values(new)
    for value in (after[0] - before[0]).keys() - explained:
        yield f"it expects {value:.80}, which no change of the source explains"
    for value in before[1] - after[1]:
        yield f"it gives the code no {value:.80} any more"


def _values(tree: ast.Module) -> tuple[Counter[str], Counter[str]]:
    """Constants in assertions and in what is assigned to names that these use: expected ones, and inputs of calls."""
    checks = _checks(tree)
    used = {one.id for check in checks for one in ast.walk(check) if isinstance(one, ast.Name)}
    assigned = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and target.id in used
    ]
    parts = [*(_asserted_by(check) for check in checks), *assigned]
    given = Counter(value for part in parts for value in _inputs(part))
    everything = Counter(value for part in parts for value in _constants(part))
    return everything - given, given


def _inputs(part: ast.AST) -> list[str]:
    """Constants in what calls are given, but for calls that assert."""
    calls = [
        one
        for one in ast.walk(part)
        if isinstance(one, ast.Call) and _last(one.func) not in CHECKS and not _last(one.func).startswith("assert")
    ]
    inner = {id(below) for call in calls for below in ast.walk(call) if below is not call}
    return [value for call in calls if id(call) not in inner for value in _constants(call)]


def _constants(part: ast.AST) -> list[str]:
    return [repr(one.value) for one in ast.walk(part) if isinstance(one, ast.Constant)]


def _last(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
