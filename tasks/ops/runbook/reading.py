"""Runbooks from their files: every fault of the form with its line."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from blocks.errors import BadInput, NotFound
from blocks.faults import LIST, MAPPING, Fault, Place, faults_of
from blocks.yaml_file import YamlText, read_yaml
from tasks.ops.runbook.form import DEEPEST, KINDS, NESTED, Runbook
from tasks.ops.runbook.triggers import TRIGGERS

FIX = "correct the runbook; docs/operations/runbooks.md shows its form"
SUFFIX = ".yaml"


@dataclass(frozen=True, kw_only=True)
class Source:
    """A runbook with the file that it was read from.

    Attributes:
        runbook: What it says.
        path: The file.
        text: The file with its lines, for faults.
        sha256: Of the file.
    """

    runbook: Runbook
    path: Path
    text: YamlText
    sha256: str


def read_runbook(path: Path) -> Source:
    """The runbook of a file; whether it can be run, `checked` says.

    Raises:
        NotFound: there is none.
        BadInput: it is wrong; `details["problems"]` has every fault with its line.
    """
    text = read_yaml(path, fix=FIX, field="runbook", absent=f"runbooks are files NAME{SUFFIX} in {path.parent}")
    form, faults = TypeAdapter(Runbook), list[Fault]()
    content: Any = text.content
    if isinstance(content, dict):
        content = _with_steps(cast(dict[str, Any], content), faults)
    runbook = None
    try:
        runbook = form.validate_python(content)
    except ValidationError as error:
        faults += faults_of(error, form)
    if runbook is not None and runbook.name != path.stem:
        faults.append(Fault(("name",), f"the file is called {path.name}; both are to be the same"))
    if faults or runbook is None:
        raise text.wrong(faults)
    return Source(runbook=runbook, path=path, text=text, sha256=sha256(path.read_bytes()).hexdigest())


def runbook_files(folder: Path) -> Iterator[Path]:
    """The files of a folder that hold runbooks, sorted."""
    yield from sorted(path for path in folder.expanduser().glob(f"*{SUFFIX}") if path.is_file())


def path_of(folder: Path, name: str) -> Path:
    """The file of a runbook, by its name or its path. Raises `NotFound`."""
    if name.endswith((SUFFIX, ".yml")) or "/" in name:
        return Path(name).expanduser()
    path = folder.expanduser() / f"{name}{SUFFIX}"
    if not path.is_file():
        known = ", ".join(one.stem for one in runbook_files(folder)) or "none"
        raise NotFound(f"there is no runbook {name} in {folder}", fix=f"there are: {known}", field="runbook")
    return path


def readable(folder: Path) -> tuple[list[Source], list[BadInput]]:
    """All runbooks of a folder that can be read, and what is wrong with the others."""
    sources, wrong = list[Source](), list[BadInput]()
    for path in runbook_files(folder):
        try:
            sources.append(read_runbook(path))
        except BadInput as error:
            wrong.append(error)
    return sources, wrong


def _with_steps(content: dict[str, Any], faults: list[Fault]) -> dict[str, Any]:
    """The content with its steps and triggers as records; what cannot be one is left out, and told."""
    told = dict(content)
    if "steps" in told:
        told["steps"] = _steps(told["steps"], ("steps",), faults, 0) or told["steps"]
    if isinstance(told.get("compensation"), dict):
        named = cast(dict[str, Any], told["compensation"])
        told["compensation"] = {name: _steps(part, ("compensation", name), faults, 0) for name, part in named.items()}
    if (trigger := told.get("trigger")) is not None:
        several = cast(list[Any], trigger) if isinstance(trigger, list) else None
        places: list[Place] = [("trigger",)] if several is None else [("trigger", n) for n in range(len(several))]
        told["trigger"] = tuple(
            _trigger(raw, place, faults) for raw, place in zip(several or [trigger], places, strict=True)
        )
    return told


def _trigger(raw: Any, place: Place, faults: list[Fault]) -> Any:
    fields = cast(dict[str, Any], raw) if isinstance(raw, dict) else {}
    kinds = [kind for name, kind in TRIGGERS.items() if name in fields]
    if len(kinds) != 1:
        faults.append(Fault(place, f"a trigger has one of {', '.join(TRIGGERS)}"))
        return raw
    return _record(kinds[0], fields, place, faults)


def _steps(raw: Any, place: Place, faults: list[Fault], depth: int) -> tuple[Any, ...]:
    if not isinstance(raw, list):
        faults.append(Fault(place, LIST))
        return ()
    if depth > DEEPEST:
        faults.append(Fault(place, f"steps lie within each other at most {DEEPEST} deep; make it a runbook of its own"))
        return ()
    items = cast(list[Any], raw)
    return tuple(_step(item, (*place, number), faults, depth) for number, item in enumerate(items))


def _step(raw: Any, place: Place, faults: list[Fault], depth: int) -> Any:
    if not isinstance(raw, dict):
        faults.append(Fault(place, MAPPING))
        return None
    fields = cast(dict[str, Any], raw)
    kinds = [name for name in KINDS if name in fields]
    if len(kinds) != 1:
        what = "is both " + " and ".join(kinds) if kinds else "has none of " + ", ".join(KINDS)
        faults.append(Fault(place, f"a step does one thing; this one {what}"))
        return None
    [kind] = kinds
    told: dict[str, Any] = {**fields, "place": place}
    for field in NESTED.get(kind, ()):
        if field in told:
            told[field] = _nested(kind, told[field], (*place, field), faults, depth + 1)
    return _record(KINDS[kind], told, place, faults)


def _nested(kind: str, raw: Any, place: Place, faults: list[Fault], depth: int) -> Any:
    if kind != "parallel":
        return _steps(raw, place, faults, depth)
    if not isinstance(raw, list):
        faults.append(Fault(place, LIST))
        return ((), ())
    branches = cast(list[Any], raw)
    return tuple(_steps(branch, (*place, number), faults, depth) for number, branch in enumerate(branches))


def _record(kind: type[Any], fields: dict[str, Any], place: Place, faults: list[Fault]) -> Any:
    form: TypeAdapter[Any] = TypeAdapter(kind)
    try:
        return form.validate_python(fields)
    except ValidationError as error:
        faults += [fault.within(place) for fault in faults_of(error, form)]
        return None
