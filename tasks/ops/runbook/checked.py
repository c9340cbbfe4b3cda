"""A runbook checked wholly before its first step: names, types, words, hosts, files, and what it calls."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blocks.errors import BadInput
from blocks.faults import Fault, Place
from blocks.hosts import Inventory
from tasks.ops.runbook.checked_texts import Scope, Texts
from tasks.ops.runbook.form import (
    DEEPEST,
    MOST_STEPS,
    Approve,
    Conditional,
    Copy,
    Exec,
    Notify,
    OnFailure,
    Parallel,
    Runbook,
    Step,
    SubRunbook,
    WaitUntil,
    template,
)
from tasks.ops.runbook.parse import Parse
from tasks.ops.runbook.reading import FIX, Source, read_runbook, runbook_files
from tasks.ops.runbook.typed import Typed

VALUE = "value"
"""What an expression over a metric calls it."""

METRIC: Scope = {VALUE: "number"}

FAILURE: Scope = {"failure_step": "text", "failure_why": "text"}
"""What steps of `compensation` know beside what was known where the step failed."""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A runbook that can be run, with all that it calls.

    Attributes:
        name: Its name.
        sources: Itself and what it calls, by name.
    """

    name: str
    sources: Mapping[str, Source]

    @property
    def runbook(self) -> Runbook:
        """Itself."""
        return self.sources[self.name].runbook

    @property
    def fingerprint(self) -> str:
        """Of all that it says; a run goes on with the same only."""
        from hashlib import sha256

        told = "\n".join(f"{name} {source.sha256}" for name, source in sorted(self.sources.items()))
        return sha256(told.encode()).hexdigest()


def ready(path: Path, inventory: Inventory, *, metrics: bool = True) -> Ready:
    """The runbook of a file, checked with all that it calls.

    Args:
        path: Its file; runbooks that it calls lie beside it.
        inventory: The hosts there are.
        metrics: Whether there is a Prometheus to ask.

    Raises:
        NotFound: there is none.
        BadInput: it cannot be run; `details["problems"]` has every fault of every file with its line.
    """
    first = read_runbook(path)
    check = _Check(path.parent, inventory, metrics)
    check.scope_after(first, ())
    problems = [problem for name in check.faults for problem in _told(check, name)]
    if problems:
        raise BadInput("\n".join(problems[:20]), fix=FIX, field="runbook", problems=problems)
    return Ready(name=first.runbook.name, sources=check.sources)


def steps_of(steps: Iterable[Step]) -> Iterator[Step]:
    """All steps, those within others too."""
    for step in steps:
        yield step
        match step:
            case Conditional():
                yield from steps_of((*step.then, *step.otherwise))
            case Parallel():
                for branch in step.branches:
                    yield from steps_of(branch)
            case _:
                pass


def _told(check: "_Check", name: str) -> list[str]:
    text, faults = check.sources[name].text, list(dict.fromkeys(check.faults[name]))
    return list(text.wrong(faults).details["problems"]) if faults else []


@dataclass
class _Check:
    """The check of a runbook and all that it calls."""

    folder: Path
    inventory: Inventory
    metrics: bool
    sources: dict[str, Source] = field(default_factory=dict[str, Source])
    faults: dict[str, list[Fault]] = field(default_factory=dict[str, list[Fault]])
    after: dict[str, Scope] = field(default_factory=dict[str, Scope])

    def scope_after(self, source: Source, above: tuple[str, ...]) -> Scope:
        """What is known when a runbook has ended well; its faults are kept."""
        name = source.runbook.name
        if name not in self.after:
            self.sources[name], self.faults[name] = source, []
            self.after[name] = _CheckOne(self, source, (*above, name)).run()
        return self.after[name]

    def called(self, name: str, above: tuple[str, ...]) -> tuple[Source, Scope] | str:
        """A runbook that is called, and its scope at its end; or why it cannot be."""
        if name in above:
            return f"it calls itself: {' → '.join((*above[above.index(name) :], name))}"
        if len(above) >= DEEPEST:
            return f"runbooks call each other at most {DEEPEST} deep"
        path = next((one for one in runbook_files(self.folder) if one.stem == name), None)
        if path is None:
            return f"there is no runbook {name} beside this one"
        try:
            source = self.sources.get(name) or read_runbook(path)
        except BadInput as error:
            return f"the runbook {name} is wrong: {error.message.splitlines()[0]}"
        return source, self.scope_after(source, above)


class _CheckOne:
    """The check of one runbook."""

    def __init__(self, check: _Check, source: Source, above: tuple[str, ...]) -> None:
        self._check, self._source, self._above = check, source, above
        self._book = source.runbook
        self._texts = Texts(check.inventory, self._fault)
        self._gotos: dict[str, list[Scope]] = {}

    def run(self) -> Scope:
        """The scope at its end."""
        book = self._book
        scope: Scope = {name: one.type for name, one in book.parameters.items()}
        self._texts.hosts(book.host, scope, ("host",))
        self._names()
        for name, parameter in book.parameters.items():
            if parameter.type in ("list", "json") and parameter.alert:
                self._fault(("parameters", name, "alert"), "an alert holds texts and a number only")
        after = self._steps(book.steps, scope)
        for name, steps in book.compensation.items():
            if not (scopes := self._gotos.get(name)):
                self._fault(("compensation", name), "no step leads here; `on_failure: {goto: NAME}` does")
            self._steps(steps, FAILURE | _common(scopes or [scope]), compensating=True)
        return after

    def _names(self) -> None:
        book, seen = self._book, dict[str, Place]()
        every = [*steps_of(book.steps), *(one for part in book.compensation.values() for one in steps_of(part))]
        for step in every:
            if step.name in seen:
                self._faults(Fault((*step.place, "name"), "another step is called so", (*seen[step.name], "name")))
            seen.setdefault(step.name, step.place)
        if len(every) > MOST_STEPS:
            self._fault(("steps",), f"more than {MOST_STEPS} steps; make some of them a runbook of their own")

    def _steps(self, steps: Iterable[Step], scope: Scope, *, compensating: bool = False) -> Scope:
        for step in steps:
            before = scope
            scope = self._one(step, dict(scope))
            self._on_failure(step, before, compensating=compensating)
            if step.on_failure.then == "continue":
                scope = self._maybe(step, before, scope)
        return scope

    def _one(self, step: Step, scope: Scope) -> Scope:
        """The scope after a step."""
        match step:
            case Exec():
                return self._exec(step, scope)
            case WaitUntil():
                return self._wait(step, scope)
            case Conditional():
                return self._conditional(step, scope)
            case Parallel():
                return self._parallel(step, scope)
            case Copy():
                self._copy(step, scope)
            case Notify():
                self._texts.text(step.message.subject, scope, (*step.place, "notify", "subject"))
                self._texts.text(step.message.body, scope, (*step.place, "notify", "body"))
            case Approve():
                self._texts.text(step.question, scope, (*step.place, "approve"))
            case SubRunbook():
                return self._calls(step, scope)
            case _:
                raise AssertionError(step.kind)
        return scope

    def _exec(self, step: Exec, scope: Scope) -> Scope:
        self._texts.hosts(step.host, scope, (*step.place, "host"))
        self._texts.command(step.argv, scope, (*step.place, "exec"), step.stdin, (*step.place, "stdin"))
        if step.read_only and step.repeatable:
            self._fault((*step.place, "repeatable"), "what is read_only is repeatable anyway; say one of them")
        for number, parse in enumerate(step.parse):
            if parse.source == "exit_code" and step.ok_codes == (0,):
                at = (*step.place, "parse", number)
                self._fault(at, "it can only be 0, as other codes fail the step; list them in ok_codes")
        return self._parses(step.parse, scope, step.place)

    def _wait(self, step: WaitUntil, scope: Scope) -> Scope:
        if step.argv is not None:
            self._texts.hosts(step.host, scope, (*step.place, "host"))
            self._texts.command(step.argv, scope, (*step.place, "command"), "", step.place)
        known = self._parses(step.parse, scope, step.place)
        if step.metric is not None:
            if not self._check.metrics:
                self._fault((*step.place, "metric"), "there is no Prometheus; set PROMETHEUS_URL")
            self._texts.metric(step.metric, scope, (*step.place, "metric"))
            known = scope | METRIC
        fresh = {parse.set for parse in step.parse} if step.metric is None else {VALUE}
        names = self._texts.condition(step.condition, known, (*step.place, "wait_until"))
        if names is not None and not names & fresh:
            told = (
                f"it reads none of {', '.join(sorted(fresh))}, and would never change" if fresh else "it never changes"
            )
            self._fault((*step.place, "wait_until"), told)
        return scope if step.metric is not None else known

    def _conditional(self, step: Conditional, scope: Scope) -> Scope:
        self._texts.condition(step.condition, scope, (*step.place, "if"))
        if not step.then and not step.otherwise:
            self._fault((*step.place, "if"), "neither `then` nor `else` has steps")
        return _common([self._steps(step.then, dict(scope)), self._steps(step.otherwise, dict(scope))])

    def _parallel(self, step: Parallel, scope: Scope) -> Scope:
        result, owner = dict(scope), dict[str, int]()
        for number, branch in enumerate(step.branches):
            place = (*step.place, "parallel", number)
            if not branch:
                self._fault(place, "it has no steps")
            after = self._steps(branch, dict(scope))
            for name in _sets(branch):
                if owner.setdefault(name, number) != number:
                    self._fault(place, f"{name} is set by another branch, too; which comes last nobody knows")
            result |= after
        return result

    def _copy(self, step: Copy, scope: Scope) -> None:
        place = (*step.place, "copy")
        self._texts.hosts(step.host, scope, (*step.place, "host"))
        if step.what.content is not None:
            self._texts.text(step.what.content, scope, (*place, "content"))
        if step.what.file is not None and not self._is_beside(step.what.file):
            self._fault((*place, "file"), f"there is no file {step.what.file} beside the runbook")
        to = template(step.what.to)
        self._texts.slots(to, scope, (*place, "to"))
        if to.slots and "/" not in str(to.parts[0]).lstrip("/"):
            told = f"begin with a written folder, as /srv/{to.slots[0]}: a value in its place could lead anywhere"
            self._fault((*place, "to"), told)
        for slot in to.slots:
            if scope.get(slot.name) == "path":
                self._fault((*place, "to"), "a path cannot stand within a path; use a name")

    def _is_beside(self, file: str) -> bool:
        folder = self._source.path.parent.resolve()
        path = (folder / file).resolve()
        return path.is_file() and path.is_relative_to(folder)

    def _calls(self, step: SubRunbook, scope: Scope) -> Scope:
        known = self._called(step.runbook, step.given, scope, step.place, "runbook")
        for mine, theirs in step.returns.items():
            if known is not None and theirs not in known:
                has = ", ".join(sorted(known)) or "nothing"
                self._fault(
                    (*step.place, "returns", mine), f"{step.runbook} does not surely give {theirs}; it has {has}"
                )
            scope[mine] = (known or {}).get(theirs, "json")
        return scope

    def _called(self, name: str, given: Mapping[str, Any], scope: Scope, place: Place, field_: str) -> Scope | None:
        found = self._check.called(name, self._above)
        if isinstance(found, str):
            self._fault((*place, field_), found)
            return None
        source, after = found
        parameters = source.runbook.parameters
        for key, value in given.items():
            at = (*place, "with", key)
            if key not in parameters:
                self._fault(at, f"{name} has no parameter {key}; it has {', '.join(parameters) or 'none'}")
            elif isinstance(value, str):
                self._argument(value, parameters[key], scope, at)
            else:
                self._casts(parameters[key], value, at)
        for key, parameter in parameters.items():
            if key not in given and parameter.default is None:
                self._fault((*place, field_), f"{name} needs its parameter {key}, and `with` does not say it")
        return after

    def _argument(self, text: str, parameter: Typed, scope: Scope, place: Place) -> None:
        found = self._texts.text(text, scope, place)
        if found is not None and found.literal is not None:
            self._casts(parameter, found.literal, place)

    def _casts(self, parameter: Typed, value: Any, place: Place) -> None:
        try:
            parameter.cast(value)
        except ValueError as error:
            self._fault(place, str(error))

    def _on_failure(self, step: Step, scope: Scope, *, compensating: bool) -> None:
        wanted, place = step.on_failure, (*step.place, "on_failure")
        if wanted == OnFailure():
            return
        if isinstance(step, Conditional):
            self._fault(place, "a condition does not fail; say it with the steps within")
        if isinstance(step, Approve) and (wanted.then == "continue" or wanted.retry):
            self._fault(place, "where people do not agree, it does not go on, and they are not asked again")
        if wanted.retry and not _repeatable(step):
            self._fault(
                (*place, "retry"), "what has an effect is tried again only if it is `repeatable` or `read_only`"
            )
        if compensating and (wanted.goto or wanted.runbook):
            self._fault(place, "steps that make up for others end there; `continue` or `stop`")
        if wanted.goto is not None:
            if wanted.goto not in self._book.compensation:
                self._fault((*place, "goto"), f"there is no {wanted.goto} under `compensation`")
            self._gotos.setdefault(wanted.goto, []).append(dict(scope))
        if wanted.runbook is not None:
            self._called(wanted.runbook, wanted.given, FAILURE | scope, place, "runbook")

    def _maybe(self, step: Step, before: Scope, after: Scope) -> Scope:
        """The scope after a step that may fail and go on: what it sets is known only where a default says what then."""
        if isinstance(step, Exec):
            sure = {parse.set for parse in step.parse if parse.default is not None}
            return {name: kind for name, kind in after.items() if name in before or name in sure}
        return before

    def _parses(self, parses: Iterable[Parse], scope: Scope, place: Place) -> Scope:
        seen = set[str]()
        for number, parse in enumerate(parses):
            at = (*place, "parse", number, "set")
            if parse.set in seen:
                self._fault(at, f"{parse.set} is set twice by this step")
            if parse.set in self._book.parameters:
                self._fault(at, f"{parse.set} is a parameter, and stays what it is")
            if scope.get(parse.set, parse.type) != parse.type:
                self._fault(at, f"{parse.set} is of type {scope[parse.set]} elsewhere")
            seen.add(parse.set)
            scope = {**scope, parse.set: parse.type}
        return scope

    def _fault(self, place: Place, what: str) -> None:
        self._faults(Fault(place, what))

    def _faults(self, fault: Fault) -> None:
        self._check.faults[self._book.name].append(fault)


def _common(scopes: Iterable[Scope]) -> Scope:
    """What is known whichever way was taken."""
    first, *others = scopes
    return {name: kind for name, kind in first.items() if all(other.get(name) == kind for other in others)}


def _sets(steps: Iterable[Step]) -> set[str]:
    found = set[str]()
    for step in steps_of(steps):
        if isinstance(step, Exec | WaitUntil):
            found |= {parse.set for parse in step.parse}
        elif isinstance(step, SubRunbook):
            found |= set(step.returns)
    return found


def _repeatable(step: Step) -> bool:
    match step:
        case Exec():
            return step.read_only or step.repeatable
        case WaitUntil() | Copy():
            return True
        case _:
            return False
