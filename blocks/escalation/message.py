"""What is said about a request that waits."""

from collections.abc import Callable

from blocks.approvals.request import Approval
from blocks.plain_text import cut, json_lines, plain

Redact = Callable[[str], str]

MOST_CHARS = 1500
"""Of arguments; some channels cut a message at 2,000."""

REPEATED = "[may be a repeat] "


def message(approval: Approval, level: str, *, is_repeat: bool, redact: Redact) -> tuple[str, str]:
    """Subject and body, without secrets and without what an agent could make look like ours."""
    request = approval.request
    mark = REPEATED if is_repeat else ""
    subject = f"{mark}Approval needed ({request.risk}): {plain(request.tool)} by agent {plain(request.agent)}"
    body = [
        f"For {plain(request.requester)}, run {plain(request.run_id)}: {plain(request.reason)}",
        f"Needs {request.persons} person(s) until {request.expires_at:%Y-%m-%d %H:%M %Z}, else it is denied.",
        "",
        cut(redact(json_lines(request.arguments)), MOST_CHARS),
        "",
        f"c500 approve show {request.approval_id}",
        f"c500 approve yes|no|ack {request.approval_id}   (or POST /v1/approvals/{request.approval_id})",
        f"You are told as: {plain(level)}. `ack` stops further messages, not the clock.",
    ]
    return redact(subject), redact("\n".join(body))
