"""What a person does about agents on the command line, written into their audit log."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blocks.audit.entry import Phase


def write_down(phase: "Phase", run_id: str, *, outcome: str, reason: str = "", **facts: Any) -> str:
    """Write down that somebody did something, before it is done.

    Args:
        phase: What kind of thing.
        run_id: The run that it is about, or what else.
        outcome: What is done.
        reason: Why, in the person's words.
        **facts: Further fields of the entry.

    Returns:
        Who does it: the login.

    Raises:
        StoreFailed, NotAllowed: it cannot be written, and so must not be done.
    """
    from uuid import uuid4

    from blocks.approvals import login_name
    from blocks.audit import Entry
    from blocks.audit.places import open_audit
    from blocks.settings import settings

    who = login_name()
    entry = Entry(
        entry_id=f"{run_id}/by-hand/{uuid4().hex}",
        run_id=run_id,
        agent=facts.pop("agent", ""),
        user=facts.pop("user", who),
        phase=phase,
        outcome=outcome,
        reasoning=reason or None,
        details={"by": who, **facts.pop("details", {})},
        **facts,
    )
    open_audit(settings().agents_home).append(entry)
    return who
