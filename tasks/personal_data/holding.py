"""Putting data on legal hold, and releasing it; each is in the audit."""

from datetime import UTC, datetime
from uuid import uuid4

from pydantic import ValidationError

from blocks.errors import BadInput
from blocks.settings import settings
from blocks.store.files import Files
from blocks.subjects.holds import Hold, Holds
from blocks.subjects.subject import Subject
from tasks.personal_data.plan import CHANGE
from tasks.personal_data.world import pseudonym_of

AGENT = "personal-data"


def hold(files: Files, subject: Subject, reason: str, by: str) -> Hold:
    """Keep all that is there about a subject, and comes, from clean-up and erasure. Waits for an erasure at work.

    Args:
        files: The store.
        subject: Whose data.
        reason: Why; it stays with the hold and is not in the audit.
        by: Who says so.

    Raises:
        BadInput: there is no reason, or a longer one than 2,000 characters.
        StoreFailed: it cannot be written down; then nothing is held.
    """
    try:
        wanted = Hold(subject=subject, reason=reason, by=by, at=datetime.now(UTC))
    except ValidationError:
        raise BadInput("the reason is empty or too long", fix="give 1 to 2,000 characters", field="--reason") from None
    with files.lock(CHANGE):
        held = Holds(files).put(wanted)
        _note("hold_data", subject, by)
    return held


def release(files: Files, subject: Subject, by: str) -> Hold:
    """End a hold; from then on the data expires and may be erased. Raises `NotFound`, `StoreFailed`."""
    with files.lock(CHANGE):
        _note("release_data", subject, by)
        return Holds(files).release(subject)


def _note(tool: str, subject: Subject, by: str) -> None:
    from blocks.audit import Entry
    from blocks.audit.places import open_audit

    open_audit(settings().agents_home.expanduser()).append(
        Entry(
            entry_id=f"{tool}/{uuid4().hex}",
            run_id=AGENT,
            agent=AGENT,
            user=by,
            phase="done",
            tool=tool,
            arguments={"subject": pseudonym_of(subject), "kind": subject.kind},
        )
    )
