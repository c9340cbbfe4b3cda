"""The audit log looked at, and its head put where nobody who can write the log can change it."""

import structlog
from prefect import flow
from prefect.artifacts import acreate_markdown_artifact

from blocks.audit import Anchors, AuditBroken, AuditVerdict, Head, verify
from blocks.audit.key import read_key
from blocks.audit.places import AuditPlaces
from blocks.audit.story import one_line
from blocks.logs import configure_logs
from blocks.progress import in_thread
from blocks.settings import settings

LONGEST_S = 1800
ARTIFACT = "audit-head"
FAULTS_SHOWN = 20

log = structlog.stdlib.get_logger("c500")


@flow(name="anchor-audit", persist_result=False, timeout_seconds=LONGEST_S)
async def anchor_audit() -> Head:
    """Verify the agents' audit log, and put its head down: as artifact, in the log, beside the audit's folder.

    The artifact's history holds all heads there were: a log that was cut off or written anew lacks one of them, which
    the next run finds by the file and `c500 audit verify --anchor` by the artifact.

    Returns:
        The head; number 0 when no agent has run yet.

    Raises:
        AuditBroken: the log is not as it was written; its head is not put down.
        StoreFailed: it cannot be read.
    """
    configure_logs()
    places = AuditPlaces(settings().agents_home)
    if not (places.folder.exists() or places.anchors.exists()):
        return Head(seq=0, hash="0" * 64)
    verdict = await in_thread(_anchored, places)
    await acreate_markdown_artifact(key=ARTIFACT, markdown=_page(verdict), description=verdict.summary)
    if not verdict.ok:
        raise AuditBroken(
            f"the audit log is not as it was written: {verdict.faults[0]}",
            fix="keep the folder as it is, run `c500 audit verify`, and look at who could write it",
            faults=len(verdict.faults),
        )
    log.info("audit_anchored", seq=verdict.head.seq, hash=verdict.head.hash)
    return verdict.head


def _anchored(places: AuditPlaces) -> AuditVerdict:
    anchors = Anchors(places.anchors)
    verdict = verify(places.folder, read_key(places.key), anchors.read())
    if verdict.ok:
        anchors.append(verdict.head)
    return verdict


def _page(verdict: AuditVerdict) -> str:
    lines = [f"**{verdict.summary}**", "", "Head, for `c500 audit verify --anchor`:", "", f"`{verdict.head}`"]
    if verdict.faults:
        lines += ["", *(f"- `{one_line(str(fault)).replace('`', '')}`" for fault in verdict.faults[:FAULTS_SHOWN])]
    return "\n".join(lines)
