"""A case: something that was broken, and what came of it."""

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter

from blocks.model import Frozen
from blocks.redact import Redactor
from blocks.yaml_file import read_yaml

ID = r"[a-z0-9][a-z0-9-]{0,79}"
CaseId = Annotated[str, StringConstraints(pattern=rf"^{ID}$")]
LINE_CHARS, TEXT_CHARS = 300, 4000
LONG = ("symptoms", "cause", "resolution")
"""Fields that are texts; what else is written is a line."""

Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=LINE_CHARS)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=TEXT_CHARS)]
IncidentName = Annotated[str, StringConstraints(pattern=r"^([a-z0-9][a-z0-9-]{0,74})?$")]
"""So long that the case's id, which has `case-` before it, is one."""
Moment = Annotated[datetime, AfterValidator(lambda at: at if at.tzinfo else at.replace(tzinfo=UTC))]
"""People write dates without a zone."""

TEXT_SHARE = 900
"""Characters of each long field that are searched; the index takes 4,000 of a case."""


class CaseFacts(Frozen):
    """What somebody tells of a case.

    Attributes:
        title: What was broken, in a line.
        services: What it befell.
        alerts: Names of the alerts that told of it.
        symptoms: What was seen.
        cause: Why, as far as it is known.
        resolution: What helped.
        action_items: What is done so that it does not come again.
        tags: Words it is to be found by.
        began_at, ended_at: When it was broken.
        incident: The incident that it was; empty for none of ours.
    """

    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LINE_CHARS)]
    services: tuple[Line, ...] = Field(default=(), max_length=50)
    alerts: tuple[Line, ...] = Field(default=(), max_length=50)
    symptoms: Text = ""
    cause: Text = ""
    resolution: Text = ""
    action_items: tuple[Line, ...] = Field(default=(), max_length=50)
    tags: tuple[Line, ...] = Field(default=(), max_length=50)
    began_at: Moment | None = None
    ended_at: Moment | None = None
    incident: IncidentName = ""


class Case(CaseFacts):
    """A case in the library.

    Attributes:
        case_id: Names it.
        added_at: When it was put there, or last changed.
        added_by: Who put it there.
    """

    case_id: CaseId
    added_at: datetime
    added_by: str

    @property
    def searched(self) -> str:
        """What is searched of it."""
        long = (self.symptoms, self.cause, self.resolution)
        short = (self.title, *self.services, *self.alerts, *self.tags)
        return "\n".join((" ".join(short)[:1000], *(one[:TEXT_SHARE] for one in long if one)))


class FoundCase(Frozen):
    """A case that is like what was asked for.

    Attributes:
        case: The case.
        similarity: 0 to 1.
    """

    case: Case
    similarity: float


FORM: TypeAdapter[CaseFacts] = TypeAdapter(CaseFacts)


def read_case(path: Path) -> CaseFacts:
    """The case of a YAML or JSON file.

    Raises:
        NotFound: there is none.
        BadInput: it is wrong; `details["problems"]` has every fault with its line.
    """
    return read_yaml(path, fix="correct the case; docs/operations/incidents.md shows its form").read_as(FORM)


def case_of(facts: CaseFacts, *, added_at: datetime, added_by: str, redactor: Redactor) -> Case:
    """A case for the library, without secrets. Its id follows from what it says, or from its incident."""
    clean: dict[str, Any] = redactor.value(facts.model_dump(mode="json"))
    # What stands in place of a secret may be longer than it was.
    told = CaseFacts.model_validate({name: _cut(value, name in LONG) for name, value in clean.items()})
    case_id = f"case-{facts.incident}" if facts.incident else f"case-{_hash(told)}"
    return Case(**told.model_dump(), case_id=case_id, added_at=added_at, added_by=added_by)


def _cut(value: Any, is_long: bool) -> Any:
    if isinstance(value, list):
        return [_cut(one, is_long) for one in cast(list[Any], value)]
    return value[: TEXT_CHARS if is_long else LINE_CHARS] if isinstance(value, str) else value


def _hash(facts: CaseFacts) -> str:
    return sha256(facts.model_dump_json().encode()).hexdigest()[:12]
