"""Suites of expectations, as files that people extend."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from blocks.errors import BadInput
from blocks.faults import Fault
from blocks.model import Frozen
from blocks.yaml_file import YamlText, read_yaml
from tasks.quality.audit.collect import BatchRow
from tasks.quality.audit.drift import DriftRow
from tasks.quality.audit.history import PeriodRow
from tasks.quality.audit.job_row import JobRow

OURS = Path(__file__).parent / "suites"
FIX = "correct the file; docs/quality.md shows its form"

TableName = Literal["jobs", "period", "batches", "drift"]
Severity = Literal["critical", "warning", "info"]

TABLES: Mapping[TableName, type[Frozen]] = {
    "jobs": JobRow,
    "period": PeriodRow,
    "batches": BatchRow,
    "drift": DriftRow,
}
KEYS: Mapping[TableName, str] = {"jobs": "job_id", "period": "name", "batches": "batch_id", "drift": "measure"}
"""The column that names a row."""

COLUMN_ARGUMENTS = ("column", "column_A", "column_B", "column_list", "column_set")
"""Arguments of expectations that name columns."""

Name = Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")


class Written(Frozen):
    """An expectation as a file has it; whatever else it says are arguments of its type.

    Attributes:
        id: Its name in the suite. One that the suite has already is changed in what is said here.
        expect: Type by its name in great-expectations, with or without `expect_`.
        about: What it means, in a sentence.
        source: Where its thresholds come from.
        severity: `critical` fails the audit; `warning` is told, too; `info` is only in the Data Docs.
        at_least: Rows with a value below which it is not judged.
        enabled: Whether it is judged at all.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str = Name
    expect: str | None = None
    about: str = ""
    source: str = ""
    severity: Severity = "critical"
    at_least: int = Field(default=1, ge=1)
    enabled: bool = True


class SuiteFile(Frozen):
    """A file of expectations of a table.

    Attributes:
        suite: Its name. A file with the name of another suite extends it.
        table: What it is about; needed in a new suite.
        title: For people.
        expectations: Its expectations.
    """

    suite: str = Name
    table: TableName | None = None
    title: str = ""
    expectations: tuple[Written, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Expected:
    """An expectation of a suite, and where it was written.

    Attributes:
        id, expect, about, source, severity, at_least: As written.
        arguments: Of its type.
        text: The file that has it, or changed it last.
        number: Which of the file's expectations it is, counted from 0.
    """

    id: str
    expect: str
    about: str
    source: str
    severity: Severity
    at_least: int
    arguments: Mapping[str, Any]
    text: YamlText
    number: int

    @property
    def columns(self) -> list[str]:
        """Columns that it names."""
        named: list[Any] = []
        for name in COLUMN_ARGUMENTS:
            value = self.arguments.get(name)
            named += value if isinstance(value, list) else [] if value is None else [value]
        return list(map(str, named))

    def wrong(self, what: str, *place: str) -> BadInput:
        """The error of a fault in it, with its line.

        Args:
            what: What is wrong.
            place: The argument that is wrong; none for all of it.
        """
        return self.text.wrong([Fault(("expectations", self.number, *place), what)])

    @property
    def where(self) -> str:
        """File and line."""
        return f"{self.text.name}:{self.text.line(('expectations', self.number))}"


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Expectations of one table."""

    name: str
    table: TableName
    title: str
    expectations: tuple[Expected, ...]


def read_suites(folder: Path | None = None) -> list[Suite]:
    """The suites of C500, extended by those of a folder.

    Types and arguments are not looked at yet: that takes great-expectations; see `judge`.

    Args:
        folder: With files `*.yaml`; None for none.

    Raises:
        NotFound: there is no such folder.
        BadInput: a file is wrong; the message has file and line.
    """
    suites = {suite.name: suite for path in _files(OURS) for suite in [_new(_read(path))]}
    for path in _files(folder) if folder is not None else ():
        read = _read(path)
        known = suites.get(read.file.suite)
        suites[read.file.suite] = _extended(known, read) if known else _new(read)
    order = list(TABLES)
    return sorted(suites.values(), key=lambda suite: order.index(suite.table))


@dataclass(frozen=True)
class _Read:
    text: YamlText
    file: SuiteFile


def _files(folder: Path) -> list[Path]:
    folder = folder.expanduser()
    if not folder.is_dir():
        raise BadInput(
            f"there is no folder {folder}", fix="make it, or take QUALITY_SUITES_DIR out", field="QUALITY_SUITES_DIR"
        )
    return sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml"))


def _read(path: Path) -> _Read:
    text = read_yaml(path, fix=FIX, field="QUALITY_SUITES_DIR")
    file = text.read_as(_form())
    seen: set[str] = set()
    for number, one in enumerate(file.expectations):
        if one.id in seen:
            raise text.wrong([Fault(("expectations", number, "id"), f"{one.id} stands in the file twice")])
        seen.add(one.id)
    return _Read(text, file)


@cache
def _form() -> TypeAdapter[SuiteFile]:
    return TypeAdapter(SuiteFile)


def _new(read: _Read) -> Suite:
    if read.file.table is None:
        told = f"it is missing, and needed: {', '.join(TABLES)}; or `suite` is not the name of one that there is"
        raise read.text.wrong([Fault(("table",), told)])
    suite = Suite(
        name=read.file.suite, table=read.file.table, title=read.file.title or read.file.suite, expectations=()
    )
    return _extended(suite, read)


def _extended(suite: Suite, read: _Read) -> Suite:
    """A suite with what a file says in addition, or instead."""
    if read.file.table not in (None, suite.table):
        told = f"the suite {suite.name} is about {suite.table}; give a suite of your own another name"
        raise read.text.wrong([Fault(("table",), told)])
    expectations = {one.id: one for one in suite.expectations}
    for number, written in enumerate(read.file.expectations):
        if written.enabled:
            known = expectations.get(written.id)
            expectations[written.id] = _expected(written, known, read.text, number, suite.table)
        else:
            expectations.pop(written.id, None)
    title = read.file.title or suite.title
    return Suite(name=suite.name, table=suite.table, title=title, expectations=tuple(expectations.values()))


def _expected(written: Written, known: Expected | None, text: YamlText, number: int, table: TableName) -> Expected:
    """An expectation as it is written, on top of an earlier one of its id where that is of the same type."""
    said = written.model_dump(exclude_unset=True, exclude=set(written.model_extra or {}))
    arguments = dict(written.model_extra or {})
    if known is not None and said.get("expect", known.expect) == known.expect:
        before = {name: getattr(known, name) for name in ("expect", "about", "source", "severity", "at_least")}
        written = Written(**(before | said))
        arguments = {**known.arguments, **arguments}
    if written.expect is None:
        raise text.wrong([Fault(("expectations", number, "expect"), "it is missing, and needed")])
    made = Expected(
        id=written.id,
        expect=written.expect,
        about=written.about,
        source=written.source,
        severity=written.severity,
        at_least=written.at_least,
        arguments={name: value for name, value in arguments.items() if value is not None},
        text=text,
        number=number,
    )
    _check_columns(made, table, TABLES[table].model_fields)
    return made


def _check_columns(made: Expected, table: TableName, known: Iterable[str]) -> None:
    for column in made.columns:
        if column not in known:
            meant = get_close_matches(column, known, n=1)
            hint = f"; did you mean {meant[0]}?" if meant else ""
            argument = next(name for name in COLUMN_ARGUMENTS if column in str(made.arguments.get(name)))
            raise made.wrong(f"the table {table} has no column {column}{hint}", argument)
