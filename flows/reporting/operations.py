"""Incidents, cases and runs of operations, by their listings."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from blocks.errors import C500Error, NotFound
from blocks.store.files import Files
from tasks.quality.report.facts import IncidentFact, Incidents, Operation

if TYPE_CHECKING:
    from tasks.ops.incident.incident import Incident

CASE_AT = "%Y%m%dT%H%M%S.%f"
"""The moment in the name of a case's file."""


def read_incidents(files: Files) -> Incidents:
    """All incidents, and when cases were added. Raises `StoreFailed`."""
    from tasks.ops.incident.intake import incidents

    kept, found, unread = incidents(files), list[IncidentFact](), list[str]()
    for name in kept.names():
        try:
            found.append(_fact(kept.read(name)))
        except NotFound:
            continue
        except C500Error as error:
            unread.append(error.message)
    return Incidents(incidents=tuple(found), cases_at=tuple(_cases_at(files, unread)), unread=tuple(unread))


def read_operations(files: Files) -> tuple[Operation, ...]:
    """All runs of operations. Raises `StoreFailed`."""
    from tasks.ops.run_records import RunRecords

    return tuple(
        Operation(
            run_id=one.run_id,
            flow=one.flow,
            subject=one.subject,
            begun_at=one.begun_at,
            ended=one.ended,
            ended_at=one.ended_at,
        )
        for one in RunRecords(files).every()
    )


def _fact(one: "Incident") -> IncidentFact:
    acknowledged = next((event.at for event in one.timeline if event.by), None)
    return IncidentFact(
        incident_id=one.incident_id,
        title=one.title,
        severity=one.severity,
        services=one.services,
        opened_at=one.opened_at,
        acknowledged_at=acknowledged,
        ended_at=one.resolved_at or one.closed_at,
        closed_at=one.closed_at,
    )


def _cases_at(files: Files, unread: list[str]) -> Iterator[datetime]:
    """When cases were added or last changed, by the names of their files."""
    from tasks.ops.cases.library import PREFIX, SUFFIX

    latest: dict[str, datetime] = {}
    for key in files.list(f"{PREFIX}/"):
        case, _, name = key.removeprefix(f"{PREFIX}/").partition("/")
        try:
            latest[case] = datetime.strptime(name.removesuffix(SUFFIX), CASE_AT).replace(tzinfo=UTC)
        except ValueError:
            unread.append(f"{key} is no case")
    yield from latest.values()
