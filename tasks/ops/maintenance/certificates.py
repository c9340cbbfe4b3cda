"""Expiry and renewal of certificates."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from cryptography import x509

from blocks.errors import C500Error
from blocks.hosts import CommandResult
from tasks.ops.deed import Deed
from tasks.ops.maintenance.doing import OnHost, said
from tasks.ops.maintenance.plan import Certificates
from tasks.ops.maintenance.result import TaskResult

DAY_S = 86_400
BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


class Unreadable(Exception):
    """There is no certificate where one should be."""


async def look_after_certificates(at: OnHost, task: Certificates) -> TaskResult:
    """Tell of certificates that expire, and renew them; see `Certificates`."""
    if task.renew is None:
        days, faults = await _days_left(at, (*task.files, *task.endpoints))
    else:
        days, faults = await _days_before(at, task)
    if faults:
        return at.result("failed", "; ".join(faults), _told(days))
    if task.renew is not None and min(days.values()) < task.renew_days:
        return await _renewed(at, task, days)
    return _judged(at, task, days, "")


async def _days_before(at: OnHost, task: Certificates) -> tuple[dict[str, float], list[str]]:
    """What was found before anything was renewed. An attempt after a crash must know it: else, with the new
    certificates in their place, nobody would load them."""
    places = (*task.files, *task.endpoints)
    deed = Deed(
        name=f"{at.host.name}/{task.name}/look",
        tool="look_at_certificates",
        arguments={"host": at.host.name, "places": list(places)},
        says=f"look when certificates expire on {at.host.name}",
        risk="low",
        read_only=at.performer.dry_run,
        repeatable=True,
        reversible=True,
    )

    async def perform() -> Any:
        days, faults = await _days_left(at, places)
        return {"days": days, "faults": faults}

    looked = (await at.performer.do(deed, perform)).checked().result
    return looked["days"], looked["faults"]


async def _renewed(at: OnHost, task: Certificates, before: dict[str, float]) -> TaskResult:
    assert task.renew is not None  # noqa: S101 - the caller looked
    done = await at.do("renew", task.renew, "renew certificates", reversible=True, repeatable=True)
    if (failed := at.not_done(done)) is not None:
        return failed.model_copy(update={"details": (*failed.details, *_told(before))})
    # Servers show their new ones only when they have loaded them.
    if task.files and (old := await _still_old(at, task.files, before)) is not None:
        return old
    if task.reload is not None:
        reloaded = await at.do("reload", task.reload, "load the new certificates", reversible=True, repeatable=True)
        if (failed := at.not_done(reloaded)) is not None:
            return failed
    if task.endpoints and (old := await _still_old(at, task.endpoints, before)) is not None:
        return old
    if (unwell := await at.unwell()) is not None:
        return at.result("failed", "the check failed after the renewal", unwell)
    after, _ = await _days_left(at, (*task.files, *task.endpoints))
    judged = _judged(at, task, after, "renewed; ")
    return judged.model_copy(update={"status": "changed"}) if judged.status == "ok" else judged


async def _still_old(at: OnHost, places: Sequence[str], before: dict[str, float]) -> TaskResult | None:
    """The result where the first of these to expire was not renewed; None where it was."""
    after, faults = await _days_left(at, places)
    if not faults and min(after.values()) > min(before[place] for place in places):
        return None
    why = "; ".join(faults) or f"it still expires in {min(after.values()):.0f} days"
    return at.result("failed", f"the renewal brought no new certificate: {why}", _told(after or before))


def _judged(at: OnHost, task: Certificates, days: dict[str, float], told: str) -> TaskResult:
    place, lowest = min(days.items(), key=lambda item: item[1])
    summary = f"{told}the first to expire is {place}, in {lowest:.0f} days"
    if lowest < 0:
        summary = f"{told}{place} expired {-lowest:.0f} days ago"
    if lowest < task.critical_days:
        return at.result("failed", summary, _told(days))
    return at.result("attention" if lowest < task.warn_days else "ok", summary, _told(days))


async def _days_left(at: OnHost, places: Sequence[str]) -> tuple[dict[str, float], list[str]]:
    """Days until the first certificate of each place expires, and what could not be looked at."""
    days, faults, now = dict[str, float](), list[str](), datetime.now(UTC)
    for place in places:
        try:
            found = await (_file(at, place) if place.startswith("/") else _endpoint(at, place))
            first = min(one.not_valid_after_utc for one in found)
            days[place] = (first - now).total_seconds() / DAY_S
        except (C500Error, Unreadable) as error:
            faults.append(f"{place}: {error}")
    return days, faults


async def _file(at: OnHost, path: str) -> Sequence[x509.Certificate]:
    shown = await at.look("cat", "--", path)
    if not shown.ok:
        raise Unreadable(" ".join(said(shown)) or "it cannot be read")
    return _parsed(shown.stdout)


async def _endpoint(at: OnHost, place: str) -> Sequence[x509.Certificate]:
    name = place.rpartition(":")[0]
    shown: CommandResult = await at.look("openssl", "s_client", "-connect", place, "-servername", name, "-showcerts")
    if BEGIN not in shown.stdout:
        raise Unreadable(" ".join(said(shown)[-1:]) or "it gives no certificate")
    return _parsed(shown.stdout)[:1]  # the server's own comes first (RFC 8446, 4.4.2)


def _parsed(text: str) -> Sequence[x509.Certificate]:
    blocks = [BEGIN + part.split(END)[0] + END + "\n" for part in text.split(BEGIN)[1:] if END in part]
    try:
        found = [x509.load_pem_x509_certificate(block.encode()) for block in blocks]
    except ValueError as error:
        raise Unreadable("it is no certificate in PEM form") from error
    if not found:
        raise Unreadable("it holds no certificate")
    return found


def _told(days: dict[str, float]) -> list[str]:
    return [f"{place}: {left:.1f} days" for place, left in sorted(days.items(), key=lambda item: item[1])]
