"""Alerts taken in: one incident for those that belong together, however many processes are told of them at once."""

import re
from collections.abc import Callable, Iterable
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import structlog
from pydantic import Field, ValidationError

from blocks.errors import BadInput, Conflict, StoreFailed
from blocks.manifests import NAME as MANIFEST
from blocks.manifests import Manifests
from blocks.model import Frozen
from blocks.redact import Redactor
from blocks.store.files import Files
from tasks.ops.incident.incident import Incident, joined, opened
from tasks.ops.incident.notification import Notification

if TYPE_CHECKING:
    from collections.abc import Generator

PREFIX = "operations/incidents"
INDEX = f"{PREFIX}/open.json"
ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")

log = structlog.stdlib.get_logger("c500")

ServicesOf = Callable[[Iterable[dict[str, str]]], tuple[str, ...]]
"""Takes the labels of alerts; gives the services that they are about."""


class Index(Frozen):
    """Which incident takes what: ids by hashes of group keys and fingerprints."""

    takers: dict[str, str] = Field(default_factory=dict[str, str])


class Received(Frozen):
    """What became of a notification.

    Attributes:
        incident: The incident it belongs to; None where it only says that something unknown is over.
        is_new: Whether it opened it.
    """

    incident: Incident | None
    is_new: bool = False


def incidents(files: Files) -> Manifests[Incident]:
    """The incidents there are."""
    return Manifests(files, PREFIX, Incident, kind="incident")


def checked_id(text: str) -> str:
    """The id of an incident. Raises `BadInput`."""
    if ID.fullmatch(text) is None:
        raise BadInput(
            f"{text!r:.80} is no id of an incident", fix="see `c500 incident list` for the ids", field="incident"
        )
    return text


def receive(
    files: Files,
    told: Notification,
    services_of: ServicesOf,
    redactor: Redactor,
    *,
    now: datetime,
    incident_id: str | None = None,
) -> Received:
    """Take a notification in: it joins the incident that it belongs to, or opens one.

    It belongs to an incident with the same group key, or with one of its alerts, as long as that is open, or was until
    a little while ago. The same notification may be taken in again and again.

    Args:
        files: The store.
        told: The notification.
        services_of: Finds services by labels.
        redactor: Takes secrets out of it.
        now: The time.
        incident_id: Of the incident that it is to open, or to join; None to find out.

    Raises:
        BadInput: the id is none.
        Conflict: the incident of this id is closed.
        StoreFailed: it cannot be kept.
    """
    told = redacted(told, redactor)
    services = services_of(one.labels for one in told.alerts)
    with files.lock(f"{PREFIX}/intake"):
        if incident_id is None:
            # Where a person closes it just now, another is opened: after a 4xx Alertmanager sends no more.
            with suppress(Conflict):
                return _taken_in(files, told, services, now, None)
        return _taken_in(files, told, services, now, incident_id)


def _taken_in(
    files: Files, told: Notification, services: tuple[str, ...], now: datetime, incident_id: str | None
) -> Received:
    known, keys = incidents(files), _keys(told)
    takers, version = _index(files)
    taking = {name: _is_taken(known, name, now) for name in set(takers.values())}
    taker = checked_id(incident_id) if incident_id else _taker(takers, taking, keys)
    if taker is None and not told.firing:
        return Received(incident=None)
    name = taker or f"inc-{now.astimezone(UTC):%Y%m%d}-{token_hex(4)}"
    fresh = opened(name, told, services, now)
    # The index first: a process that dies in between leaves a name, which the next one fills.
    open_ones = {key: one for key, one in takers.items() if one == name or taking[one]}
    _put_index(files, Index(takers=open_ones | dict.fromkeys(keys, name)), version)
    if known.find(name) is None:
        with _held(files, name, fresh) as held:
            return Received(incident=held.state, is_new=True)
    return Received(incident=change(files, name, lambda before: _joined(before, told, services, now)))


def change(files: Files, incident_id: str, make: Callable[[Incident], Incident]) -> Incident:
    """Change an incident; others who do wait for their turn.

    Raises:
        NotFound: there is none.
        StoreFailed: it cannot be written.
    """
    with _held(files, incident_id) as held:
        state = make(held.state)
        return state if state == held.state else held.put(state)


def latest(files: Files, most: int, *, only_open: bool) -> list[Incident]:
    """Incidents, the latest first.

    Args:
        files: The store.
        most: How many at most.
        only_open: Only those that are not over.
    """
    known, found = incidents(files), list[Incident]()
    every = sorted(known.names(), key=lambda name: files.modified(f"{PREFIX}/{name}/{MANIFEST}"), reverse=True)
    for name in every:
        if (one := _readable(known, name)) is not None and (one.status == "open" or not only_open):
            found.append(one)
        if len(found) >= most:
            break
    return sorted(found, key=lambda one: one.opened_at, reverse=True)


def open_now(files: Files) -> list[Incident]:
    """The incidents that take alerts and are open; however many there were before, only these are read."""
    known = incidents(files)
    found = [_readable(known, name) for name in sorted(set(_index(files)[0].values()))]
    return [one for one in found if one is not None and one.status == "open"]


def redacted(told: Notification, redactor: Redactor) -> Notification:
    """A notification without secrets; what tells alerts and groups apart stays, as hashes."""
    alerts = tuple(
        alarm.model_copy(
            update={
                "labels": redactor.value(alarm.labels),
                "annotations": redactor.value(alarm.annotations),
                "generator": redactor.text(alarm.generator),
                "told_fingerprint": alarm.fingerprint,
            }
        )
        for alarm in told.alerts
    )
    group_key = _hash(told.group_key) if told.group_key else ""
    url = redactor.text(told.external_url)
    return told.model_copy(update={"alerts": alerts, "group_key": group_key, "external_url": url})


@contextmanager
def _held(files: Files, name: str, first: Incident | None = None) -> "Generator[Any]":
    """An incident's manifest; whoever else wants it waits, where `Manifests.held` alone would refuse."""
    with files.lock(f"{PREFIX}/{name}/changing"), incidents(files).held(name, first) as held:
        yield held


def _joined(before: Incident, told: Notification, services: tuple[str, ...], now: datetime) -> Incident:
    if before.status == "closed":
        raise Conflict(f"incident {before.incident_id} is closed", fix="let the alert open another one")
    return joined(before, told, services, now)


def _keys(told: Notification) -> list[str]:
    groups = [f"group {told.group_key}"] if told.group_key else []
    return [_hash(one) for one in (*groups, *(f"alert {alarm.fingerprint}" for alarm in told.alerts))]


def _hash(text: str) -> str:
    return sha256(text.encode(errors="replace")).hexdigest()[:24]


def _taker(takers: dict[str, str], taking: dict[str, bool], keys: list[str]) -> str | None:
    return next((takers[key] for key in keys if key in takers and taking[takers[key]]), None)


def _is_taken(known: Manifests[Incident], name: str, now: datetime) -> bool:
    """Whether the incident of a name takes what belongs to it; one that is only a name yet does.

    One that is damaged takes nothing: what belonged to it opens another one, and other alerts are not held up by it.
    """
    try:
        found = known.find(name)
    except StoreFailed as error:
        if not _is_damaged(error):
            raise
        log.warning("incident_damaged", incident=name, error=error.message)
        return False
    return found is None or found.takes(now)


def _readable(known: Manifests[Incident], name: str) -> Incident | None:
    """An incident; one that is damaged hides no other."""
    try:
        return known.find(name)
    except StoreFailed as error:
        if not _is_damaged(error):
            raise
        log.warning("incident_damaged", incident=name, error=error.message)
        return None


def _is_damaged(error: StoreFailed) -> bool:
    """Whether it was read and says nonsense; else the store does not answer, and may do so later."""
    return isinstance(error.__cause__, ValidationError)


def _index(files: Files) -> tuple[dict[str, str], str | None]:
    found = files.read_version(INDEX)
    if found is None:
        return {}, None
    try:
        return Index.model_validate_json(found[0]).takers, found[1]
    except ValidationError as error:
        raise StoreFailed(
            f"{INDEX} in the store is damaged: {error.error_count()} faults",
            fix="remove it: incidents that are open then stay, and take no more alerts",
        ) from None


def _put_index(files: Files, index: Index, version: str | None) -> None:
    files.put_if(INDEX, index.model_dump_json().encode(), version)
